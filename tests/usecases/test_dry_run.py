"""A dry run says what would be done, resource by resource, and does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from shared.domain.report import Expanded
from shared.domain.work import Cause, Source
from shared.usecases.forms import ConvergeWish, EnforceWish, RotateWish
from shared.usecases.wishes import converge_item, enforce_item, put_or_plan, rotate_item
from tests.support.azure import MID, Azure, account, estate, on_azure, scope, vault
from tests.support.moving import resource
from tests.support.policies import PolicyFile

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


REPORTED = (
    "  - name: begin\n    where: {names: [new*]}\n    rotation: fix\n    encryption: fix\n"
    f"    key: {KEY}\n    may: [grant]\n"
    "  - name: tell\n    where: {names: [tell*]}\n    rotation: fix\n"
    "  - name: leave\n    where: {names: [left*]}\n    rotation: fix\n    encryption: ignore\n"
    "  - name: rest\n    rotation: fix\n"
)


def test_a_dry_run_of_everything_counts_what_would_come_of_it_and_who_is_only_reported(tmp_path: Path) -> None:
    plain = [account(name, key="") for name in ("new1", "tell1", "tell2", "left1")]
    disk = resource("Microsoft.Compute/disks", "telldisk", {"encryption": {"type": "EncryptionAtRestWithPlatformKey"}})
    locked = account("st5", "f" * 32)

    async def story(azure: Azure) -> None:
        sweep = enforce_item(EnforceWish(all=True), Cause("c", Source.HTTP), azure.time.now())
        told = await put_or_plan(azure.app.context, sweep, dry_run=True)
        counts = {"changed": 2, "waits": 0, "stopped": 1, "inOrder": 1, "gone": 0, "failed": 0, "reported": 3}
        assert told["counts"] == counts
        assert sum(counts.values()) - 3 == len(told["resources"])
        assert (azure.calls("write"), azure.waiting()) == ([], [])
        await azure.put(sweep)
        (swept, *_) = [one.outcome for one in await azure.drain() if isinstance(one.outcome, Expanded)]
        assert swept.unencrypted == counts["reported"]

    described = estate(account("st1"), account("st2", MID), locked, *plain, disk, vault())
    on_azure(described, story, environ=PolicyFile(tmp_path, REPORTED).environ)


def test_a_dry_run_for_a_key_counts_too() -> None:
    async def story(azure: Azure) -> None:
        told = await planned(azure, ConvergeWish(key=KEY))
        assert {name: number for name, number in told["counts"].items() if number} == {"changed": 2, "inOrder": 2}

    on_azure(ESTATE, story)
