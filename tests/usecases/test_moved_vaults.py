"""A vault that was moved to another resource group is known by its new id, and who lost a grant by it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.arm.store import drop, save
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.report import Expanded
from shared.domain.work import Cause, CheckKey, CheckResource, CheckVault, Source
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure, vault

KEY = parse_key_url("https://kv-main.vault.azure.net/keys/cmk").key
WAS = str(vault()["id"])
IS = WAS.replace("rg-data", "rg-keys")


async def moved(azure: Azure) -> None:
    """Let the app know the vault; then somebody moves it, which leaves its role assignments behind."""
    await azure.check_key()
    await asyncio.sleep(60)
    body = azure.body(vault())
    for one in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        drop(azure.world, str(one["id"]))
    azure.world.resources.remove(WAS)
    save(azure.world, {**body, "id": IS})


def test_an_event_about_its_keys_leads_to_their_users_at_once() -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        await moved(azure)
        await azure.put(CheckKey(KEY, Cause("c", Source.EVENT), azure.time.now(), vault_id=IS))
        (report, *_) = await azure.drain()
        assert isinstance(report.outcome, Expanded)

    on_azure(estate(one), story)


def test_one_that_claims_to_come_from_another_vault_still_leads_to_nothing() -> None:
    async def story(azure: Azure) -> None:
        await moved(azure)
        far = IS.replace("kv-main", "kv-other")
        await azure.put(CheckKey(KEY, Cause("c", Source.EVENT), azure.time.now(), vault_id=far))
        (report,) = await azure.drain()
        assert report.reasons == (Reason.VAULT_NOT_KNOWN,)

    on_azure(estate(account("st1", OLD), vault(), vault("kv-other"), keys={"kv-main": [], "kv-other": []}), story)


@pytest.mark.parametrize("told", [WAS, IS], ids=["that it left", "that it came"])
def test_its_users_are_asked_whether_they_reach_it_where_it_is_now(told: str) -> None:
    async def story(azure: Azure) -> None:
        await moved(azure)
        await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=told))
        found: list[Any] = [one for one in await azure.drain() if isinstance(one.item, CheckResource)]
        assert [one.reasons for one in found] == [(Reason.ACCESS_LOST,)]
        assert IS.lower() in str(found[0].outcome).lower()

    beside = vault("kv-beside")
    there = {**beside, "id": str(beside["id"]).replace("rg-data", "rg-keys")}
    on_azure(estate(account("st1", MID), vault(), there), story)
