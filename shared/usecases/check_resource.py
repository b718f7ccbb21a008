"""The loop: observe, plan, apply, read back, and say what came of it. One resource, one item, any service."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.order import Order
from shared.domain.plan import Action, Facts, SetKeys, Step, certainty, granted_at, ignored
from shared.domain.policy import Rule
from shared.domain.reasons import PATIENT, Blocked, Reason, Wait, Waited, wait_or_give_up
from shared.domain.report import (
    Answered,
    Converged,
    Gone,
    InUse,
    LeftAlone,
    Outcome,
    Paced,
    Report,
    Stopped,
    Waiting,
)
from shared.domain.resource import KeyUse
from shared.domain.service import Service
from shared.domain.work import CheckResource
from shared.errors import AppError, Refusal, TryLater
from shared.usecases.carry_out import Progressed, all_sent, carry_out, refusals_told
from shared.usecases.context import FRESH, Context
from shared.usecases.courtesy import plan_with_courtesy
from shared.usecases.dependents import look_at_dependents
from shared.usecases.observe import Seen, Wanted, fresh_enough, gather, see
from shared.usecases.operations import end_of, unheard_of
from shared.usecases.pacing import SHORT, bucket_of
from shared.usecases.placing import rule_for, tags_in
from shared.usecases.prepare import prepare
from shared.usecases.waiting import bounded, step_for, waited_for

# These end by themselves, or the look on the queue sees that they did. An event may end the others sooner.
_NOT_SOONER = {Reason.FOLLOWS_BY_ITSELF, Reason.WRITES_OFF, Reason.THROTTLED}
_SLOT_AGAIN = PATIENT | {Reason.THROTTLED, Reason.WAVE_HELD}
MOST_ROUNDS = 10  # looks in one handling, steps towards a first key among them; what moves on faster is waited for


async def check_resource(context: Context, item: CheckResource, seen: Seen | None = None) -> Report:
    """Bring one resource where it should be, as far as it goes now, and report.

    `seen` is a body that was read moments ago (from a list); one older than FRESH is read again. What has to wait is
    put on the queue again. Never raises AppError but for a queue that takes nothing: every refusal is an outcome.
    """
    async with context.recent.turn(item.address):
        progress = Progressed(going=item.going)
        outcome = await _outcome(context, item, seen, progress)
        now = context.ports.clock.now()
        report = Report(
            now, item, outcome, item.address, progress.planned, progress.wrote, progress.to_do, progress.did
        )
        if isinstance(outcome, Waiting):
            await _come_back(context, item, outcome, progress)
        await context.ports.journal.append(report)
        return report


async def _outcome(context: Context, item: CheckResource, seen: Seen | None, progress: Progressed) -> Outcome:
    service = context.service(item.address.type)
    if service is None:
        return Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),))
    wanted = item.going is not None or _is_ordered(item) or item.reach
    if not wanted and context.recent.answers(item.address, item.asked_at, context.ports.clock.now()):
        return Answered()
    if await _still_switched_off(context, item):
        return _ended((_switched_off(context, item),), progress)
    if until := await _slot(context, service, item, seen):
        await context.ports.queue.put(replace(item, paced=True), visible_at=until)
        return Paced(until)
    return await _run(context, service, item, seen, progress)


async def _come_back(context: Context, item: CheckResource, outcome: Waiting, progress: Progressed) -> None:
    """Put the look that follows, unless this one came out of turn and another waits for the same already.

    Who was throttled, or comes back together with many, takes a slot again; the rest come back at their own time.
    """
    now, wait = context.ports.clock.now(), outcome.wait
    if item.waited is None and not _is_ordered(item) and context.recent.is_queued(item.address, wait, now):
        return
    patient = wait.reason in PATIENT
    successor = replace(
        item,
        asked_at=now,
        first_at=now if patient else item.first_at,
        waited=waited_for(wait),
        paced=wait.reason not in _SLOT_AGAIN,
        going=progress.going,
    )
    await context.ports.queue.put(successor, visible_at=wait.again_at)
    context.recent.note_queued(item.address, wait.reason, wait.again_at)
    if wait.reason not in _NOT_SOONER:
        return
    if progress.as_of is not None:
        context.recent.note_watched(item.address, progress.uses, wait.again_at, progress.as_of)
    else:
        context.recent.keep_watched(item.address, wait.again_at, now)


def _is_ordered(item: CheckResource) -> bool:
    """Return whether somebody asked for more than a look, so that no other look does as well."""
    return item.wish is not None or item.cause.order != Order()


async def _still_switched_off(context: Context, item: CheckResource) -> bool:
    """Return whether the item waits for the switch and waits on: then nothing needs to be read."""
    waits = item.waited is not None and item.waited.reason is Reason.WRITES_OFF
    return waits and not await context.ports.switch.is_on()


def _switched_off(context: Context, item: CheckResource) -> Wait | Blocked:
    return wait_or_give_up(Blocked(Reason.WRITES_OFF), waited=item.waited, now=context.ports.clock.now())


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
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: Progressed
) -> Outcome:
    try:
        if wait := await _still_going(context, item, progress):
            return _ended((wait,), progress)
        return await _converge(context, service, _as_before(item), seen, progress)
    except AppError as error:
        context.recent.forget(item.address)
        waited = _waited(error, item, progress)
        step = step_for(error, waited, context.ports.clock.now(), item.first_at)
        return _ended((step, *progress.beside), progress)


def _waited(error: AppError, item: CheckResource, progress: Progressed) -> Waited | None:
    """Return what the work waits for: once a change has ended, well or badly, what was waited for when it began.

    A grant spreads from when it was made, whenever that was noticed.
    """
    if error.reason is Reason.KEY_ACCESS_DENIED and progress.granted_at is not None:
        return Waited(error.reason, progress.granted_at)
    ended = item.going is not None and progress.going is not item.going
    return item.going.before if item.going is not None and ended else item.waited


def _as_before(item: CheckResource) -> CheckResource:
    """Return the item as it was before its change began: a change that ended without effect uses up the same patience
    as the one before it, or the app would write for ever.
    """
    return item if item.going is None else replace(item, waited=item.going.before)


async def _still_going(context: Context, item: CheckResource, progress: Progressed) -> Wait | Blocked | None:
    """Return how long to wait for a change that Azure is carrying out; None when there is none. Raises AppError with
    the reason when it failed: then it is looked at afresh, as it is when nobody has been able to say for long.
    """
    if item.going is None:
        return None
    try:
        state = await end_of(context, item.going.url)
    except TryLater as error:
        if not unheard_of(error, item.waited, context.ports.clock.now()):
            raise
        progress.going = None
        return None
    except Refusal:
        progress.going = None
        raise
    if state.ended:
        progress.left_off, progress.going = item.going, None
        context.recent.note_written(item.address, context.ports.clock.now())
        return None
    return _goes_on(context, item, state.after)


def _goes_on(context: Context, item: CheckResource, after: timedelta | None) -> Wait | Blocked:
    now = context.ports.clock.now()
    step = wait_or_give_up(Blocked(Reason.OPERATION_GOING_ON), waited=item.waited, now=now, after=after)
    return bounded(step, now, item.first_at)


async def _converge(
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: Progressed
) -> Outcome:
    clock = context.ports.clock
    keys_as_of = fresh_enough(context)
    if seen is not None and (clock.now() - seen.at > FRESH or context.recent.written_since(item.address, seen.at)):
        seen = None
    for _ in range(MOST_ROUNDS):
        progress.beside = ()
        if seen is None:
            async with refusals_told(context, item.address):
                seen = await see(context, service, item.address)
        if seen is None:
            context.recent.forget(item.address)
            return Gone()
        await look_at_dependents(context, service, seen.body, item, progress)
        rule = await rule_for(context, item.address, seen.body)
        if rule is not None and item.wish is None and not progress.wrote and ignored(service, seen.body, rule):
            return LeftAlone(rule.name)
        facts = await _known(context, service, item, seen, rule, keys_as_of, progress)
        steps = await plan_with_courtesy(context, facts, item)
        as_of = _as_of(facts, seen.at)
        if not (steps and isinstance(steps[0], Action)):
            return _finish(context, item, facts, steps, as_of, progress)
        if isinstance(steps[0], SetKeys):
            progress.note_overtaken(steps[0])
        if step := await _not_now(context, item, facts, steps[0], progress):
            return _ended((step, *steps[1:]), progress)
        progress.beside = tuple(one for one in steps[1:] if isinstance(one, Blocked))
        if clock.now() - as_of <= FRESH and await _act(context, facts, steps[0], progress):
            return _ended((_goes_on(context, item, None),), progress)
        # What was known before is void, be it for the write or for its age: the key may have moved on meanwhile.
        keys_as_of, seen = clock.now(), None
    return _ended((_moves_on(context, item),), progress)


async def _known(
    context: Context,
    service: Service,
    item: CheckResource,
    seen: Seen,
    rule: Rule | None,
    keys_as_of: datetime,
    progress: Progressed,
) -> Facts:
    """Return the facts, and note what the report and later looks need of them. Raises AppError."""
    if service.children:
        context.recent.tags.note(item.address.folded, tags_in(seen.body), seen.at)
    reach = item.asked_at if item.reach else None
    asked = Wanted(rule, item.wish, item.waited, item.cause.order, reach)
    facts = await gather(context, service, item.address, seen, asked, keys_as_of=keys_as_of)
    progress.uses, progress.as_of, progress.granted_at = facts.uses, _as_of(facts, seen.at), granted_at(facts)
    progress.afterwards = service.traits_of(seen.body).afterwards
    return facts


async def _act(context: Context, facts: Facts, step: Action, progress: Progressed) -> bool:
    if isinstance(step, SetKeys):
        return await carry_out(context, facts, step, progress)
    return await prepare(context, facts, step, progress)


def _moves_on(context: Context, item: CheckResource) -> Wait | Blocked:
    now = context.ports.clock.now()
    return bounded(wait_or_give_up(Blocked(Reason.OTHERS_MOVE_IT), waited=item.waited, now=now), now, item.first_at)


async def _not_now(
    context: Context, item: CheckResource, facts: Facts, step: Action, progress: Progressed
) -> Wait | Blocked | None:
    """Return why the change is not to be sent now, if so: writing is off, or it was accepted a moment ago.

    A resource that does not show a change that Azure accepted shows it later; sending it again changes nothing.
    """
    now = context.ports.clock.now()
    if _accepted(facts, step, progress):
        return wait_or_give_up(Blocked(Reason.NOT_YET_IN_EFFECT), waited=item.waited, now=now)
    return None if await context.ports.switch.is_on() else _switched_off(context, item)


def _accepted(facts: Facts, step: Action, progress: Progressed) -> bool:
    if all_sent(facts, step, progress):
        return True
    if not isinstance(step, SetKeys):
        return any(done.accepted and done.step == step for done in progress.did)
    accepted = {(write.slot, write.after) for write in progress.wrote if write.accepted}
    return any((change.slot, change.to) in accepted for change in step.changes)


def _as_of(facts: Facts, read_at: datetime) -> datetime:
    known = [history.read_at for history in facts.keys.values() if not isinstance(history, Blocked)]
    return min([read_at, *known])


def _finish(
    context: Context,
    item: CheckResource,
    facts: Facts,
    steps: tuple[Step, ...],
    as_of: datetime,
    progress: Progressed,
) -> Outcome:
    if steps:
        context.recent.forget(facts.address)
        now = context.ports.clock.now()
        ended = (bounded(step, now, item.first_at) if isinstance(step, Wait) else step for step in steps)
        return _ended(tuple(ended), progress)
    context.recent.note_converged(facts.address, as_of)
    _note_wins(context, facts, progress)
    return Converged(certainty(facts), _in_use(facts.uses), facts.service.through(facts.body))


def _note_wins(context: Context, facts: Facts, progress: Progressed) -> None:
    """Remember the changes that were made and are there."""
    made = {(one.slot, one.after) for one in progress.wrote if one.accepted}
    made |= {(one.slot, one.to) for one in (progress.left_off.changes if progress.left_off else ())}
    for slot, key in made:
        if key is not None:
            context.recent.note_win(facts.address, slot, key.url, context.ports.clock.now())


def _ended(steps: tuple[Step, ...], progress: Progressed) -> Outcome:
    """Return the outcome of steps none of which can be taken now. As long as one slot waits, the resource is looked at
    again; what is blocked beside it is told all the same.
    """
    uses = _in_use(progress.uses)
    blocked = tuple(step for step in steps if isinstance(step, Blocked))
    waits = [step for step in steps if isinstance(step, Wait)]
    if not waits:
        return Stopped(blocked, uses)
    return Waiting(min(waits, key=lambda wait: wait.again_at), uses, blocked)


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
    rule = await rule_for(context, item.address, seen.body)
    if rule is not None and item.wish is None and ignored(service, seen.body, rule):
        return ()
    now = fresh_enough(context)
    asked = Wanted(rule, item.wish, item.waited, item.cause.order, item.asked_at if item.reach else None)
    facts = await gather(context, service, item.address, seen, asked, keys_as_of=now)
    return await plan_with_courtesy(context, facts, item)
