"""One new version, and everything that uses the key: who moves, who follows, and who says why not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sandbox.arm.keyed.cosmos import APPLICATION
from sandbox.identity import principal_of
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped
from shared.domain.vault import CRYPTO_USER
from shared.domain.work import CheckResource
from tests.support.azure import MID, OLD, Azure, on_azure
from tests.support.keyed import example, grant, in_effect, using
from tests.support.policies import allowing

MOVED = [
    example(name)
    for name in (
        "cognitiveservices_accounts-pinned",
        "cognitiveservices_accounts-openai",
        "cognitiveservices_accounts_encryptionscopes-pinned",
        "compute_diskencryptionsets-pinned",
        "containerservice_managedclusters-legacy",
        "machinelearningservices_workspaces-pinned",
    )
]
FOLLOWING = [
    example(name)
    for name in (
        "cognitiveservices_accounts-following",
        "compute_diskencryptionsets-following",
        "containerservice_managedclusters-newkms",
        "documentdb_databaseaccounts-following",
    )
]
STOPPED = {
    "cg-batch": (example("containerinstance_containergroups-pinned"), Reason.RECREATE_ONLY),
    "ws-project": (example("machinelearningservices_workspaces-project"), Reason.MANAGED_BY_AZURE),
}
SILENT = [example("compute_disks-set"), example("cognitiveservices_accounts-speech")]


def test_one_event_reaches_every_user_of_the_key_and_each_ends_as_its_service_lets_it(tmp_path: Path) -> None:
    everything = [*MOVED, *FOLLOWING, *(one for one, _ in STOPPED.values()), *SILENT]

    async def story(azure: Azure) -> None:
        grant(azure, principal_of(azure.world, APPLICATION))
        await azure.check_key()
        await azure.drain(until=timedelta(days=2))
        ends = {one.item.address.arm.name: one for one in azure.reports if isinstance(one.item, CheckResource)}
        assert {one["name"]: in_effect(azure, one) for one in MOVED} == {one["name"]: [MID] for one in MOVED}
        top = [one["name"] for one in [*MOVED, *FOLLOWING] if "Scopes" not in one["type"]]  # scopes end in their list
        assert all(isinstance(ends[name].outcome, Converged) for name in top)
        for name, (one, reason) in STOPPED.items():
            assert isinstance(ends[name].outcome, Stopped)
            assert ends[name].reasons == (reason,)
            assert in_effect(azure, one) == [OLD]
        assert azure.waiting() == []

    described = using(*everything, size=2048, role=CRYPTO_USER, operations=0.1)
    on_azure(described, story, environ=allowing(tmp_path, "unproven", "put"))
