"""A grant above a vault that is taken away is found out for the users of every vault below it, at a bounded cost."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.store import drop
from shared.domain.reasons import Reason
from shared.domain.report import Answered, Expanded, Paced
from shared.domain.work import CheckResource, CheckVault, Source
from shared.usecases.intake import take_events
from tests.support.azure import (
    ENCRYPTION_USER,
    MID,
    SUB,
    Azure,
    account,
    estate,
    group,
    on_azure,
    principal_of,
    scope,
    vault,
    with_two_versions,
)
from tests.support.policies import PolicyFile

ROLES = "/providers/Microsoft.Authorization/roleAssignments"
ABOVE = {"its resource group": group(), "its subscription": f"/subscriptions/{SUB}"}
ONE, TWO = account("st1", MID), account("st2", MID)


def granted_at(above: str, *more: dict[str, Any]) -> dict[str, Any]:
    """Return an estate where st1 reaches its key by a grant above the vault, and st2 by one on it."""
    found = estate(ONE, TWO, *more, vault(), denied=("st1",))
    found["roleAssignments"].append(
        {"scope": above, "principalId": principal_of("st1"), "roleDefinitionId": ENCRYPTION_USER}
    )
    return found


async def taken_away(azure: Azure) -> str:
    """Somebody deletes what st1 was granted; return the id of the assignment, as its event tells it."""
    (id_,) = [
        str(one["id"])
        for one in azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        if one["properties"]["principalId"] == principal_of("st1")
    ]
    drop(azure.world, id_)
    await asyncio.sleep(1)
    return id_


async def told(azure: Azure, id_: str, what: str = "Microsoft.Resources.ResourceDeleteSuccess") -> None:
    """Deliver the event about a role assignment."""
    event = {"id": "e1", "eventType": what, "topic": f"/subscriptions/{SUB}", "subject": id_, "data": {}}
    body = json.dumps([{**event, "data": {"resourceUri": id_}}])
    await take_events(azure.app.context, body, source=Source.EVENT, new_id=lambda: "spare")


def reasons(reports: list[Any]) -> dict[str, tuple[Reason, ...]]:
    return {one.address.arm.name: one.reasons for one in reports if isinstance(one.item, CheckResource)}


@pytest.mark.parametrize("above", ABOVE.values(), ids=list(ABOVE))
def test_who_lost_its_key_by_a_grant_above_the_vault_is_told_of_at_the_event(above: str) -> None:
    async def story(azure: Azure) -> None:
        await told(azure, await taken_away(azure))
        assert reasons(await azure.drain(until=timedelta(minutes=1))) == {"st1": (Reason.ACCESS_LOST,), "st2": ()}
        assert azure.calls("write") == []

    on_azure(granted_at(above), story)


def test_what_lies_below_a_user_is_asked_too(caplog: pytest.LogCaptureFixture) -> None:
    below = scope("st1", "invoices", MID)

    async def story(azure: Azure) -> None:
        await told(azure, await taken_away(azure))
        await azure.drain(until=timedelta(minutes=1))
        assert f"{below['id']} {Reason.ACCESS_LOST.value}" in caplog.text

    on_azure(granted_at(group(), below), story)


def test_a_rule_that_says_restore_has_the_grant_made_again(tmp_path: Path) -> None:
    rules = "  - name: all\n    rotation: fix\n    accessLost: restore\n    may: [grant]\n"

    async def story(azure: Azure) -> None:
        await told(azure, await taken_away(azure))
        await azure.drain(until=timedelta(minutes=30))
        await told(azure, f"{group()}{ROLES}/other")
        assert reasons(await azure.drain(until=timedelta(minutes=30))) == {"st1": (), "st2": ()}
        assert len([one for one in azure.calls("write") if "roleAssignments" in one]) == 1

    on_azure(granted_at(group()), story, environ=PolicyFile(tmp_path, rules).environ)


def test_users_of_vaults_elsewhere_are_left_alone() -> None:
    far = vault("kv-far")
    far["id"] = str(far["id"]).replace("rg-data", "rg-data2")
    away = account("st9", MID, vault="kv-far")
    keys = {"kv-main": [with_two_versions()], "kv-far": [with_two_versions()]}

    async def story(azure: Azure) -> None:
        await told(azure, await taken_away(azure))
        assert set(reasons(await azure.drain(until=timedelta(minutes=1)))) == {"st1", "st2"}

    on_azure({**granted_at(group(), far, away), "keys": keys}, story)


def test_many_of_them_are_answered_by_one_look_each_ten_minutes() -> None:
    async def story(azure: Azure) -> None:
        id_ = await taken_away(azure)
        looks: list[Any] = []
        for _ in range(20):
            await told(azure, id_)
            looks += await azure.drain(until=timedelta(minutes=1))
            await asyncio.sleep(30)
        looks += await azure.drain(until=timedelta(hours=1))
        outcomes = [type(one.outcome) for one in looks if isinstance(one.item, CheckVault)]
        assert outcomes.count(Expanded) <= 4
        assert outcomes.count(Paced) + outcomes.count(Answered) + outcomes.count(Expanded) == len(outcomes)
        assert azure.waiting() == []

    on_azure(granted_at(group()), story)


def test_one_where_no_vault_is_has_nothing_looked_through() -> None:
    async def story(azure: Azure) -> None:
        await azure.app.context.ports.vaults.found()
        before = len(azure.calls("graph"))
        await told(azure, f"/subscriptions/{SUB}/resourceGroups/rg-empty{ROLES}/1")
        (report,) = await azure.drain(until=timedelta(minutes=1))
        assert report.outcome == Expanded(0, 0, more=False)
        assert len(azure.calls("graph")) == before

    on_azure(granted_at(group()), story)


@pytest.mark.parametrize(
    "id_",
    [
        f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st{ROLES}/1",
        f"/providers/Microsoft.Management/managementGroups/mg{ROLES}/1",
        f"/subscriptions/{SUB}/../x{ROLES}/1",
    ],
)
def test_one_that_is_about_no_vault_asks_for_nothing(id_: str) -> None:
    async def story(azure: Azure) -> None:
        await told(azure, id_)
        assert azure.waiting() == []

    on_azure(granted_at(group()), story)
