"""What comes of a look: the steps that cannot be taken now, or that all is well, as an outcome to be told."""

from __future__ import annotations

from datetime import datetime

from shared.domain.plan import Facts, Step, certainty, doubts
from shared.domain.reasons import Blocked, Wait
from shared.domain.report import Converged, InUse, Outcome, Stopped, Waiting
from shared.domain.resource import KeyUse
from shared.domain.work import CheckResource
from shared.usecases.carry_out import Progressed
from shared.usecases.context import Context
from shared.usecases.waiting import bounded


def finished(
    context: Context,
    item: CheckResource,
    facts: Facts,
    steps: tuple[Step, ...],
    as_of: datetime,
    progress: Progressed,
) -> Outcome:
    """Return the outcome of a plan that changes nothing: it waits, is blocked, or says that all is well."""
    if steps:
        context.recent.forget(facts.address)
        now = context.ports.clock.now()
        held = (bounded(step, now, item.first_at) if isinstance(step, Wait) else step for step in steps)
        return ended(tuple(held), progress)
    context.recent.note_converged(facts.address, as_of)
    _note_wins(context, facts, progress)
    return Converged(certainty(facts), in_use(facts.uses), facts.service.through(facts.body), doubts(facts))


def _note_wins(context: Context, facts: Facts, progress: Progressed) -> None:
    """Remember the changes that were made and are there."""
    made = {(one.slot, one.after) for one in progress.wrote if one.accepted}
    made |= {(one.slot, one.to) for one in (progress.left_off.changes if progress.left_off else ())}
    for slot, key in made:
        if key is not None:
            context.recent.note_win(facts.address, slot, key.url, context.ports.clock.now())


def ended(steps: tuple[Step, ...], progress: Progressed) -> Outcome:
    """Return the outcome of steps none of which can be taken now. As long as one slot waits, the resource is looked at
    again; what is blocked beside it is told all the same.
    """
    uses = in_use(progress.uses)
    blocked = tuple(step for step in steps if isinstance(step, Blocked))
    waits = [step for step in steps if isinstance(step, Wait)]
    if not waits:
        return Stopped(blocked, uses)
    return Waiting(min(waits, key=lambda wait: wait.again_at), uses, blocked)


def in_use(uses: tuple[KeyUse, ...]) -> tuple[InUse, ...]:
    """Return the uses of keys as reports have them."""
    return tuple(InUse(use.slot, use.configured, use.follows, use.effective) for use in uses)
