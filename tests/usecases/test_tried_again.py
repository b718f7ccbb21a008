"""Resources that failed because their grant had not spread, after nobody remembers that any more."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import Faults
from sandbox.queues import queue_of
from shared.domain.reasons import Reason
from shared.domain.report import Converged
from shared.domain.service import May
from shared.domain.work import WORK_QUEUE
from tests.support.azure import Azure, on_azure, principal_of, vault
from tests.support.enforced import KEYS, changes, enforced, item, refusal
from tests.support.enforcing import nothing_yet, policy
from tests.support.moving import grant, resource
from tests.support.revoking import entry

ONE = resource("Microsoft.OperationalInsights/clusters", "law", {"provisioningState": "Succeeded"})
MAY = f"may: [{', '.join(one.value for one in May)}]"
ON_FRIDAYS = 'windows: [{days: [fri], from: "08:00", to: "08:02"}]'
FAILED = {**ONE, "properties": {"provisioningState": "Failed"}}
USE = ["get", "wrapKey", "unwrapKey"]


def by_policies(one: dict[str, Any] = ONE) -> dict[str, Any]:
    home = vault(enableRbacAuthorization=False, accessPolicies=[entry(principal_of("law"), keys=USE)])
    return nothing_yet(one, home, keys=KEYS)


def by_roles(one: dict[str, Any] = ONE) -> dict[str, Any]:
    return {**nothing_yet(one, vault(), keys=KEYS), "roleAssignments": [grant(principal_of("law"))]}


def deny(azure: Azure, times: int = 1) -> None:
    """Let the next changes begin well and fail for want of access."""
    operation = {"do": "fail", "seconds": 30, "code": "KeyVaultAccessForbidden"}
    faults = Faults(lambda call: "write" if call.method in {"PATCH", "PUT"} else "other")
    faults.put([{"match": {"path": "clusters/law", "method": "PATCH"}, "times": times, "do": {"operation": operation}}])
    faults.install(azure.world)


def state(azure: Azure) -> str:
    return str(azure.body(ONE)["properties"]["provisioningState"])


def is_there(azure: Azure) -> bool:
    key = azure.body(ONE)["properties"].get("keyVaultProperties") or {}
    return (state(azure), key.get("keyName")) == ("Succeeded", "cmk")


async def fail(azure: Azure) -> None:
    """Let the app begin, and fail for want of access."""
    deny(azure)
    await azure.put(item(azure, ONE))
    while state(azure) != "Failed":
        await azure.drain(until=timedelta(minutes=1))


def forget(azure: Azure) -> None:
    """Let the app die with all it had, its work too."""
    work = queue_of(azure.world, "cmkautopilot", WORK_QUEUE)
    assert work is not None
    work.messages.clear()
    azure.app = azure.instance()


@pytest.mark.parametrize("described", [by_policies, by_roles], ids=["policies", "roles"])
def test_one_that_was_held_for_a_week_is_finished_when_its_window_opens_again(tmp_path: Path, described: Any) -> None:
    async def story(azure: Azure) -> None:
        await fail(azure)
        await azure.drain(until=timedelta(days=8))
        assert is_there(azure)

    on_azure(described(), story, environ=policy(tmp_path, MAY, ON_FRIDAYS))


@pytest.mark.parametrize("after", [timedelta(minutes=1), timedelta(hours=6), timedelta(days=3)], ids=str)
@pytest.mark.parametrize("described", [by_policies, by_roles], ids=["policies", "roles"])
def test_one_whose_work_was_lost_is_finished_by_an_app_that_knows_nothing_of_it(
    tmp_path: Path, described: Any, after: timedelta
) -> None:
    async def story(azure: Azure) -> None:
        await fail(azure)
        await azure.drain()
        forget(azure)
        await azure.drain(until=after)
        await asyncio.sleep(after.total_seconds())
        await enforced(azure, ONE)
        await azure.drain(until=timedelta(hours=1))
        assert is_there(azure)

    on_azure(described(), story, environ=policy(tmp_path, MAY))


def test_one_that_keeps_failing_is_tried_twice_a_day_at_most_and_told_each_time(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        deny(azure, times=1000)
        for _ in range(20):  # sweeps of five days
            await asyncio.sleep(6 * 3600)
            report = (await azure.check(ONE))[-1]
            await azure.drain(until=timedelta(minutes=2))
        assert refusal((azure.reports or [report])[-1]) in {Reason.KEY_ACCESS_DENIED, Reason.PROVISIONING_FAILED}
        assert 5 <= len(changes(azure)) <= 10
        assert refusal(await enforced(azure, ONE)) is Reason.PROVISIONING_FAILED

    on_azure(by_policies(FAILED), story, environ=policy(tmp_path, MAY))


def test_so_it_is_where_the_evidence_of_a_day_takes_several_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.evidence_reading._MOST_FILES", 4)

    async def story(azure: Azure) -> None:
        deny(azure, times=1000)
        for _ in range(24):  # writes of others on two days
            await asyncio.sleep(2 * 3600)
            await azure.check(ONE)
            azure.app = azure.instance()
            await azure.drain(until=timedelta(minutes=2))
        assert 2 <= len(changes(azure)) <= 5

    on_azure(by_policies(FAILED), story, environ=policy(tmp_path, MAY))


def test_where_the_evidence_is_too_much_to_look_through_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.evidence_reading._MOST_FILES", 1)
    other = resource("Microsoft.MachineLearningServices/workspaces", "mlw", {"provisioningState": "Succeeded"})

    async def story(azure: Azure) -> None:
        for _ in range(12):
            await enforced(azure, other)
            await asyncio.sleep(2 * 3600)
        assert refusal(await enforced(azure, FAILED)) is Reason.PROVISIONING_FAILED
        assert changes(azure) == []

    described = by_policies(FAILED)
    described["resources"].append(other)
    on_azure(described, story, environ=policy(tmp_path, MAY))


def test_one_whose_access_is_not_in_order_is_left_to_people(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, FAILED)) is Reason.PROVISIONING_FAILED
        assert changes(azure) == []

    on_azure(nothing_yet(FAILED, vault(), keys=KEYS), story, environ=policy(tmp_path, MAY))


def test_where_no_evidence_can_be_read_nothing_is_tried(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, FAILED)) is Reason.PROVISIONING_FAILED
        assert changes(azure) == []

    environ = {**policy(tmp_path, MAY), "CMK_EVIDENCE": "off"}
    on_azure(by_policies(FAILED), story, environ=environ)


def test_a_failure_that_nobody_saw_is_tried_once_where_all_is_in_order(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await enforced(azure, FAILED)
        assert isinstance((await azure.drain(until=timedelta(minutes=5)) or azure.reports)[-1].outcome, Converged)
        assert is_there(azure)

    on_azure(by_policies(FAILED), story, environ=policy(tmp_path, MAY))
