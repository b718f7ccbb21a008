"""Work on the queue: it is there until somebody takes it, however long that is, and whenever it shall be seen."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.domain.work import Cause, CheckResource, Source
from tests.support.azure import Azure, account, estate, on_azure

ONE = account("st1")


def work(azure: Azure) -> CheckResource:
    now = azure.time.now()
    return CheckResource(azure.address(ONE), Cause("c", Source.HTTP), now, now)


def test_work_that_nobody_takes_for_a_month_is_still_there() -> None:
    async def story(azure: Azure) -> None:
        await azure.put(work(azure))  # which makes the queue
        await azure.put(work(azure))
        await asyncio.sleep(timedelta(days=30).total_seconds())
        assert len(azure.waiting()) == 2

    on_azure(estate(ONE), story)


@pytest.mark.parametrize(("days", "within"), [(-3, 0), (2, 2), (30, 7)])
def test_work_for_any_moment_is_taken_and_seen_then_or_as_late_as_a_queue_can_hide_it(days: int, within: int) -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.app.context.ports.queue.put(work(azure), visible_at=now + timedelta(days=days))
        visible = azure.next_visible()
        assert visible is not None
        assert timedelta(days=within - 1) < visible - now <= timedelta(days=within, seconds=1)

    on_azure(estate(ONE), story)
