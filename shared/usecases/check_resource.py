"""The loop: observe, plan, apply, read back, and say what came of it. One resource, one item, any service."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.plan import Facts, SetKeys, Step, certainty, plan
from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Answered as AnsweredAlready
from shared.domain.report import Converged, Gone, InUse, Outcome, Paced, Report, Stopped, Waiting, Write
from shared.domain.resource import Change, KeyUse
from shared.domain.service import Service
from shared.domain.work import CheckResource
from shared.errors import AppError, NotThere, TryLater
from shared.usecases.context import FRESH, Context
from shared.usecases.observe import Seen, fresh_enough, gather, see
from shared.usecases.pacing import SHORT, bucket_of

MOST_ROUNDS = 4  # writes in one go; a key that moves on faster than that is waited for


class _Progress(Struct):
    """What has happened so far in one handling of an item."""

    uses: tuple[KeyUse, ...] = ()
    planned: tuple[Change, ...] = ()
    wrote: tuple[Write, ...] = ()
    as_of: datetime | None = None  # the age of the oldest fact that the outcome rests on


async def check_resource(context: Context, item: CheckResource, seen: Seen | None = None) -> Report:
    """Bring one resource where it should be, as far as it goes now, and report.

    `seen` is a body that was read moments ago (from a list); one older than FRESH is read again. What has to wait is
    put on the queue again. Never raises AppError: every refusal becomes an outcome.
    """
    async with context.recent.turn(item.address):
        return await _check(context, item, seen)


async def _check(context: Context, item: CheckResource, seen: Seen | None) -> Report:
    ports = context.ports
    service = context.service(item.address.type)
    progress = _Progress()
    if service is None:
        outcome: Outcome = Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),))
    elif context.recent.answers(item.address, item.asked_at, ports.clock.now()):
        outcome = AnsweredAlready()
    elif until := await _slot(context, service, item, seen):
        outcome = Paced(until)
        # Deadlines count from the first look; waiting in line is not yet one.
        since = until if item.since >= item.asked_at else item.since
        await ports.queue.put(replace(item, paced=True, since=since), visible_at=until)
    else:
        outcome = await _run(context, service, item, seen, progress)
    report = Report(ports.clock.now(), item, outcome, item.address, progress.planned, progress.wrote)
    if isinstance(outcome, Waiting):
        await ports.queue.put(_successor(context, item, outcome), visible_at=outcome.wait.again_at)
        if outcome.wait.reason is Reason.FOLLOWS_BY_ITSELF and progress.as_of is not None:
            context.recent.note_watched(item.address, outcome.wait.again_at, progress.as_of)
    await ports.journal.append(report)
    return report


async def _slot(context: Context, service: Service, item: CheckResource, seen: Seen | None) -> datetime | None:
    """Take this item's slot. Return when to come back, or None to go ahead (after a short wait if need be).

    Who was just seen in a list goes ahead at once: its slot moves the others behind it.
    """
    if item.paced:
        return None
    now = context.ports.clock.now()
    delay = context.pacer.slot(bucket_of(item.address), service.traits.pace, now)
    if delay > SHORT and seen is None:
        return now + delay
    if seen is None:
        await asyncio.sleep(delay.total_seconds())
    return None


async def _run(
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: _Progress
) -> Outcome:
    try:
        return await _converge(context, service, item, seen, progress)
    except NotThere:
        context.recent.forget(item.address)
        return Gone()
    except AppError as error:
        context.recent.forget(item.address)
        after = error.after if isinstance(error, TryLater) else None
        now = context.ports.clock.now()
        if error.reason is Reason.THROTTLED:
            context.pacer.refused(bucket_of(item.address), now, after or timedelta(0))
        step = wait_or_give_up(error.reason, since=item.since, now=now, after=after, detail=error.detail)
        return _unfinished((step,), progress)


async def _converge(
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: _Progress
) -> Outcome:
    clock = context.ports.clock
    keys_as_of = fresh_enough(context)
    if seen is not None and (clock.now() - seen.at > FRESH or context.recent.written_since(item.address, seen.at)):
        seen = None
    for _ in range(MOST_ROUNDS):
        if seen is None:
            seen = await see(context, service, item.address)
        if seen is None:
            context.recent.forget(item.address)
            return Gone()
        facts = await gather(context, service, item.address, seen, since=item.since, keys_as_of=keys_as_of)
        progress.uses = facts.uses
        steps = await _plan(context, facts)
        if not (steps and isinstance(steps[0], SetKeys)):
            return _finish(context, facts, steps, seen.at, progress)
        if not await context.ports.switch.is_on():
            return _unfinished((wait_or_give_up(Reason.WRITES_OFF, since=item.since, now=clock.now()),), progress)
        await _apply(context, facts, steps[0], progress)
        # What was known of the key before the write is void: it may have moved on meanwhile.
        keys_as_of, seen = clock.now(), None
    return _unfinished((wait_or_give_up(Reason.OTHERS_MOVE_IT, since=item.since, now=clock.now()),), progress)


async def _plan(context: Context, facts: Facts) -> tuple[Step, ...]:
    """Plan; ask for what only a write needs to know when there is one."""
    steps = plan(facts)
    if not (steps and isinstance(steps[0], SetKeys)):
        return steps
    return plan(replace(facts, managed_groups=await context.ports.finder.managed_groups()))


async def _apply(context: Context, facts: Facts, step: SetKeys, progress: _Progress) -> None:
    before = {use.slot: use.configured for use in facts.uses}
    progress.planned += step.changes
    try:
        for request in facts.service.write(facts.body, step.changes):
            await context.ports.resources.send(request)
    finally:  # whatever came of it, bodies that were read until now are void
        at = context.ports.clock.now()
        context.recent.note_written(facts.address, at)
    progress.wrote += tuple(Write(at, change.slot, before[change.slot], change.to) for change in step.changes)


def _as_of(facts: Facts, read_at: datetime) -> datetime:
    known = [history.read_at for history in facts.keys.values() if not isinstance(history, Blocked)]
    return min([read_at, *known])


def _finish(context: Context, facts: Facts, steps: tuple[Step, ...], read_at: datetime, progress: _Progress) -> Outcome:
    progress.as_of = _as_of(facts, read_at)
    if steps:
        context.recent.forget(facts.address)
        return _unfinished(steps, progress)
    context.recent.note_converged(facts.address, progress.as_of)
    return Converged(certainty(facts), _in_use(facts.uses))


def _unfinished(steps: tuple[Step, ...], progress: _Progress) -> Outcome:
    """Blocked goes before waiting: what needs a person must be told at once. A wait with it is not lost: the sweep."""
    uses = _in_use(progress.uses)
    blocked = tuple(step for step in steps if isinstance(step, Blocked))
    waits = [step for step in steps if isinstance(step, Wait)]
    if waits:
        return Waiting(min(waits, key=lambda wait: wait.again_at), uses)
    return Stopped(blocked, uses)


def _successor(context: Context, item: CheckResource, outcome: Waiting) -> CheckResource:
    """Return the item that looks again. Who was refused comes back at its own time; the rest take a slot again."""
    return replace(item, asked_at=context.ports.clock.now(), paced=outcome.wait.reason is not Reason.THROTTLED)


def _in_use(uses: tuple[KeyUse, ...]) -> tuple[InUse, ...]:
    return tuple(InUse(use.slot, use.configured, use.follows, use.effective) for use in uses)


async def preview(context: Context, item: CheckResource) -> tuple[Step, ...] | None:
    """Return the plan for a resource without carrying it out; None when there is no such resource. Raises AppError."""
    service = context.service(item.address.type)
    if service is None:
        return (Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),)
    seen = await see(context, service, item.address)
    if seen is None:
        return None
    facts = await gather(context, service, item.address, seen, since=item.since, keys_as_of=fresh_enough(context))
    return await _plan(context, facts)
