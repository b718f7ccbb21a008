"""A change that Azure is still carrying out: how it stands, and what its end, good or bad, means for the work."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.patience import wait_or_give_up
from shared.domain.reasons import Blocked, Reason, Wait, Waited
from shared.domain.work import CheckResource
from shared.errors import AppError, Refusal, TryLater
from shared.usecases.carry_out import Progressed
from shared.usecases.context import Context
from shared.usecases.operations import end_of, unheard_of
from shared.usecases.waiting import bounded


async def still_going(context: Context, item: CheckResource, progress: Progressed) -> Wait | Blocked | None:
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
        progress.unheard_of, progress.going = item.going, None
        return None
    except Refusal:
        progress.going = None
        raise
    if state.ended:
        progress.left_off, progress.going = item.going, None
        context.recent.note_written(item.address, context.ports.clock.now())
        return None
    return goes_on(context, item, state.after)


def goes_on(context: Context, item: CheckResource, after: timedelta | None) -> Wait | Blocked:
    """Return when to ask again how a change stands that Azure is carrying out."""
    now = context.ports.clock.now()
    step = wait_or_give_up(Blocked(Reason.OPERATION_GOING_ON), waited=item.waited, now=now, after=after)
    return bounded(step, now, item.first_at)


def as_before(item: CheckResource) -> CheckResource:
    """Return the item as it was before its change began: a change that ended without effect uses up the same patience
    as the one before it, or the app would write for ever.
    """
    return item if item.going is None else replace(item, waited=item.going.before)


def waited_until_now(error: AppError, item: CheckResource, progress: Progressed) -> Waited | None:
    """Return what the work waits for: once a change has ended, well or badly, what was waited for when it began.

    A grant spreads from when it was made, whenever that was noticed.
    """
    if error.reason is Reason.KEY_ACCESS_DENIED and progress.granted_at is not None:
        return Waited(error.reason, progress.granted_at)
    ended = item.going is not None and progress.going is not item.going
    return item.going.before if item.going is not None and ended else item.waited
