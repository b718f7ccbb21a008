"""What fails is tried again, then reported; and what no event told of is found by the timer."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import pytest

from shared.domain.keys import parse_key_url
from shared.domain.resource import address_of
from shared.domain.work import Cause, CheckKey, CheckResource, Source, encode, revived
from tests.support.azure import MID, OLD, START, account, estate, scope
from tests.support.whole_app import POISON, QUEUE, WholeApp, break_reads, with_app

BEFORE_THE_TIMER = datetime.fromisoformat("2026-05-01T12:16:00+00:00")
LONG = timedelta(minutes=10)


async def put(app: WholeApp, text: str) -> None:
    """Put a text on the work queue as the app would."""
    queue = app.queue(QUEUE)
    if not app.queued():
        await queue.create_queue()
    await queue.send_message(base64.b64encode(text.encode()).decode(), time_to_live=-1)


@pytest.mark.parametrize(
    "text",
    [
        "no work item",
        "{}",
        '{"v": 99, "item": {"type": "sweep"}}',
        '{"v": 1, "item": {"type": "nonsense"}}',
        "[" * 9000,
    ],
    ids=["text", "empty", "another version", "another type", "deep nesting"],
)
def test_a_message_that_is_no_work_item_is_reported_and_leaves_no_trace_in_a_queue(text: str) -> None:
    async def story(app: WholeApp) -> None:
        await put(app, text)
        await app.run_until_quiet(LONG)
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)
        (told,) = app.outcomes()
        assert told["type"] == "CmkAutopilot.Report.Stopped"
        assert [one["reason"] for one in told["data"]["outcome"]["blocked"]] == ["poisoned"]
        assert "Look at the log" in told["data"]["remedies"]["poisoned"]
        assert sum("poisoned" in line for line in app.logged()) == 1

    with_app(estate(account("st1")), story)


def test_one_bad_message_does_not_hold_up_the_others() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        await put(app, "no work item")
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one), story)


def test_an_error_nobody_foresaw_is_tried_again_by_the_host() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        broken = break_reads(app, 2)
        await app.post("converge", {"resource": one["id"]})
        await app.run_until_quiet(LONG)
        assert len(broken) == 2
        assert app.in_use(one) == MID
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)

    with_app(estate(one), story)


def test_an_error_that_stays_is_reported_once_with_the_resource_and_the_cause() -> None:
    one = account("st1")
    item = CheckResource(address_of(str(one["id"])), Cause("the-cause", Source.HTTP), START, START)

    async def story(app: WholeApp) -> None:
        broken = break_reads(app, float("inf"))
        await put(app, encode(item))
        await app.run_until_quiet(LONG)
        assert len(broken) == 5  # maxDequeueCount
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)
        (told,) = app.outcomes()
        assert told["subject"] == one["id"]
        assert told["data"]["item"]["cause"]["id"] == "the-cause"
        (line,) = [each for each in app.logged() if "poisoned" in each]
        assert line.startswith("[the-cause]")

    with_app(estate(one), story)


def test_a_key_whose_message_was_poisoned_by_deaths_is_looked_at_once_more() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        key = parse_key_url("https://kv-main.vault.azure.net/keys/cmk").key
        item = CheckKey(key, Cause("the-cause", Source.EVENT), START)
        async with app.queue(POISON) as poison:
            await poison.create_queue()
            await poison.send_message(base64.b64encode(encode(item).encode()).decode())
            await app.run_until_quiet(LONG)
            assert app.in_use(one) == MID
            again = revived(item)
            assert again is not None
            await poison.send_message(base64.b64encode(encode(again).encode()).decode())
        await app.run_until_quiet(LONG)
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)
        assert sum("poisoned" in line for line in app.logged()) == 2

    with_app(estate(one), story)


def test_a_poisoned_message_that_cannot_even_be_reported_is_let_go() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"kind": "topic"}, "do": {"status": 500}}])
        await put(app, "no work item")
        await app.run_until_quiet(LONG)
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)
        assert any("poisoned" in line for line in app.logged())

    with_app(estate(account("st1")), story)


def test_the_timer_repairs_what_no_event_told_of() -> None:
    users = [account("st1", MID), account("st2", MID), scope("st2", "one", MID)]

    async def story(app: WholeApp) -> None:
        app.stage.pump.drop(lambda _: True, times=None)
        app.point_at(users[0], OLD)
        new = app.rotate()
        await app.run_until_quiet()
        assert [app.in_use(one) for one in users] == [OLD, MID, MID]
        await app.pass_time(timedelta(minutes=2))
        await app.run_until_quiet()
        assert [app.in_use(one) for one in users] == [new] * 3

    with_app(estate(*users), story, start=BEFORE_THE_TIMER)


def test_a_sweep_of_what_is_right_already_writes_nothing() -> None:
    users = [account("st1", MID), scope("st1", "one", MID), account("stmmk", key="")]

    async def story(app: WholeApp) -> None:
        await app.pass_time(timedelta(minutes=2))
        await app.run_until_quiet()
        assert app.calls("graph") != []
        assert app.calls("write") == []
        assert app.queued() == 0

    with_app(estate(*users), story, start=BEFORE_THE_TIMER)


def test_a_queue_that_was_down_when_the_timer_fired_costs_one_sweep_and_no_more() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"host": ".queue.core.windows.net", "method": "POST"}, "do": {"status": 503}}])
        await app.pass_time(timedelta(minutes=2))
        app.stage.faults.put([])
        app.stage.shift(timedelta(hours=6))
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one), story, start=BEFORE_THE_TIMER)
