"""Change references: nothing is written without one where a rule asks for it, and it is found again everywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.adapters.changes import correlation_of
from shared.domain.reasons import Reason
from shared.domain.report import Stopped
from shared.domain.work import Cause, Source, decode, encode
from shared.errors import Refusal
from shared.usecases.forms import ConvergeWish, EnforceWish, RevertWish, RotateWish, UseKeyWish
from shared.usecases.wishes import converge_item, enforce_item, revert_item, rotate_item, use_key_item
from tests.support.azure import MID, OLD, START, Azure, estate, on_azure
from tests.support.policies import PolicyFile
from tests.support.waves import KEY, moved, rule, users

HTTP = Cause("http", Source.HTTP)
USERS = users(2)
ID = str(USERS[0]["id"])
CHANGE = "CHG0012345"


def policy(folder: Path) -> dict[str, str]:
    environ = PolicyFile(folder, rule("change: required")).environ
    return environ | {"CMK_EVIDENCE": str(folder / "evidence")}


def lines(folder: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in (folder / "evidence").rglob("*.jsonl")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_automatic_work_stops_and_says_what_to_post(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=1))
        reports = [one for one in azure.reports if isinstance(one.outcome, Stopped)]
        assert [one.reasons for one in reports] == [(Reason.CHANGE_REFERENCE_MISSING,)] * 2
        assert azure.calls("write") == []
        assert azure.waiting() == []

    on_azure(estate(*USERS), story, environ=policy(tmp_path))


def test_a_reference_goes_from_the_wish_into_the_evidence_and_every_request_to_resource_manager(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        sent: list[Call] = []

        def note(call: Call) -> Answer | None:
            sent.append(call)
            return None

        azure.world.hooks = Hooks(before=note)
        await azure.put(converge_item(ConvergeWish(key=KEY, change=CHANGE), HTTP, azure.time.now()))
        await azure.drain()
        assert moved(azure, USERS) == {MID}
        wrote = [one for one in lines(tmp_path) if "wrote" in one]
        assert [one["change"] for one in wrote] == [CHANGE] * 2
        told = {one.headers.get("x-ms-correlation-request-id") for one in sent if one.host == "management.azure.com"}
        assert told == {correlation_of(CHANGE)}
        elsewhere = [one for one in sent if one.host != "management.azure.com"]
        assert elsewhere
        assert not any("x-ms-correlation-request-id" in one.headers for one in elsewhere)

    on_azure(estate(*USERS), story, environ=policy(tmp_path))


def test_a_rotation_hands_its_reference_to_all_users(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(rotate_item(RotateWish(key=KEY, change=CHANGE), HTTP, azure.time.now()))
        await azure.drain()
        assert moved(azure, USERS).isdisjoint({OLD, MID})

    on_azure(estate(*USERS), story, environ=policy(tmp_path))


def test_the_next_piece_of_work_does_not_inherit_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(converge_item(ConvergeWish(resource=ID, change=CHANGE), HTTP, azure.time.now()))
        await azure.drain()
        await azure.check_key()
        assert [azure.in_use(one) for one in USERS] == [MID, OLD]

    on_azure(estate(*USERS), story, environ=policy(tmp_path))


def test_every_wish_carries_it_through_the_queue() -> None:
    more: dict[str, Any] = {"change": CHANGE, "urgent": True}
    items = [
        converge_item(ConvergeWish(key=KEY, **more), HTTP, START),
        enforce_item(EnforceWish(resource=ID, **more), HTTP, START),
        rotate_item(RotateWish(KEY, **more), HTTP, START),
        use_key_item(UseKeyWish(ID, KEY, **more), HTTP, START),
        revert_item(RevertWish(ID, "ledger0", **more), HTTP, START),
    ]
    for item in items:
        order = decode(encode(item)).cause.order
        assert (order.change, order.urgent) == (CHANGE, True)


@pytest.mark.parametrize("change", ["a\nb", "x" * 65, " a", "é", 'a"b', "<a>"])
def test_what_would_not_fit_a_line_is_no_reference(change: str) -> None:
    with pytest.raises(Refusal) as refused:
        converge_item(ConvergeWish(key=KEY, change=change), HTTP, START)
    assert refused.value.reason is Reason.BAD_REQUEST


def test_urgent_is_not_for_everything_at_once() -> None:
    for item in (converge_item, enforce_item):
        wish: Any = ConvergeWish(all=True, urgent=True) if item is converge_item else EnforceWish(all=True, urgent=True)
        with pytest.raises(Refusal):
            item(wish, HTTP, START)
