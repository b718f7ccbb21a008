"""Synapse workspaces on the sandbox: told, not moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged
from shared.domain.resource import Change
from shared.services.synapse import SERVICES, SLOT
from tests.support.azure import MID, OLD, Azure, estate, on_azure, version
from tests.support.moving import allowed, asked, in_effect, key, resource, why

ALL = ("unproven", "put", "irreversible", "recreate", "hop")


def workspace() -> dict[str, Any]:
    cmk = {"status": "Consistent", "key": {"name": "default", "keyVaultUrl": key("")}}
    properties = {"provisioningState": "Succeeded", "encryption": {"doubleEncryptionEnabled": True, "cmk": cmk}}
    return resource("Microsoft.Synapse/workspaces", "syn1", properties)


def test_a_workspace_whose_key_has_a_new_version_is_told_to_need_a_hop(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        for version_ in ("keep", "follow", "pin"):
            azure.environ["CMK_POLICY"] = allowed(tmp_path, *ALL, version=version_)["CMK_POLICY"]
            reports = await azure.check(one)
            assert why(reports[-1]) == {Reason.HOP_ONLY}
        assert asked(azure) == []

    on_azure(estate(one), story, environ=allowed(tmp_path, *ALL))


def test_a_workspace_whose_key_has_one_version_holds_that_one(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        (*_, last) = await azure.check(one)
        assert isinstance(last.outcome, Converged)
        assert last.outcome.certainty is Certainty.CONFIGURED

    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD)]}]}
    on_azure(estate(one, keys=keys), story, environ=allowed(tmp_path, *ALL))


def test_another_key_becomes_the_active_one_by_the_request_that_is_written() -> None:
    one = workspace()
    named = {"cmk": OLD, "default": MID}
    keys = {"kv-main": [{"name": name, "versions": [version(only)]} for name, only in named.items()]}

    async def story(azure: Azure) -> None:
        (service,) = SERVICES
        to = KeyId("kv-main.vault.azure.net", "default").at(None)  # of the name that the active key has here already
        (request,) = service.write(azure.body(one), (Change(SLOT, to, follow=False),))
        assert request.address.url.endswith("/keys/kv-main-default")
        await azure.app.context.ports.resources.send(request)
        (use,) = service.read(azure.body(one))
        assert use.configured == to
        assert set(in_effect(azure, one["id"]).values()) == {MID}

    on_azure(estate(one, keys=keys), story)
