"""Wishes at Search, SQL, Synapse and Cosmos DB: a dry run names what is then done, what cannot be is said at once."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.searchservices import objects
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.plan import Action, SetKeys
from shared.domain.policy import Version
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Converged, Write
from shared.domain.resource import Change, Edit
from shared.domain.service import May
from shared.domain.work import Cause, CheckResource, Source
from shared.errors import Refusal
from shared.usecases.forms import EnforceWish, RevertWish, UseKeyWish
from shared.usecases.wishes import enforce_item, put_or_plan, revert_item, use_key_item
from tests.support.azure import MID, NEW, OLD, Azure, on_azure, version
from tests.support.keyed import using
from tests.support.moving import key, resource
from tests.support.policies import allowing
from tests.support.recorded import unrecorded
from tests.usecases.test_service_cosmos import FOLLOWER, PLATFORM
from tests.usecases.test_service_search import HOTELS, SERVICE
from tests.usecases.test_service_search import INDEX as INDEX_ID
from tests.usecases.test_service_sql import protected, protector, server
from tests.usecases.test_service_synapse import workspace

SQL, SYNAPSE = server("sql1"), workspace()
PROTECTOR = protector(SQL)
FIRST = resource("Microsoft.Synapse/workspaces", "syn2", {"provisioningState": "Succeeded"})
MINE = {**protector(server("sql2")), "properties": {"serverKeyType": "ServiceManaged"}}
KEYS = {
    "kv-main": [
        {"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]},
        {"name": "other", "versions": [version(NEW)]},
    ]
}
PLACES = {
    "search": {"id": INDEX_ID},
    "sql": PROTECTOR,
    "sql on its own key": MINE,
    "synapse": SYNAPSE,
    "synapse on its own key": FIRST,
    "cosmos": FOLLOWER,
    "cosmos on its own key": PLATFORM,
}
OTHER = {"key": key("", "other")}
HOP = {"key": key(""), "through": key("", "other")}
PIN, FOLLOW, REVERT, ENFORCE = {"version": "pin"}, {"version": "follow"}, {"revert": True}, {"enforce": True}
# What each wish comes to: the keys that are named one after the other ("" is the platform's), or why it is not done.
DONE: dict[tuple[str, str], tuple[dict[str, Any], list[str] | Reason]] = {
    ("search", "another key"): (OTHER, [key(NEW, "other")]),
    ("search", "follow"): (FOLLOW, [key(MID)]),
    ("search", "pin"): (PIN, [key(MID)]),
    ("search", "revert"): (REVERT, Reason.NO_WAY_BACK),
    ("search", "a hop"): (HOP, Reason.BAD_REQUEST),
    ("search", "enforce"): (ENFORCE, [key(MID)]),
    ("sql", "another key"): (OTHER, [key(NEW, "other")]),
    ("sql", "follow"): (FOLLOW, [key(MID)]),
    ("sql", "pin"): (PIN, [key(MID)]),
    ("sql", "revert"): (REVERT, [""]),
    ("sql", "enforce"): (ENFORCE, [key(MID)]),
    ("sql on its own key", "another key"): (OTHER, [key(NEW, "other")]),
    ("sql on its own key", "pin"): (PIN, Reason.BAD_REQUEST),
    ("sql on its own key", "enforce"): (ENFORCE, Reason.NOT_ENCRYPTED),
    ("synapse", "another key"): (OTHER, [key(NEW, "other")]),
    ("synapse", "follow"): (FOLLOW, Reason.NEVER_FOLLOWS),
    ("synapse", "pin"): (PIN, Reason.HOP_ONLY),
    ("synapse", "revert"): (REVERT, Reason.NO_WAY_BACK),
    ("synapse", "a hop"): (HOP, [key(NEW, "other"), key(MID)]),
    ("synapse", "enforce"): (ENFORCE, Reason.HOP_ONLY),
    ("synapse on its own key", "another key"): (OTHER, Reason.CHOSEN_AT_CREATION),
    ("cosmos", "another key"): (OTHER, [key(NEW, "other")]),
    ("cosmos", "pin"): (PIN, Reason.ALWAYS_FOLLOWS),
    ("cosmos", "revert"): (REVERT, Reason.NO_WAY_BACK),
    ("cosmos", "enforce"): (ENFORCE, []),
    ("cosmos on its own key", "another key"): (OTHER, [key(NEW, "other")]),
    ("cosmos on its own key", "revert"): (REVERT, []),
}
CASES = list(DONE)


def described(*, granted: bool = True) -> dict[str, Any]:
    found = using(
        copy.deepcopy(FOLLOWER),
        PLATFORM,
        SERVICE,
        SYNAPSE,
        FIRST,
        *protected(SQL),
        server("sql2"),
        MINE,
        search={"srch1": {"indexes": [HOTELS]}},
    )
    return {**found, "keys": KEYS} | ({} if granted else {"roleAssignments": []})


def wishing(azure: Azure, place: str, wanted: dict[str, Any]) -> CheckResource:
    id_, cause, now = str(PLACES[place]["id"]), Cause("c", Source.HTTP), azure.time.now()
    if "enforce" in wanted:
        found = enforce_item(EnforceWish(id_), cause, now)
        assert isinstance(found, CheckResource)
        return found
    if "revert" in wanted:
        return revert_item(RevertWish(id_, confirm=id_.rpartition("/")[2]), cause, now)
    told = {**wanted, "version": Version(wanted.get("version", "keep"))}
    return use_key_item(UseKeyWish(id_, **told), cause, now)


def writes(azure: Azure) -> list[str]:
    """Return what was changed anywhere, by whatever API."""
    return [
        f"{one.method} {one.url.partition('?')[0]}"
        for one in azure.world.log
        if one.method in {"PUT", "PATCH", "DELETE"} and one.kind not in {"queue", "topic", "blob", "identity"}
    ]


def untouched(azure: Azure, place: str) -> dict[str, Any]:
    """Return all that the wish is not about, as it is stored now."""
    mine = str(PLACES[place]["id"]).rpartition("/encryptionProtector")[0] or str(PLACES[place]["id"])
    found = {
        str(one["id"]): copy.deepcopy(one)
        for one in azure.world.resources.under(f"/{str(PLACES[place]['id']).split('/')[1]}")
        if not str(one["id"]).startswith(mine) and "roleAssignments" not in str(one["id"])
    }
    index = copy.deepcopy(objects(azure.world, "srch1", "indexes")["hotels"])
    return found | ({} if place == "search" else {"index": index})


def identities(azure: Azure) -> dict[str, Any]:
    return {
        str(one["id"]): one["identity"] for one in azure.world.resources.under("/subscriptions") if "identity" in one
    }


def told(edits: list[Edit] | list[Write]) -> list[str]:
    keys = [one.after if isinstance(one, Write) else one.to for one in edits]
    return [one.url if one else "" for one in keys]


async def planned(azure: Azure, item: CheckResource) -> tuple[Any, ...]:
    found = await put_or_plan(azure.app.context, item, dry_run=True)
    assert writes(azure) == azure.waiting() == []
    return tuple(found["steps"])


@pytest.mark.parametrize(("place", "what"), CASES, ids=[f"{place}, {what}" for place, what in CASES])
def test_a_dry_run_of_a_wish_names_exactly_what_is_then_done_and_nothing_else_changes(
    tmp_path: Path, place: str, what: str
) -> None:
    wanted, outcome = DONE[place, what]

    async def story(azure: Azure) -> None:
        others, who = untouched(azure, place), identities(azure)
        item = wishing(azure, place, wanted)
        steps = await planned(azure, item)
        if isinstance(outcome, Reason):
            assert {one.reason for one in steps if isinstance(one, Blocked)} == {outcome}
            if "enforce" not in wanted:
                with pytest.raises(Refusal) as refused:
                    await put_or_plan(azure.app.context, item, dry_run=False)
                assert refused.value.reason is outcome
            await azure.put(item)
            await azure.drain(until=timedelta(days=2))
            assert writes(azure) == []
            return
        first = [edit for one in steps if isinstance(one, SetKeys) for edit in one.changes]
        assert told(first) == outcome[:1]
        await put_or_plan(azure.app.context, item, dry_run=False)
        await azure.drain(until=timedelta(hours=30))
        wrote = [one for report in azure.reports for one in report.wrote]
        assert told(wrote) == outcome
        assert isinstance(azure.reports[-1].outcome, Converged), azure.reports[-1].outcome
        assert untouched(azure, place) == others
        assert identities(azure) == who
        assert await unrecorded(azure) == []
        done = len(writes(azure))
        await azure.put(wishing(azure, place, wanted))
        await azure.drain(until=timedelta(hours=30))
        assert len(writes(azure)) == done

    environ = allowing(tmp_path, *(one.value for one in May)) | {"CMK_EVIDENCE": str(tmp_path / "evidence")}
    on_azure(described(), story, environ=environ)


MOVES = [one for one in CASES if isinstance(DONE[one][1], list) and DONE[one][1]]


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize(("place", "what"), MOVES, ids=[f"{place}, {what}" for place, what in MOVES])
def test_killed_at_every_write_a_wish_comes_to_the_same(tmp_path: Path, place: str, what: str, *, after: bool) -> None:
    wanted, outcome = DONE[place, what]

    class DiedError(BaseException):
        pass

    async def story(azure: Azure) -> None:
        died: set[str] = set()

        def die(call: Call) -> None:
            name = f"{call.method} {call.path} {call.body!r}"
            known = "management" in call.host or "search" in call.host
            if call.method in {"PUT", "PATCH"} and known and name not in died:
                died.add(name)
                raise DiedError

        def afterwards(call: Call, answer: Answer) -> Answer:
            die(call)
            return answer

        azure.world.hooks = Hooks(after=afterwards) if after else Hooks(before=die)
        await azure.put(wishing(azure, place, wanted))
        while True:
            try:
                await azure.drain(until=timedelta(hours=6))
            except DiedError:
                azure.app = azure.instance()
            else:
                break
        assert died
        assert isinstance(azure.reports[-1].outcome, Converged), azure.reports[-1].outcome
        uses = azure.reports[-1].outcome.uses
        assert [one.configured.key.url for one in uses] == [one.rpartition("/")[0] for one in outcome[-1:] if one]  # type: ignore[index]
        assert await unrecorded(azure) == []

    environ = allowing(tmp_path, *(one.value for one in May)) | {"CMK_EVIDENCE": str(tmp_path / "evidence")}
    on_azure(described(), story, environ=environ)


OUT_OF_REACH = [("sql", "another key"), ("synapse", "another key"), ("synapse", "a hop"), ("cosmos", "another key")]


@pytest.mark.parametrize("may", [True, False], ids=["the rule may grant", "it may not"])
@pytest.mark.parametrize(("place", "what"), OUT_OF_REACH, ids=[f"{place}, {what}" for place, what in OUT_OF_REACH])
def test_a_key_out_of_reach_is_granted_first_or_told_at_once(
    tmp_path: Path, place: str, what: str, *, may: bool
) -> None:
    wanted, _ = DONE[place, what]

    async def story(azure: Azure) -> None:
        steps = await planned(azure, wishing(azure, place, wanted))
        if may:
            actions = [type(one) for one in steps if isinstance(one, Action)]
            assert actions == [GrantAccess, SetKeys]
            assert all(isinstance(one, Change) for one in steps[1].changes)
        else:
            assert [getattr(one, "reason", None) for one in steps] == [Reason.KEY_ACCESS_DENIED]
            with pytest.raises(Refusal):
                await put_or_plan(azure.app.context, wishing(azure, place, wanted), dry_run=False)

    words = [one.value for one in May if may or one is not May.GRANT]
    on_azure(described(granted=False), story, environ=allowing(tmp_path, *words))
