"""A dry run says what would be done, resource by resource, and does nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.domain.work import Cause, Source
from shared.usecases.forms import ConvergeWish, RotateWish
from shared.usecases.wishes import converge_item, put_or_plan, rotate_item
from tests.support.azure import MID, Azure, account, estate, on_azure, scope, vault

KEY = "https://kv-main.vault.azure.net/keys/cmk"
ESTATE = estate(
    account("st1"), account("st2", MID), account("st3", ""), account("st4", key=""), scope("st4", "one"), vault()
)


async def planned(azure: Azure, wish: ConvergeWish) -> dict[str, Any]:
    item = converge_item(wish, Cause("c", Source.HTTP), azure.time.now())
    answer = await put_or_plan(azure.app.context, item, dry_run=True)
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return told


def test_a_dry_run_for_a_key_names_each_of_its_users_and_what_each_would_get() -> None:
    async def story(azure: Azure) -> None:
        for wish in (ConvergeWish(key=KEY), ConvergeWish(vault="kv-main.vault.azure.net"), ConvergeWish(all=True)):
            told = await planned(azure, wish)
            steps = {one["id"].rsplit("/", 1)[1]: one["steps"] for one in told["resources"]}
            assert sorted(steps) == ["one", "st1", "st2", "st3"]
            assert [steps[name][0]["type"] for name in ("one", "st1")] == ["SetKeys", "SetKeys"]
            assert steps["st1"][0]["changes"][0]["to"]["version"] == MID
            assert (steps["st2"], steps["st3"]) == ([], [])
            assert told["truncated"] is False
        assert azure.calls("write") == []
        assert azure.waiting() == []

    on_azure(ESTATE, story)


def test_a_dry_run_for_a_vault_that_is_not_ours_says_so() -> None:
    async def story(azure: Azure) -> None:
        told = await planned(azure, ConvergeWish(vault="evil.vault.azure.net"))
        assert told["blocked"][0]["reason"] == "vault_not_known"
        assert azure.calls("vault") == []

    on_azure(ESTATE, story)


def test_a_dry_run_of_a_rotation_says_whether_a_version_would_be_made() -> None:
    async def story(azure: Azure) -> None:
        for latest, makes in ((MID, True), ("f" * 32, False)):
            wish = RotateWish(key=KEY, if_latest_is=latest)
            item = rotate_item(wish, Cause("c", Source.HTTP), azure.time.now())
            told = await put_or_plan(azure.app.context, item, dry_run=True)
            assert told["makesVersion"] is makes
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 2

    on_azure(ESTATE, story)
