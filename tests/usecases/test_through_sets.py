"""Those who use a key through another resource: disks and snapshots of a set, clusters, projects, speech accounts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Expanded, Stopped
from shared.domain.vault import CRYPTO_USER
from shared.domain.work import Cause, CheckKey, Source, Sweep
from shared.services.registry import services
from shared.usecases.wishes import put_or_plan
from tests.support.azure import Azure, estate, on_azure
from tests.support.enforcing import policy
from tests.support.keyed import example, using

SET = example("compute_diskencryptionsets-pinned")
DISK, SNAPSHOT = example("compute_disks-set"), example("compute_snapshots-set")
CLUSTER = example("containerservice_managedclusters-platform")
MACHINE = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm1"


def plain(name: str, **more: Any) -> dict[str, Any]:
    """Return a disk on the platform's key."""
    encryption = {"type": "EncryptionAtRestWithPlatformKey"}
    body = {**DISK, "id": DISK["id"].replace("/disk1", f"/{name}"), "name": name, **more}
    return {**body, "properties": {**DISK["properties"], "encryption": encryption}}


async def swept(azure: Azure) -> tuple[int, int]:
    """Return how many resources a sweep looked at in the index, and how many of them it counted as unencrypted."""
    await azure.put(Sweep(Cause("c", Source.HTTP), azure.time.now()))
    await azure.drain(until=timedelta(minutes=30))
    pages = [one.outcome for one in azure.reports if isinstance(one.outcome, Expanded) and isinstance(one.item, Sweep)]
    return sum(page.looked_at for page in pages), sum(page.unencrypted for page in pages)


def test_a_sweep_counts_the_disks_on_the_platforms_key_and_reads_not_one_of_them(tmp_path: Path) -> None:
    disks = [plain(f"d{number}") for number in range(250)]
    attached = plain("os", managedBy=MACHINE)

    async def story(azure: Azure) -> None:
        assert await swept(azure) == (254, 251)
        assert [line for line in azure.calls("read") if "/disks/" in line or "/snapshots/" in line] == []

    for encryption in ("fix", "report"):
        environ = policy(tmp_path, "may: [unproven]", encryption=encryption)
        on_azure(using(SET, DISK, SNAPSHOT, attached, *disks), story, environ=environ)


def test_a_rule_that_ignores_encryption_counts_no_disk(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert await swept(azure) == (1, 0)

    on_azure(estate(plain("d1")), story, environ=policy(tmp_path, encryption="ignore"))


def test_the_look_for_a_keys_users_passes_over_disks() -> None:
    async def story(azure: Azure) -> None:
        (page, *_) = await azure.check_key()
        assert isinstance(page.outcome, Expanded)
        assert page.outcome.looked_at == 1

    on_azure(using(SET, DISK, SNAPSHOT), story)


def test_a_dry_run_for_a_key_tells_who_uses_it_through_a_set() -> None:
    other = {**DISK, "id": DISK["id"].replace("/disk1", "/disk2"), "name": "disk2"}
    elsewhere = {
        **DISK["properties"]["encryption"],
        "diskEncryptionSetId": SET["id"].replace("des-pinned", "des-other"),
    }
    other["properties"] = {**DISK["properties"], "encryption": elsewhere}
    shouted = {**SNAPSHOT["properties"]["encryption"], "diskEncryptionSetId": SET["id"].upper()}
    snapshot = {**SNAPSHOT, "properties": {**SNAPSHOT["properties"], "encryption": shouted}}

    async def story(azure: Azure) -> None:
        item = CheckKey(
            services()["microsoft.compute/diskencryptionsets"].read(SET)[0].configured.key,
            Cause("c", Source.HTTP),
            azure.time.now(),
        )
        told = await put_or_plan(azure.app.context, item, dry_run=True)
        assert [one["id"] for one in told["resources"]] == [SET["id"]]
        assert {(one["id"], one["uses"].lower()) for one in told["through"]} == {
            (one["id"], SET["id"].lower()) for one in (DISK, snapshot, CLUSTER)
        }
        assert azure.calls("write") == []

    on_azure(using(SET, DISK, other, snapshot, CLUSTER, plain("d1"), role=CRYPTO_USER), story)


def test_what_uses_anothers_key_is_told_so_and_what_could_is_told_where(tmp_path: Path) -> None:
    speech = example("cognitiveservices_accounts-speech")
    storage = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st1"
    speech["properties"]["userOwnedStorage"] = [{"resourceId": storage}]
    through = {DISK["id"]: SET["id"], SNAPSHOT["id"]: SET["id"], speech["id"]: storage}

    async def story(azure: Azure) -> None:
        for one in (DISK, SNAPSHOT, speech):
            (report,) = await azure.check(one)
            assert report.outcome == Converged(Certainty.NONE, (), (through[one["id"]],))
        (report,) = await azure.check(plain("d1"))
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (Reason.KEY_IS_AT_ENCRYPTION_SET,)
        assert azure.calls("write") == []

    on_azure(using(SET, DISK, SNAPSHOT, speech, plain("d1")), story, environ=policy(tmp_path, "may: [unproven]"))
