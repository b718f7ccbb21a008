"""The local Azure refuses every service its write when it should: without a grant no key changes, and why is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sandbox.arm.keyed.uses import in_effect
from sandbox.arm.store import save
from sandbox.demo.services import KEY, ROWS, VAULTS, make
from shared.domain.reasons import Reason
from shared.domain.work import CheckResource
from tests.support.azure import NEW, Azure, on_azure
from tests.support.policies import allowing

ENDS_BY_MOVING = {"verified", "configured", "unknown"}


def take_every_grant_away(azure: Azure) -> None:
    for one in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        azure.world.resources.remove(one["id"])
    for vault in list(azure.world.resources.of_type("Microsoft.KeyVault/vaults")):
        properties = {**vault["properties"], "accessPolicies": []}
        save(azure.world, {**vault, "properties": properties})


def make_a_version(azure: Azure) -> None:
    for vault in VAULTS:
        key = azure.world.keyring.get(vault, KEY)
        assert key is not None
        now = azure.world.now()
        key.versions.append(type(key.latest)(NEW, now, now, modulus=key.latest.modulus))


def test_without_a_grant_no_resource_of_any_type_moves_and_each_that_should_says_why(tmp_path: Path) -> None:
    described = make(1)
    for key in (key for keys in described["keys"].values() for key in keys):
        key["versions"][1]["created"] = "2026-01-04T06:00:00Z"
    pinned = [row for row in ROWS if row.how == "pinned" and row.ends in ENDS_BY_MOVING]

    async def story(azure: Azure) -> None:
        before = {row.id: dict(in_effect(azure.world, row.id)) for row in ROWS}
        take_every_grant_away(azure)
        make_a_version(azure)
        for vault in VAULTS:
            await azure.check_key(f"https://{vault}.vault.azure.net/keys/{KEY}")
        await azure.drain(until=timedelta(minutes=8))
        assert {row.id: dict(in_effect(azure.world, row.id)) for row in ROWS} == before
        told: dict[str, set[Reason]] = {}
        for one in azure.reports:
            if isinstance(one.item, CheckResource):
                told.setdefault(one.item.address.folded, set()).update(one.reasons)
        unsaid = [row.name for row in pinned if Reason.KEY_ACCESS_DENIED not in told.get(row.id.lower(), set())]
        assert unsaid == []
        assert len({row.type for row in pinned if before[row.id]}) > 15  # of that many types something could have moved
        assert len(azure.calls("write")) > 15  # and was tried

    on_azure(described, story, environ=allowing(tmp_path, "unproven", "put"))
