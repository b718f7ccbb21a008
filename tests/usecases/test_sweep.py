"""The sweep: one at a time over all instances, in slices over the day, and what should be readable is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.store import save
from sandbox.faults import Faults
from shared.bootstrap import App
from shared.domain.reasons import Reason
from shared.domain.report import Answered, Expanded, Report, Waiting
from shared.domain.resource import address_of
from shared.domain.work import Cause, Source, Sweep
from shared.usecases.expand import expand
from shared.usecases.sweeping import HELD_FOR, SLICES, slice_of
from tests.support.azure import MID, OLD, SUB, Azure, account, estate, on_azure
from tests.support.policies import ALL, PolicyFile

HIDDEN = "77777777-7777-7777-7777-777777777777"
GONE = "88888888-8888-8888-8888-888888888888"


def sweep(azure: Azure, name: str = "sweep-1", source: Source = Source.TIMER, slice_: int | None = None) -> Sweep:
    return Sweep(Cause(name, source), azure.time.now(), slice=slice_)


async def swept(azure: Azure, slice_: int | None = None, source: Source = Source.TIMER) -> list[Report]:
    await azure.put(sweep(azure, f"sweep-{azure.time.now()}", source, slice_))
    return await azure.drain()


def listed(azure: Azure) -> list[str]:
    return [call.split("/")[-2] for call in azure.calls("childList")]


def many(count: int = 12) -> list[dict[str, Any]]:
    return [account(f"st{number:02}", key="") for number in range(count)]


def in_slice(accounts: Iterable[dict[str, Any]], wanted: int) -> list[str]:
    return [one["name"] for one in accounts if slice_of(address_of(one["id"])) == wanted]


def test_the_timers_sweeps_of_a_day_list_each_collection_once() -> None:
    accounts = many()

    async def story(azure: Azure) -> None:
        day: list[str] = []
        for number in range(SLICES):
            azure.world.log.clear()
            await swept(azure, number)
            assert sorted(listed(azure)) == in_slice(accounts, number)
            day += listed(azure)
            await asyncio.sleep(6 * 3600)
        assert sorted(day) == [one["name"] for one in accounts]
        assert all(in_slice(accounts, number) for number in range(SLICES))

    on_azure(estate(*accounts), story)


def test_a_sweep_that_somebody_asks_for_lists_every_collection() -> None:
    accounts = many()

    async def story(azure: Azure) -> None:
        await swept(azure, None, Source.HTTP)
        assert sorted(listed(azure)) == [one["name"] for one in accounts]

    on_azure(estate(*accounts), story)


def test_a_converged_estate_costs_no_write_and_each_resource_one_read_a_day() -> None:
    users = [account(f"st{number}", MID) for number in range(8)]

    async def story(azure: Azure) -> None:
        reads: list[str] = []
        for number in range(SLICES):
            azure.world.log.clear()
            await swept(azure, number)
            reads += [call.rpartition("/")[2] for call in azure.calls("read") if "storageAccounts" in call]
            assert azure.calls("write") == []
            await asyncio.sleep(6 * 3600)
        assert sorted(reads) == sorted(one["name"] for one in users)

    on_azure(estate(*users), story)


def test_every_sweep_finds_what_no_event_told_of_whatever_the_slice() -> None:
    users = [account(f"st{number}", MID) for number in range(8)]

    async def story(azure: Azure) -> None:
        await swept(azure, 0)
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        key.versions.append(
            type(key.latest)("c3" * 16, azure.world.now(), azure.world.now(), modulus=key.latest.modulus)
        )
        await asyncio.sleep(6 * 3600)
        await swept(azure, 1)
        assert [azure.in_use(one) for one in users] == ["c3" * 16] * 8

    on_azure(estate(*users), story)


def test_a_resource_that_the_index_shows_wrongly_is_found_within_the_day() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        await swept(azure, 0)
        azure.world.memory["graph"]["lag"] = 7 * 24 * 3600.0
        body = azure.body(one)
        encryption = body["properties"]["encryption"]
        pointer = {**encryption["keyvaultproperties"], "keyversion": OLD, "currentVersionedKeyIdentifier": f"x/{OLD}"}
        changed = {**encryption, "keyvaultproperties": pointer}
        save(azure.world, {**body, "properties": {**body["properties"], "encryption": changed}})
        for number in range(1, SLICES + 1):
            await asyncio.sleep(6 * 3600)
            await swept(azure, number % SLICES)
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


async def handled(app: App, item: Sweep) -> Report:
    return await expand(app.context, item)


def crowd() -> list[dict[str, Any]]:
    """Return more accounts than one page holds."""
    return [account(f"st{number:03}", key="") for number in range(201)]


def test_while_one_instance_sweeps_the_timers_second_sweep_is_dropped_and_an_asked_for_one_waits() -> None:
    async def story(azure: Azure) -> None:
        other = azure.instance()
        first = await handled(azure.app, sweep(azure, "one", slice_=0))
        assert isinstance(first.outcome, Expanded)
        assert first.outcome.more
        timer = await handled(other, sweep(azure, "two", slice_=0))
        assert isinstance(timer.outcome, Answered)
        asked = await handled(other, sweep(azure, "three", Source.HTTP))
        assert isinstance(asked.outcome, Waiting)
        assert asked.reasons == (Reason.SWEEP_GOING_ON,)
        await azure.drain(until=timedelta(minutes=5))
        ended = [one for one in azure.reports if isinstance(one.item, Sweep)]
        assert [(one.item.cause.id, type(one.outcome).__name__) for one in ended if one.item] == [
            ("one", "Expanded"),
            ("three", "Expanded"),
            ("three", "Expanded"),
        ]

    on_azure(estate(*crowd()), story)


def test_two_sweeps_at_the_same_moment_become_one() -> None:
    async def story(azure: Azure) -> None:
        apps = (azure.app, azure.instance())
        found = await asyncio.gather(*(handled(app, sweep(azure, str(at))) for at, app in enumerate(apps)))
        assert sorted(type(one.outcome).__name__ for one in found) == ["Answered", "Expanded"]

    on_azure(estate(*crowd()), story)


def test_a_sweep_whose_instance_died_gives_way_after_a_quarter_of_an_hour() -> None:
    async def story(azure: Azure) -> None:
        other = azure.instance()
        await handled(azure.app, sweep(azure, "dies"))
        await asyncio.sleep(HELD_FOR.total_seconds() - 5)
        assert isinstance((await handled(other, sweep(azure, "early"))).outcome, Answered)
        await asyncio.sleep(5)
        assert isinstance((await handled(other, sweep(azure, "late"))).outcome, Expanded)

    on_azure(estate(*crowd()), story)


def expecting(folder: Path, expect: str) -> PolicyFile:
    return PolicyFile(folder, ALL, more=f"expect: {{{expect}}}\n")


GROUPS: dict[str, Any] = {
    "managementGroups": [
        {"name": "landing-zones"},
        {"name": "ledger", "parent": "landing-zones", "subscriptions": [HIDDEN]},
    ],
}


def blocked(reports: list[Report]) -> list[tuple[Reason, str]]:
    return [
        (one.reason, one.detail)
        for each in reports
        if isinstance(each.outcome, Expanded)
        for one in each.outcome.blocked
    ]


def with_groups(*resources: dict[str, Any]) -> dict[str, Any]:
    described = estate(*resources, **GROUPS)
    described["subscriptions"][0]["managementGroup"] = "ledger"
    return described


def test_a_declared_subscription_that_cannot_be_read_is_told_wherever_reports_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = expecting(tmp_path, f"subscriptions: [{SUB.upper()}, {GONE}]")
    environ = {**file.environ, "CMK_EVIDENCE": str(tmp_path / "evidence")}

    async def story(azure: Azure) -> None:
        reports = await swept(azure)
        assert blocked(reports) == [(Reason.SUBSCRIPTION_UNREADABLE, f"subscription {GONE}")]
        (told,) = [one for one in azure.outcomes() if one["type"] == "CmkAutopilot.Report.Expanded"]
        assert told["data"]["outcome"]["blocked"][0]["detail"] == f"subscription {GONE}"
        assert "Reader" in told["data"]["remedies"]["subscription_unreadable"]

    with caplog.at_level("INFO", logger="cmk"):
        on_azure(estate(account("st1", MID)), story, environ=environ)
    (line,) = [one for one in caplog.records if GONE in one.getMessage()]
    assert line.levelname == "WARNING"
    kept = "".join(one.read_text() for one in (tmp_path / "evidence").rglob("*.jsonl"))
    assert GONE in kept


def test_subscriptions_below_a_management_group_are_expected_too(tmp_path: Path) -> None:
    file = expecting(tmp_path, "managementGroups: [Landing-Zones]")

    async def story(azure: Azure) -> None:
        assert blocked(await swept(azure)) == [(Reason.SUBSCRIPTION_UNREADABLE, f"subscription {HIDDEN}")]

    on_azure(with_groups(account("st1", MID)), story, environ=file.environ)


def test_a_management_group_that_cannot_be_read_is_told_and_the_sweep_goes_on(tmp_path: Path) -> None:
    file = expecting(tmp_path, f"managementGroups: [nobodys], subscriptions: [{GONE}]")
    one = account("st1")

    async def story(azure: Azure) -> None:
        (group, subscription) = blocked(await swept(azure))
        assert group[0] is Reason.SUBSCRIPTION_UNREADABLE
        assert group[1].startswith("management group nobodys: 403 AuthorizationFailed")
        assert subscription[1] == f"subscription {GONE}"
        assert azure.in_use(one) == MID

    on_azure(estate(one), story, environ=file.environ)


def test_a_management_group_that_does_not_answer_now_does_not_make_the_sweep_begin_again(tmp_path: Path) -> None:
    file = expecting(tmp_path, "managementGroups: [ledger]")

    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "read")
        faults.install(azure.world)
        faults.put([{"match": {"path": ".*descendants"}, "do": {"status": 503}}])
        reports = await swept(azure)
        assert sum(isinstance(one.item, Sweep) for one in reports) == 1
        ((reason, _),) = blocked(reports)
        assert reason is Reason.SUBSCRIPTION_UNREADABLE

    on_azure(with_groups(account("st1", MID)), story, environ=file.environ)


def test_a_sweep_with_nothing_missing_says_nothing_of_it(tmp_path: Path) -> None:
    file = expecting(tmp_path, f"subscriptions: [{SUB}]")

    async def story(azure: Azure) -> None:
        reports = await swept(azure)
        assert blocked(reports) == []
        assert [one["type"] for one in azure.outcomes()] == ["CmkAutopilot.Report.Converged"]

    on_azure(with_groups(account("st1", MID)), story, environ=file.environ)


def test_a_rule_may_hang_on_any_management_group_above(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, "  - name: zones\n    where: {managementGroups: [LANDING-zones]}\n    rotation: fix\n")
    one = account("st1")

    async def story(azure: Azure) -> None:
        await azure.check(one)
        assert azure.in_use(one) == MID

    on_azure(with_groups(one), story, environ=file.environ)
