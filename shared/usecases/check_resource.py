"""The loop: observe, plan, apply, read back, and say what came of it. One resource, one item, any service."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from shared.domain.plan import Action, Facts, SetKeys, granted_at, ignored
from shared.domain.policy import Rule
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Answered, Gone, LeftAlone, Outcome, Paced, Report, Stopped, Waiting
from shared.domain.service import Service
from shared.domain.work import CheckResource
from shared.errors import AppError, NotTaken
from shared.usecases.announcing import announce, tell
from shared.usecases.carry_out import Progressed, carry_out, refusals_told
from shared.usecases.context import FRESH, Context
from shared.usecases.courtesy import plan_with_courtesy
from shared.usecases.dependents import look_at_dependents, look_at_those_named
from shared.usecases.going_on import as_before, goes_on, still_going, waited_until_now
from shared.usecases.not_now import moves_on, not_now, still_switched_off, switched_off
from shared.usecases.observe import Seen, Wanted, fresh_enough, gather, see
from shared.usecases.outcomes import ended, finished
from shared.usecases.placing import rule_for, top_in
from shared.usecases.prepare import prepare
from shared.usecases.taking_turns import come_back, is_ordered, slot_of
from shared.usecases.trying_again import with_tries
from shared.usecases.waiting import step_for

MOST_ROUNDS = 10  # looks in one handling, steps towards a first key among them; what moves on faster is waited for


async def check_resource(context: Context, item: CheckResource, seen: Seen | None = None) -> Report:
    """Bring one resource where it should be, as far as it goes now, and report.

    `seen` is a body that was read moments ago (from a list); one older than FRESH is read again. What has to wait is
    put on the queue again. Never raises AppError but for a queue that takes nothing: every refusal is an outcome.
    """
    async with context.recent.turn(item.address):
        progress = Progressed(going=item.going, vain=item.vain)
        outcome = await _outcome(context, item, seen, progress)
        report = _report(context, item, outcome, progress)
        try:
            if isinstance(outcome, Waiting):
                await come_back(context, item, outcome, progress)
        except NotTaken as error:
            if progress.wrote or progress.did:  # that is told of all the same; the item itself comes again
                stopped = Stopped((Blocked(error.reason, detail=error.detail),))
                await tell(context, _report(context, item, stopped, progress))
            raise
        await tell(context, report)
        return report


def _report(context: Context, item: CheckResource, outcome: Outcome, progress: Progressed) -> Report:
    now = context.ports.clock.now()
    return Report(now, item, outcome, item.address, progress.planned, progress.wrote, progress.to_do, progress.did)


async def _outcome(context: Context, item: CheckResource, seen: Seen | None, progress: Progressed) -> Outcome:
    service = context.service(item.address.type)
    if service is None:
        return Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),))
    wanted = item.going is not None or is_ordered(item) or item.reach
    if not wanted and context.recent.answers(item.address, item.asked_at, context.ports.clock.now()):
        return Answered()
    if await still_switched_off(context, item):
        return ended((switched_off(context, item),), progress)
    if until := await slot_of(context, service, item, seen):
        await context.ports.queue.put(replace(item, paced=True), visible_at=until)
        return Paced(until)
    return await _run(context, service, item, seen, progress)


async def _run(
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: Progressed
) -> Outcome:
    try:
        if wait := await still_going(context, item, progress):
            return ended((wait,), progress)
        return await _converge(context, service, as_before(item), seen, progress)
    except AppError as error:
        context.recent.forget(item.address)
        waited = waited_until_now(error, item, progress)
        step = step_for(error, waited, context.ports.clock.now(), item.first_at)
        return ended((step, *progress.beside), progress)


async def _converge(
    context: Context, service: Service, item: CheckResource, seen: Seen | None, progress: Progressed
) -> Outcome:
    clock = context.ports.clock
    keys_as_of = fresh_enough(context)
    if seen is not None and (abs(clock.now() - seen.at) > FRESH or context.recent.written_since(item.address, seen.at)):
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
        await look_at_those_named(context, service, seen.body, item, rule, progress)
        facts = await _known(context, service, item, seen, rule, keys_as_of, progress)
        steps = await plan_with_courtesy(context, facts, item)
        as_of = _as_of(facts, seen.at)
        if not (steps and isinstance(steps[0], Action)):
            return finished(context, item, facts, steps, as_of, progress)
        if isinstance(steps[0], SetKeys):
            progress.note_overtaken(steps[0])
        held = await not_now(context, item, facts, steps[0], progress)
        if step := held or await announce(context, item, facts, steps[0]):
            return ended((step, *steps[1:]), progress)
        progress.beside = tuple(one for one in steps[1:] if isinstance(one, Blocked))
        if abs(clock.now() - as_of) <= FRESH and await _act(context, facts, steps[0], progress):
            return ended((goes_on(context, item, progress.ask_after),), progress)
        # What was known before is void, be it for the write or for its age: the key may have moved on meanwhile.
        keys_as_of, seen = clock.now(), None
    return ended((moves_on(context, item),), progress)


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
        context.recent.tops.note(item.address.folded, top_in(seen.body), seen.at)
    reach = item.asked_at if item.reach else None
    asked = Wanted(rule, item.wish, item.waited, item.cause.order, reach)
    facts = await gather(context, service, item.address, seen, asked, keys_as_of=keys_as_of)
    facts = await with_tries(context, facts)
    progress.uses, progress.as_of, progress.granted_at = facts.uses, _as_of(facts, seen.at), granted_at(facts)
    progress.note_replaced()
    if facts.waited is not item.waited and facts.waited is not None:  # the work had forgotten it
        progress.granted_at = facts.waited.since
    progress.afterwards = service.traits_of(seen.body).afterwards
    return facts


async def _act(context: Context, facts: Facts, step: Action, progress: Progressed) -> bool:
    if isinstance(step, SetKeys):
        return await carry_out(context, facts, step, progress)
    return await prepare(context, facts, step, progress)


def _as_of(facts: Facts, read_at: datetime) -> datetime:
    known = [history.read_at for history in facts.keys.values() if not isinstance(history, Blocked)]
    return min([read_at, *known])
