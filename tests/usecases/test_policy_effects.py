"""What a rule says holds wherever work comes from, and outside the policy nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.report import Waiting
from shared.domain.work import Cause, CheckChildren, CheckVault, Source, Sweep
from shared.usecases.forms import ConvergeWish
from shared.usecases.health import health
from shared.usecases.wishes import converge_item, put_or_plan
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure, scope
from tests.support.policies import PolicyFile, text
from tests.support.whole_app import WholeApp, with_app

KEY = "https://kv-main.vault.azure.net/keys/cmk"
ONE, SCOPE = account("st1"), scope("st2", "one")
ESTATE = estate(ONE, account("st2", key=""), SCOPE)
BOTH = (ONE, SCOPE)
Way = Callable[[Azure], Coroutine[Any, Any, None]]
CAUSE = Cause("cause-1", Source.EVENT)


async def key_event(azure: Azure) -> None:
    await azure.check_key()


async def vault_event(azure: Azure) -> None:
    await azure.put(CheckVault(CAUSE, azure.time.now(), host="kv-main.vault.azure.net"))


async def resource_events(azure: Azure) -> None:
    for one in BOTH:
        await azure.check(one)


async def children(azure: Azure) -> None:
    await azure.check(ONE)
    now = azure.time.now()
    await azure.put(CheckChildren(azure.address(account("st2")), str(SCOPE["type"]), CAUSE, now, now))


async def timers_sweeps(azure: Azure) -> None:
    for number in range(4):
        await azure.put(Sweep(CAUSE, azure.time.now(), slice=number))


async def asked_for_key(azure: Azure) -> None:
    await put(azure, ConvergeWish(key=KEY))


async def asked_for_vault(azure: Azure) -> None:
    await put(azure, ConvergeWish(vault="kv-main.vault.azure.net"))


async def asked_for_resources(azure: Azure) -> None:
    for one in BOTH:
        await put(azure, ConvergeWish(resource=str(one["id"])))


async def asked_for_all(azure: Azure) -> None:
    await put(azure, ConvergeWish(all=True))


async def put(azure: Azure, wish: ConvergeWish) -> None:
    item = converge_item(wish, Cause("http", Source.HTTP), azure.time.now())
    await put_or_plan(azure.app.context, item, dry_run=wish.dry_run)


WAYS: list[Way] = [
    key_event,
    vault_event,
    resource_events,
    children,
    timers_sweeps,
    asked_for_key,
    asked_for_vault,
    asked_for_resources,
    asked_for_all,
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])


def rotation(mode: str) -> str:
    return f"  - name: the rule\n    rotation: {mode}\n"


@EVERY_WAY
def test_fix_moves_whoever_is_behind(tmp_path: Path, way: Way) -> None:
    async def story(azure: Azure) -> None:
        await way(azure)
        await azure.drain()
        assert [azure.in_use(one) for one in BOTH] == [MID, MID]

    on_azure(ESTATE, story, environ=PolicyFile(tmp_path, rotation("fix")).environ)


def told(azure: Azure) -> dict[str, list[Any]]:
    """Return what was published about each resource: its outcomes without their type's other parts."""
    found: dict[str, list[Any]] = {}
    for one in azure.outcomes():
        found.setdefault(one["subject"].rpartition("/")[2], []).append(one["data"]["outcome"])
    return found


@EVERY_WAY
def test_report_says_who_is_behind_and_writes_nothing(tmp_path: Path, way: Way) -> None:
    async def story(azure: Azure) -> None:
        await way(azure)
        await azure.drain()
        assert azure.calls("write") == []
        found = told(azure)
        assert set(found) == {"st1", "one"}
        for outcome in found["st1"] + found["one"]:
            (blocked,) = outcome["blocked"]
            assert blocked["reason"] == "report_only"
            assert "'the rule'" in blocked["detail"]
            assert f"to version {MID}" in blocked["detail"]

    on_azure(ESTATE, story, environ=PolicyFile(tmp_path, rotation("report")).environ)


@EVERY_WAY
def test_ignore_leaves_alone_and_names_the_rule(tmp_path: Path, way: Way) -> None:
    async def story(azure: Azure) -> None:
        await way(azure)
        await azure.drain()
        assert azure.calls("write") == []
        found = told(azure)
        assert set(found) == {"st1", "one"}
        assert all(one == {"type": "leftAlone", "rule": "the rule"} for one in found["st1"] + found["one"])

    on_azure(ESTATE, story, environ=PolicyFile(tmp_path, rotation("ignore")).environ)


@EVERY_WAY
def test_outside_the_policy_nothing_is_written(tmp_path: Path, way: Way) -> None:
    elsewhere = "  - name: elsewhere\n    where: {types: [Microsoft.Sql/*]}\n    rotation: fix\n"

    async def story(azure: Azure) -> None:
        await way(azure)
        await azure.drain()
        assert azure.calls("write") == []
        found = told(azure)
        assert set(found) == {"st1", "one"}
        assert all(one["blocked"][0]["reason"] == "outside_policy" for one in found["st1"] + found["one"])

    on_azure(ESTATE, story, environ=PolicyFile(tmp_path, elsewhere).environ)


