"""Waves: a few first, the rest while those fare well; and who waits for no wave."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.report import Stopped
from shared.domain.resource import fold
from shared.domain.waves import line_of, place_of
from shared.domain.work import Cause, Source, Sweep
from shared.usecases.forms import ConvergeWish, RotateWish
from shared.usecases.wishes import converge_item, put_or_plan, rotate_item
from tests.support.azure import MID, OLD, START, Azure, account, estate, group, on_azure, scope, version
from tests.support.moving import resource, split
from tests.support.policies import PolicyFile, text
from tests.support.waves import (
    DAY,
    KEY,
    ROLLED,
    TWO_WAVES,
    asked_index,
    canaries,
    just_rotated,
    moved,
    others,
    refuse,
    rule,
    users,
    waits,
)

HTTP = Cause("http", Source.HTTP)
USERS = users()
FIRST, SECOND = canaries(USERS), others(USERS)


def policy(folder: Path, *lines: str) -> dict[str, str]:
    return PolicyFile(folder, rule(*lines or (TWO_WAVES,))).environ


async def wish(azure: Azure, **said: Any) -> None:
    await azure.put(converge_item(ConvergeWish(**said), HTTP, azure.time.now()))
    await azure.drain()


def test_the_canaries_move_at_once_and_the_rest_when_their_wave_opens(tmp_path: Path) -> None:
    assert FIRST
    assert SECOND

    async def story(azure: Azure) -> None:
        reports = await azure.check_key()
        assert (moved(azure, FIRST), moved(azure, SECOND)) == ({MID}, {OLD})
        assert waits(reports) == {"wave_not_open": START + DAY}
        await azure.drain(until=DAY - timedelta(minutes=1))
        assert moved(azure, SECOND) == {OLD}
        await azure.drain(until=DAY + timedelta(minutes=1))
        assert moved(azure, USERS) == {MID}
        assert azure.waiting() == []

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_the_rest_is_held_while_canaries_fail_and_goes_on_when_they_are_mended(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refuse(azure, *FIRST)
        await azure.check_key()
        reports = await azure.drain(until=timedelta(hours=25))
        assert set(waits(reports)) == {"wave_held"}
        held = next(one.outcome.wait.detail for one in reversed(reports) if one.reasons == (Reason.WAVE_HELD,))  # type: ignore[union-attr]
        assert held.startswith(f"{len(FIRST)} of {len(FIRST)} in the waves before are behind: /subscriptions/")
        assert moved(azure, USERS) == {OLD}
        refuse(azure)
        for one in FIRST:
            await azure.check(one)
        await azure.drain(until=timedelta(hours=2))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_a_wave_that_stays_held_ends_as_stopped_and_the_next_sweep_begins_again(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refuse(azure, *FIRST)
        await azure.check_key()
        await azure.drain(until=timedelta(days=4))
        last = {one.address.folded: one for one in azure.reports if one.address}
        ended = [last[azure.address(one).folded] for one in SECOND]
        assert all(isinstance(one.outcome, Stopped) and one.reasons == (Reason.WAVE_HELD,) for one in ended)
        assert azure.waiting() == []
        refuse(azure)
        for _ in range(2):  # the canaries first; then those that waited for them
            await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
            await azure.drain(until=timedelta(hours=1))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_as_many_as_the_rule_allows_may_be_behind(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refuse(azure, FIRST[0])
        await azure.check_key()
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, SECOND) == {MID}

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path, TWO_WAVES, "stopAt: 60"))


def test_whoever_waits_asks_the_index_once_a_minute_and_not_each(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refuse(azure, *FIRST)
        await azure.check_key()
        before = asked_index(azure)
        await azure.drain(until=DAY + timedelta(seconds=5))
        assert 0 < asked_index(azure) - before < len(SECOND)

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_urgent_waits_for_no_wave_and_the_evidence_says_so(tmp_path: Path) -> None:
    environ = policy(tmp_path) | {"CMK_EVIDENCE": str(tmp_path / "evidence")}

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert moved(azure, SECOND) == {OLD}
        await wish(azure, key=KEY, urgent=True)
        assert moved(azure, USERS) == {MID}
        lines = "".join(path.read_text() for path in (tmp_path / "evidence").rglob("*.jsonl"))
        assert lines.count('"urgent":true') >= len(SECOND)

    on_azure(just_rotated(*USERS), story, environ=environ)


def test_an_urgent_rotation_takes_its_urgency_to_all_users(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(rotate_item(RotateWish(key=KEY, urgent=True), HTTP, azure.time.now()))
        await azure.drain()
        assert len(moved(azure, USERS)) == 1
        assert moved(azure, USERS).isdisjoint({OLD, MID})

    on_azure(estate(*USERS), story, environ=policy(tmp_path))


def test_a_resource_that_is_asked_for_by_name_waits_for_no_wave(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wish(azure, resource=str(SECOND[0]["id"]))
        assert (azure.in_use(SECOND[0]), moved(azure, SECOND[1:])) == (MID, {OLD})

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


@pytest.mark.parametrize(
    "old",
    [
        version(OLD, enabled=False),
        version(OLD, expires="2026-04-30T00:00:00Z"),
        version(OLD, expires="2026-05-01T20:00:00Z"),
    ],
    ids=["disabled", "expired", "about to expire"],
)
def test_waves_do_not_hold_who_stands_on_a_version_that_ends(tmp_path: Path, old: dict[str, Any]) -> None:
    keys = {"kv-main": [{"name": "cmk", "versions": [old, version(MID, START.isoformat())]}]}

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert moved(azure, USERS) == {MID}

    on_azure(estate(*USERS, keys=keys), story, environ=policy(tmp_path))


def test_followers_are_not_held_and_hold_nobody(tmp_path: Path) -> None:
    followers = [account(f"follows{number}", "") for number in range(10)]

    async def story(azure: Azure) -> None:
        reports = await azure.check_key()
        told = {one.address.arm.name: one.reasons for one in reports if one.address}
        assert all(told[one["name"]] in {(), (Reason.FOLLOWS_BY_ITSELF,)} for one in followers)
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS, *followers), story, environ=policy(tmp_path))


def test_who_is_under_another_rule_holds_nobody(tmp_path: Path) -> None:
    rules = "  - name: by hand\n    where: {names: [hand*]}\n    rotation: report\n" + rule(TWO_WAVES)
    by_hand = [account(f"hand{number}") for number in range(10)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS, *by_hand), story, environ=PolicyFile(tmp_path, rules).environ)


def test_who_can_never_move_under_the_rule_holds_nobody(tmp_path: Path) -> None:
    unproven = [
        resource(
            "Microsoft.EventHub/namespaces",
            f"hub{number}",
            {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": [split(OLD)]}},
        )
        for number in range(10)
    ]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, USERS) == {MID}
        refusals = [one.reasons for one in azure.reports if one.address and one.address.arm.name == "hub1"]
        assert (Reason.NOT_ALLOWED_BY_RULE,) in refusals

    on_azure(just_rotated(*USERS, *unproven), story, environ=policy(tmp_path))


@pytest.mark.parametrize("why", ["it is the app's own", "its group is managed", "code owns it"])
def test_who_is_never_written_holds_nobody(tmp_path: Path, why: str) -> None:
    apart = group().replace("rg-data", "rg-apart")
    left = [{**one, "id": str(one["id"]).replace(group(), apart)} for one in users(10, "apart")]
    kind = "Microsoft.Resources/subscriptions/resourceGroups"
    home = {"id": apart, "name": "rg-apart", "type": kind, "location": "westeurope"}
    if why == "its group is managed":
        home["managedBy"] = f"{group()}/providers/Microsoft.Solutions/applications/app"
    if why == "code owns it":
        left = [{**one, "tags": {"managed_by": "terraform"}} for one in left]
    own = {"CMK_OWN_RESOURCE_GROUP": apart} if why == "it is the app's own" else {}

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, USERS) == {MID}
        assert moved(azure, left) == {OLD}

    on_azure(just_rotated(*USERS, *left, home), story, environ={**policy(tmp_path), **own})


def test_a_scope_travels_in_the_wave_of_its_account_and_says_so(tmp_path: Path) -> None:
    ahead = [scope(str(FIRST[0]["name"]), f"scope{number}") for number in range(8)]
    scopes = [*ahead, *(behind := [scope(str(SECOND[0]["name"]), f"scope{number}") for number in range(8)])]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=5))
        assert (moved(azure, ahead), moved(azure, behind)) == ({MID}, {OLD})
        told = [one["data"]["outcome"] for one in azure.outcomes() if "encryptionScopes" in str(one["subject"])]
        held = {one["wait"]["detail"].partition(";")[0] for one in told if "wait" in one}
        assert held == {f"wave 2 of 2, with {SECOND[0]['name']}"}
        await azure.drain(until=timedelta(hours=25))
        assert moved(azure, scopes) == {MID}

    on_azure(just_rotated(*USERS, *scopes), story, environ=policy(tmp_path))


def test_a_newer_version_has_waves_of_its_own_and_who_waited_goes_there_at_once_if_first(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.put(rotate_item(RotateWish(key=KEY), HTTP, azure.time.now()))
        await azure.drain(until=timedelta(hours=1))
        assert moved(azure, USERS) == {OLD, MID}  # the newest is younger than a day: none was made
        await azure.drain(until=timedelta(hours=24))
        await azure.put(rotate_item(RotateWish(key=KEY), HTTP, azure.time.now()))
        await azure.drain()
        newest = moved(azure, USERS) - {OLD, MID}
        first = canaries(USERS, f"{KEY}/{newest.pop()}")
        assert [one for one in USERS if azure.in_use(one) not in {OLD, MID}] == first

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_a_dry_run_tells_each_resource_its_wave(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        item = converge_item(ConvergeWish(key=KEY), HTTP, azure.time.now())
        plan = await put_or_plan(azure.app.context, item, dry_run=True)
        told = {one["id"]: one["steps"][0] for one in plan["resources"]}
        assert all(type(told[str(one["id"])]).__name__ == "SetKeys" for one in FIRST)
        for one in SECOND:
            wait = told[str(one["id"])]
            assert (wait.reason, wait.again_at) == (Reason.WAVE_NOT_OPEN, START + DAY)
            assert wait.detail.startswith("wave 2 of 2; ")
        assert azure.calls("write") == []

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_a_first_key_goes_to_the_canaries_first_and_on_when_they_have_it(tmp_path: Path) -> None:
    plain = users(name="hr", key="")
    first = canaries(plain, line_of("all", ""))
    rest = [one for one in plain if one not in first]

    def keyed(azure: Azure, some: list[dict[str, Any]]) -> set[str]:
        return {azure.body(one)["properties"]["encryption"]["keySource"] for one in some}

    async def story(azure: Azure) -> None:
        refuse(azure, *first)
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=1))
        assert keyed(azure, plain) == {"Microsoft.Storage"}
        refuse(azure)
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=3))
        assert keyed(azure, rest) == keyed(azure, first) == {"Microsoft.Keyvault"}

    on_azure(estate(*plain), story, environ=policy(tmp_path, TWO_WAVES, "encryption: fix", f"key: {KEY}"))


def test_who_by_its_own_body_takes_no_key_holds_no_first_key_of_others(tmp_path: Path) -> None:
    plain = users(6, name="hr", key="")
    properties = {"provisioningState": "Succeeded"}
    small = [
        resource("Microsoft.EventHub/namespaces", f"hub{number}", properties, sku={"name": "Standard"})
        for number in range(12)
    ]

    async def story(azure: Azure) -> None:
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=3))
        sources = [azure.body(one)["properties"]["encryption"]["keySource"] for one in plain]
        assert sources == ["Microsoft.Keyvault"] * 6
        told = [one.reasons for one in azure.reports if one.address and one.address.arm.name == "hub1"]
        assert (Reason.NOT_CAPABLE,) in told

    lines = ("waves: [{share: 30}, {share: 100}]", "stopAt: 0", "encryption: fix", f"key: {KEY}")
    on_azure(estate(*plain, *small), story, environ=policy(tmp_path, *lines, "may: [unproven, irreversible]"))


def test_first_keys_by_a_template_are_one_line_so_that_no_two_wait_for_each_other(tmp_path: Path) -> None:
    teams = [f"t{number}" for number in range(4)]
    plain = [{**one, "tags": {"team": teams[at % 4]}} for at, one in enumerate(users(12, name="hr", key=""))]
    keys = {"kv-main": [{"name": f"cmk-{team}", "versions": [version(OLD)]} for team in teams]}

    async def story(azure: Azure) -> None:
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=3))
        used = [azure.body(one)["properties"]["encryption"] for one in plain]
        assert [one["keySource"] for one in used] == ["Microsoft.Keyvault"] * 12

    template = f"key: {KEY}-{{tag:team}}"
    lines = ("waves: [{share: 30}, {share: 100}]", "stopAt: 0", "encryption: fix", template)
    on_azure(estate(*plain, keys=keys), story, environ=policy(tmp_path, *lines))


def test_an_urgent_order_is_not_answered_by_a_look_that_was_not(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        urgent = converge_item(ConvergeWish(key=KEY, urgent=True), HTTP, azure.time.now())
        await asyncio.sleep(1)
        await azure.check_key()
        await azure.put(urgent)
        await azure.drain(until=timedelta(minutes=1))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS), story, environ=policy(tmp_path))


def test_an_urgent_order_while_writing_is_off_is_urgent_when_it_is_on(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)
    file.write(text(rule(TWO_WAVES), writes="off"))

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=1))
        await wish(azure, key=KEY, urgent=True)
        await azure.drain(until=timedelta(minutes=1))
        file.write(text(rule(TWO_WAVES)))
        await azure.drain(until=timedelta(minutes=30))
        assert moved(azure, USERS) == {MID}

    on_azure(just_rotated(*USERS), story, environ=file.environ)


def test_those_that_had_the_key_before_do_not_make_up_for_canaries_that_fail(tmp_path: Path) -> None:
    plain, before = users(name="hr", key=""), users(100, name="old")
    first = canaries(plain, line_of("all", ""))
    rest = [one for one in plain if one not in first]

    async def story(azure: Azure) -> None:
        refuse(azure, *first)
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=1))
        assert {azure.body(one)["properties"]["encryption"]["keySource"] for one in rest} == {"Microsoft.Storage"}

    lines = (TWO_WAVES, "stopAt: 10", "encryption: fix", f"key: {KEY}")
    on_azure(estate(*plain, *before), story, environ=policy(tmp_path, *lines))


@pytest.mark.parametrize("forgets", [False, True])
def test_canaries_that_have_their_key_count_whoever_gave_it_to_them(tmp_path: Path, *, forgets: bool) -> None:
    plain = users(20, name="hr", key="")
    first = canaries(plain, line_of("all", ""))
    assert len(first) > 2

    async def story(azure: Azure) -> None:
        refuse(azure, first[0])
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain()
        if forgets:
            azure.app = azure.instance()
        await azure.drain(until=timedelta(hours=3))
        left = [one for one in plain if azure.body(one)["properties"]["encryption"]["keySource"] == "Microsoft.Storage"]
        assert left == first[:1]

    lines = (TWO_WAVES, f"stopAt: {100 // len(first) + 1}", "encryption: fix", f"key: {KEY}")
    on_azure(estate(*plain), story, environ=policy(tmp_path, *lines))


def test_where_chance_leaves_the_first_wave_empty_one_goes_before_the_rest(tmp_path: Path) -> None:
    few = users(3, name="few")
    waves = "waves: [{share: 1}, {share: 100}]"
    line = sorted(few, key=lambda one: place_of(fold(str(one["id"])), ROLLED))
    assert canaries(few, share=1) == []

    async def story(azure: Azure) -> None:
        refuse(azure, line[0])
        await azure.check_key()
        await azure.drain(until=timedelta(hours=2))
        assert moved(azure, few) == {OLD}
        refuse(azure)
        await azure.check(line[0])
        await azure.drain(until=timedelta(hours=2))
        assert moved(azure, few) == {MID}

    on_azure(just_rotated(*few), story, environ=policy(tmp_path, waves))
