"""Work that cannot be done now: it is hidden until its time, remembers since when it waits, and is never lost."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Stopped, Waiting
from shared.domain.work import (
    AuditVault,
    Cause,
    CheckChildren,
    CheckKey,
    CheckNamed,
    CheckResource,
    CheckVault,
    EndingKey,
    NamedPlace,
    RevokeAccess,
    RotateKey,
    Source,
    Sweep,
    WorkItem,
    decode,
    encode,
)
from shared.errors import TryLater
from shared.usecases.handle import PUT_BACK_AFTER, report_poison
from shared.usecases.sweeping import TURN
from tests.support.azure import MID, NEW, OLD, Azure, account, estate, on_azure, vault, version

ONE = account("st1")
KEY = KeyId("kv-main.vault.azure.net", "cmk")
SCOPES = "Microsoft.Storage/storageAccounts/encryptionScopes"
CAUSE = Cause("c", Source.HTTP)
SOON = {"kv-main": [{"name": "cmk", "versions": [version(OLD, expires="2026-05-20T00:00:00Z")]}]}
WORK: dict[str, Callable[[Azure], WorkItem]] = {
    "a key": lambda azure: CheckKey(KEY, CAUSE, azure.time.now()),
    "a vault": lambda azure: CheckVault(CAUSE, azure.time.now(), vault_id=str(vault()["id"])),
    "everything": lambda azure: Sweep(CAUSE, azure.time.now()),
    "a resource": lambda azure: CheckResource(azure.address(ONE), CAUSE, azure.time.now(), azure.time.now()),
    "a collection": lambda azure: CheckChildren(
        azure.address(ONE), SCOPES, CAUSE, azure.time.now(), azure.time.now(), key=KEY
    ),
    "those named": lambda azure: CheckNamed(
        azure.address(ONE), CAUSE, azure.time.now(), azure.time.now(), NamedPlace()
    ),
    "a rotation": lambda azure: RotateKey(KEY, CAUSE, azure.time.now()),
    "the end of a key": lambda azure: EndingKey(KEY, CAUSE, azure.time.now()),
    "an audit": lambda azure: AuditVault(CAUSE, azure.time.now(), vault_id=str(vault()["id"])),
    "a revocation": lambda azure: RevokeAccess(azure.address(ONE), CAUSE, azure.time.now(), azure.time.now()),
}


def waiting(azure: Azure) -> list[WorkItem]:
    return [decode(b64decode(one).decode()) for one in azure.waiting()]


@pytest.mark.parametrize("what", list(WORK))
def test_what_azure_cannot_answer_now_is_hidden_for_a_while_and_remembers_since_when(what: str) -> None:
    busy = Answer.of({"error": {"code": "Busy", "message": "no"}}, 503)

    def before(call: Call) -> Answer | None:
        return busy if call.host in {"management.azure.com", KEY.host} else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        began = azure.time.now()
        item = WORK[what](azure)
        await azure.put(item)
        (first,) = await azure.drain()
        assert isinstance(first.outcome, Waiting), first.outcome
        (again,) = waiting(azure)
        assert type(again) is type(item)
        hidden = azure.next_visible()
        assert hidden is not None
        assert hidden - azure.time.now() > timedelta(seconds=5)
        await azure.drain(until=timedelta(minutes=2))
        (later,) = waiting(azure)
        for one in (again, later):
            assert getattr(one, "waited", None) is not None
            assert one.waited.reason is Reason.SERVICE_UNAVAILABLE  # type: ignore[union-attr]
            assert one.waited.since - began < timedelta(seconds=30)  # type: ignore[union-attr]

    on_azure(estate(ONE, keys=SOON), story)


def test_a_sweep_that_waits_for_another_one_looks_again_in_minutes_and_gives_up_some_day() -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        assert await azure.app.context.ports.turns.take(TURN, "another", now + timedelta(days=2))
        await azure.put(Sweep(CAUSE, now))
        assert [one.reasons for one in await azure.drain()] == [(Reason.SWEEP_GOING_ON,)]
        hidden = azure.next_visible()
        assert hidden is not None
        assert hidden - now > timedelta(seconds=50)
        await azure.drain(until=timedelta(days=1))
        assert isinstance(azure.reports[-1].outcome, Stopped)
        assert azure.reports[-1].reasons == (Reason.SWEEP_GOING_ON,)
        assert azure.reports[-1].at - now < timedelta(hours=13)
        assert azure.waiting() == []

    on_azure(estate(ONE), story)


def test_what_was_poisoned_and_stands_for_many_comes_again_after_a_minute_and_not_at_once() -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await report_poison(azure.app.context, encode(CheckKey(KEY, CAUSE, now)))
        hidden = azure.next_visible()
        assert hidden is not None
        assert hidden - now >= PUT_BACK_AFTER

    on_azure(estate(ONE), story)


def test_a_version_that_becomes_valid_later_is_moved_to_then_though_its_event_was_long_on_its_way() -> None:
    later = {
        "kv-main": [
            {
                "name": "cmk",
                "versions": [version(OLD), version(NEW, "2026-05-01T07:00:00Z", notBefore="2026-05-01T09:00:00Z")],
            }
        ]
    }

    async def story(azure: Azure) -> None:
        item = CheckKey(KEY, CAUSE, azure.time.now())
        await asyncio.sleep(30)
        await azure.put(item)
        await azure.drain(until=timedelta(minutes=30))
        assert azure.in_use(ONE) == OLD
        await azure.drain(until=timedelta(hours=2))
        assert azure.in_use(ONE) == NEW

    on_azure(estate(ONE, keys=later), story)


def test_an_index_whose_pages_lead_back_to_each_other_is_not_read_for_ever() -> None:
    asked = count()

    def before(call: Call) -> Answer | None:
        if "ResourceGraph" not in call.url or b"resourcegroups" not in call.body:
            return None
        page = next(asked)
        following = {"$skipToken": f"t{page % 2}"} if page < 9 else {}
        return Answer.of({"count": 0, "totalRecords": 9, "data": [], **following})

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        with pytest.raises(TryLater):
            await azure.app.context.ports.finder.managed_groups()
        assert next(asked) < 5

    on_azure(estate(ONE), story)


def test_where_the_latest_version_may_not_be_read_it_is_the_youngest() -> None:
    forbidden = Answer.of({"error": {"code": "Forbidden", "message": "disabled"}}, 403)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=lambda call: forbidden if call.path.endswith("/keys/cmk") else None)
        history = await azure.app.context.ports.keys.history(KEY, not_older_than=azure.time.now())
        assert history.latest == MID

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("row", [{}, {"id": 7}, None, "x"])
def test_a_row_of_a_question_about_everything_that_has_no_id_makes_the_whole_answer_no_use(row: object) -> None:
    def after(call: Call, answer: Answer) -> Answer:
        if "ResourceGraph" not in call.url or b"resourcegroups" not in call.body:
            return answer
        return Answer.of({**answer.json(), "data": [row]})

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=after)
        with pytest.raises(TryLater):
            await azure.app.context.ports.finder.managed_groups()

    on_azure(estate(ONE), story)