@pytest.mark.parametrize(
    ("mode", "steps"), [("fix", ["SetKeys"]), ("report", ["Blocked"]), ("ignore", [])], ids=["fix", "report", "ignore"]
)
def test_a_dry_run_says_what_the_rule_would_have_done(tmp_path: Path, mode: str, steps: list[str]) -> None:
    async def story(azure: Azure) -> None:
        for wish in (ConvergeWish(key=KEY), ConvergeWish(all=True)):
            item = converge_item(wish, Cause("http", Source.HTTP), azure.time.now())
            plan = await put_or_plan(azure.app.context, item, dry_run=True)
            assert {
                one["id"].rpartition("/")[2]: [type(step).__name__ for step in one["steps"]]
                for one in plan["resources"]
            } == {
                "st1": steps,
                "one": steps,
            }
        assert azure.calls("write") == []
        assert azure.waiting() == []

    on_azure(ESTATE, story, environ=PolicyFile(tmp_path, rotation(mode)).environ)


def test_a_child_falls_under_the_rule_of_its_parents_tags_location_and_kind(tmp_path: Path) -> None:
    tagged, plain = account("sttagged", key=""), account("stplain", key="")
    tagged["tags"] = {"Tier": "gold"}
    scopes = [scope("sttagged", "one"), scope("stplain", "two")]
    rules = "  - name: gold\n    where: {tags: {tier: gold}}\n    rotation: ignore\n" + rotation("fix")

    async def story(azure: Azure) -> None:
        await azure.check_key()
        for one in scopes:
            await azure.check(one)
        assert [azure.in_use(one) for one in scopes] == [OLD, MID]

    on_azure(estate(tagged, plain, *scopes), story, environ=PolicyFile(tmp_path, rules).environ)


def test_a_childs_own_exception_by_the_parents_location_holds(tmp_path: Path) -> None:
    north, west = account("stnorth", key=""), account("stwest", key="")
    north["location"] = "northeurope"
    scopes = [scope("stnorth", "one"), scope("stwest", "two")]
    rules = "  - name: all but the north\n    unless: [{locations: [northeurope]}]\n    rotation: fix\n"

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert [azure.in_use(one) for one in scopes] == [OLD, MID]

    on_azure(estate(north, west, *scopes), story, environ=PolicyFile(tmp_path, rules).environ)


def pointer(azure: Azure, resource: dict[str, Any]) -> Any:
    return azure.body(resource)["properties"]["encryption"]["keyvaultproperties"].get("keyversion")


@pytest.mark.parametrize("slice_", [None, 0, 1, 2, 3])
def test_a_sweep_turns_an_account_to_follow_and_to_pin_as_its_rule_says(tmp_path: Path, slice_: int | None) -> None:
    file = PolicyFile(tmp_path, "  - name: all\n    rotation: fix\n    version: follow\n")
    pinned, following = account("stpinned", MID), account("stfollows", "")

    async def swept(azure: Azure) -> None:
        await asyncio.sleep(60)
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now(), slice=slice_))
        await azure.drain()

    async def story(azure: Azure) -> None:
        await swept(azure)
        assert [pointer(azure, one) or "" for one in (pinned, following)] == ["", ""]
        writes = len(azure.calls("write"))
        assert writes == 1
        file.write(text("  - name: all\n    rotation: fix\n    version: pin\n"))
        await swept(azure)
        assert [pointer(azure, one) for one in (pinned, following)] == [MID, MID]
        assert [azure.in_use(one) for one in (pinned, following)] == [MID, MID]
        await swept(azure)
        assert len(azure.calls("write")) == writes + 2

    on_azure(estate(pinned, following), story, environ=file.environ)


def test_report_does_not_turn_anything(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, "  - name: all\n    version: follow\n")
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(one)
        assert report.reasons == (Reason.REPORT_ONLY,)
        assert azure.calls("write") == []

    on_azure(estate(one), story, environ=file.environ)


def test_writes_off_in_the_file_stops_queued_work_within_a_minute_and_nothing_is_lost(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, rotation("fix"))
    users = [account(f"st{number}") for number in range(6)]

    async def story(azure: Azure) -> None:
        await azure.app.context.ports.policies.current()
        for one in users:
            now = azure.time.now()
            item = converge_item(ConvergeWish(resource=str(one["id"])), Cause("c", Source.HTTP), now)
            await azure.app.context.ports.queue.put(item, visible_at=now + timedelta(minutes=1))
        file.write(text(rotation("fix"), writes="off"))
        await azure.drain(until=timedelta(hours=5))
        assert azure.calls("write") == []
        assert (await health(azure.app.context, azure.app.checkup, (), {})).writes == "off"
        last = {one.address.folded: one for one in azure.reports if one.address}
        assert len(last) == len(users)
        assert all(isinstance(one.outcome, Waiting) and one.reasons == (Reason.WRITES_OFF,) for one in last.values())
        file.write(text(rotation("fix")))
        await azure.drain(until=timedelta(minutes=15))
        assert [azure.in_use(one) for one in users] == [MID] * 6
        assert azure.waiting() == []
        assert (await health(azure.app.context, azure.app.checkup, (), {})).writes == "on"

    on_azure(estate(*users), story, environ=file.environ)


@pytest.mark.parametrize(("mode", "version"), [("fix", MID), ("report", OLD), ("ignore", OLD)])
def test_a_wish_over_http_does_what_the_rule_says_and_no_more(tmp_path: Path, mode: str, version: str) -> None:
    async def story(app: WholeApp) -> None:
        answer = await app.post("converge", {"all": True})
        assert answer.status == 202
        await app.run_until_quiet()
        assert [app.in_use(one) for one in BOTH] == [version, version]
        assert bool(app.calls("write")) is (mode == "fix")

    with_app(ESTATE, story, environ=PolicyFile(tmp_path, rotation(mode)).environ)
