"""A revocation whose process dies between any two steps: it ends, and its evidence names everything that was taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.evidence_query import Query
from shared.domain.report import Stopped
from shared.domain.resource import fold
from shared.domain.revocation import Revoked
from tests.support.azure import Azure, account, estate, on_azure, vault
from tests.support.revoking import allowed, entry, granted, own, revoked, scopes_of, wished

ONE, TWO = account("st1"), account("st2")
VAULT = str(vault()["id"])
USER, ADMINISTRATOR = "12338af0-0e69-4776-bea7-57ae8d297424", "00482a5a-887f-4fb3-b363-3b7fe8e74483"

GRANTS = ("roleassignments/", "accesspolicies/")


class DiedError(Exception):
    """The process ends here."""


def by_roles() -> dict[str, Any]:
    described = estate(ONE, denied=("st1",))
    places = [(VAULT, USER), (f"{VAULT}/keys/cmk", ADMINISTRATOR)]
    return {**described, "roleAssignments": [granted(at, own("st1"), role) for at, role in places]}


def by_policies() -> dict[str, Any]:
    mine = entry(own("st1"), keys=["get", "wrapKey", "unwrapKey"], secrets=["get"])
    return estate(ONE, vault(enableRbacAuthorization=False, accessPolicies=[mine]), denied=("st1",))


def kill(azure: Azure, at: set[int], *, after: bool) -> None:
    """Let the process die before or after each of these changes, counted from 0, once."""
    seen = [0]

    def takes(call: Call) -> bool:
        return call.method in {"DELETE", "PUT"} and any(one in call.path.lower() for one in GRANTS)

    def now() -> None:
        seen[0] += 1
        if seen[0] - 1 in at:
            raise DiedError

    def before(call: Call) -> Answer | None:
        if not after and takes(call):
            now()
        return None

    def afterwards(call: Call, answer: Answer) -> Answer:
        if after and takes(call):
            now()
        return answer

    azure.world.hooks = Hooks(before, afterwards)


async def replayed(azure: Azure) -> Any:
    """Work until the queue is empty; after each death a new process takes the same message up again."""
    while True:
        try:
            return (await azure.drain(until=timedelta(hours=1)))[-1]
        except DiedError:
            azure.app = azure.instance()


async def evidence(azure: Azure) -> list[dict[str, Any]]:
    now = azure.time.now()
    query = Query(now - timedelta(days=1), now + timedelta(seconds=1), 1000, fold(str(ONE["id"])))
    return list((await azure.app.context.ports.evidence.read(query)).lines)


def taken(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{one['step']} {one['place']}" for line in lines for one in line.get("did", ())]


DEATHS: list[tuple[Callable[[], dict[str, Any]], set[int], int]] = [
    (by_roles, {0}, 2),
    (by_roles, {1}, 2),
    (by_roles, {0, 1}, 2),
    (by_policies, {0}, 1),
]


@pytest.mark.parametrize("after", [True, False], ids=["after the effect", "before the effect"])
@pytest.mark.parametrize(("described", "at", "number"), DEATHS, ids=["first", "second", "both", "policy"])
def test_killed_between_any_two_steps_it_ends_and_its_evidence_names_each_grant_that_was_taken_once(
    tmp_path: Path, described: Callable[[], dict[str, Any]], at: set[int], number: int, *, after: bool
) -> None:
    async def story(azure: Azure) -> None:
        kill(azure, at, after=after)
        await wished(azure, ONE)
        report = await replayed(azure)
        assert isinstance(report.outcome, Revoked)
        lines = await evidence(azure)
        assert len(taken(lines)) == len(set(taken(lines))) == number
        undo = [one["said"] for line in lines for one in line.get("did", ())]
        assert all(one["principal"] == own("st1") and (one.get("role") or one.get("permissions")) for one in undo)
        assert report.outcome.principals == (own("st1"),)
        assert scopes_of(azure, own("st1")) == []

    on_azure(described(), story, environ=allowed(tmp_path))


def test_what_is_taken_is_told_before_the_first_of_it_goes(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        kill(azure, {0}, after=False)
        await wished(azure, ONE)
        with pytest.raises(DiedError):
            await azure.drain()
        (line,) = await evidence(azure)
        assert line["outcome"] == "announced"
        assert len(line["takes"]) == len(scopes_of(azure, own("st1"))) == 2

    on_azure(by_roles(), story, environ=allowed(tmp_path))


def test_what_is_refused_is_announced_by_nobody(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wished(azure, ONE)
        azure.world.resources.put({**azure.body(ONE), "managedBy": f"{VAULT}/x"})
        report = (await azure.drain())[-1]
        assert isinstance(report.outcome, Stopped)
        assert [line["outcome"] for line in await evidence(azure)] == ["stopped"]

    on_azure(by_roles(), story, environ=allowed(tmp_path))


def test_a_second_wish_does_not_tell_of_what_the_first_has_taken(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        first, again = await revoked(azure, ONE), await revoked(azure, ONE)
        assert (len(first.did), len(again.did)) == (2, 0)

    on_azure(by_roles(), story, environ=allowed(tmp_path))


def test_without_evidence_it_ends_all_the_same(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        kill(azure, {0}, after=True)
        await wished(azure, ONE)
        assert isinstance((await replayed(azure)).outcome, Revoked)
        assert scopes_of(azure, own("st1")) == []

    on_azure(by_roles(), story, environ={**allowed(tmp_path), "CMK_EVIDENCE": "off"})
