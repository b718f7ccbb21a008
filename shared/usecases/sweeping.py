"""What is particular to a sweep: one at a time, in slices over the day, and what should be readable."""

from __future__ import annotations

from datetime import timedelta
from zlib import crc32

from msgspec.structs import replace

from shared.domain.patience import wait_or_give_up
from shared.domain.policy import Version
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Answered, Expanded, Outcome, Stopped, Waiting
from shared.domain.resource import Address, KeyUse
from shared.domain.service import Service
from shared.domain.work import Source, Sweep
from shared.errors import AppError
from shared.usecases.candidates import all_there
from shared.usecases.context import Context
from shared.usecases.waiting import waited_for

SLICES = 4  # of a day: the timer sweeps every six hours, so each collection is listed once a day
HELD_FOR = timedelta(minutes=15)  # without a page; a sweep whose instance died gives way after that
TURN = "sweep"
Uses = tuple[KeyUse, ...] | None


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
    """Return the page with what should be readable and is not; the last page ends the turn."""
    if not page.more:
        await context.ports.turns.give_back(TURN, item.cause.id)
    return page if item.cursor is not None else replace(page, blocked=(*page.blocked, *await _unreadable(context)))


async def _unreadable(context: Context) -> tuple[Blocked, ...]:
    """Return what the policy expects and the app cannot see, or why that cannot be told. Never raises: the page that
    was just put on the queue must not be put again.
    """
    found: list[Blocked] = []
    try:
        expect = (await context.ports.policies.current()).expect
        wanted = {one.lower() for one in expect.subscriptions}
        for group in expect.management_groups:
            wanted |= await _members(context, group, found)
        readable = await context.ports.finder.group_chains() if wanted else {}
    except AppError as error:
        return (*found, Blocked(error.reason, detail=error.detail))
    missing = sorted(wanted - set(readable))
    return (*found, *(Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail=f"subscription {one}") for one in missing))


async def _members(context: Context, group: str, found: list[Blocked]) -> frozenset[str]:
    try:
        return await context.ports.finder.members(group)
    except AppError as error:
        found.append(Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail=f"management group {group}: {error.detail}"))
        return frozenset()


async def is_confirmed_today(context: Context, item: Sweep, service: Service, address: Address, uses: Uses) -> bool:
    """Return whether the timer's sweep may leave out a resource that the index shows where it should be.

    The index is seldom wrong for long and never asked alone for longer than a day: in its own quarter each resource is
    read itself, and so is everything when somebody asks for a sweep. Keys are asked afresh in any case.
    """
    if item.slice is None or not uses or slice_of(address) == item.slice:
        return False
    try:
        policy = await context.ports.policies.current()
        if any(rule.version is not Version.KEEP for rule in policy.rules):
            return False  # how it points at its key may be what is to be changed
        return await all_there(context, service, uses)
    except AppError:
        return False  # its own look says why
