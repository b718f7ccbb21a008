"""What is particular to a sweep: one at a time, collections in slices over the day, and what should be readable."""

from __future__ import annotations

from datetime import timedelta
from zlib import crc32

from msgspec.structs import replace

from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Answered, Expanded, Outcome, Stopped, Waiting
from shared.domain.resource import Address
from shared.domain.work import Source, Sweep
from shared.errors import AppError, TryLater
from shared.usecases.context import Context
from shared.usecases.waiting import waited_for

SLICES = 4  # of a day: the timer sweeps every six hours, so each collection is listed once a day
HELD_FOR = timedelta(minutes=15)  # without a page; a sweep whose instance died gives way after that
TURN = "sweep"


def slice_of(address: Address) -> int:
    """Return the quarter of the day in which the collections below a resource are listed."""
    return crc32(address.folded.encode()) % SLICES


async def begin_or_go_on(context: Context, item: Sweep) -> Outcome | None:
    """Take the turn. Returns what came of it if another sweep has it: the timer's own is dropped, for the other one
    does its work; one that somebody asked for waits.
    """
    now = context.ports.clock.now()
    if await context.ports.turns.take(TURN, item.cause.id, now + HELD_FOR):
        return None
    if item.cause.source is Source.TIMER:
        return Answered()
    step = wait_or_give_up(Blocked(Reason.SWEEP_GOING_ON), waited=item.waited, now=now)
    if not isinstance(step, Wait):
        return Stopped((step,))
    await context.ports.queue.put(replace(item, waited=waited_for(step)), visible_at=step.again_at)
    return Waiting(step)


async def told_and_ended(context: Context, item: Sweep, page: Expanded) -> Expanded:
    """Return the page with the subscriptions that should be readable and are not; the last page ends the turn."""
    if not page.more:
        await context.ports.turns.give_back(TURN, item.cause.id)
    if item.cursor is not None:
        return page
    return replace(page, blocked=await _unreadable(context))


async def _unreadable(context: Context) -> tuple[Blocked, ...]:
    expect = (await context.ports.policies.current()).expect
    if not expect.subscriptions and not expect.management_groups:
        return ()
    wanted = {one.lower() for one in expect.subscriptions}
    found: list[Blocked] = []
    for group in expect.management_groups:
        try:
            wanted |= await context.ports.finder.members(group)
        except TryLater:
            raise
        except AppError as error:
            found.append(Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail=f"management group {group}: {error.detail}"))
    missing = sorted(wanted - set(await context.ports.finder.group_chains()))
    return (*found, *(Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail=one) for one in missing))
