"""Why a look sends no change although one is due: writing is off, Azure has accepted it, or others move faster."""

from __future__ import annotations

from shared.domain.patience import wait_or_give_up
from shared.domain.plan import Action, Facts, SetKeys
from shared.domain.preparation import AssignIdentity
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.work import CheckResource
from shared.usecases.carry_out import Progressed, all_sent
from shared.usecases.context import Context
from shared.usecases.in_vain import noted, rests
from shared.usecases.waiting import bounded

NOT_SHOWN = Blocked(Reason.NOT_YET_IN_EFFECT, detail="Azure accepted the change, and the resource does not show it")


async def still_switched_off(context: Context, item: CheckResource) -> bool:
    """Return whether the item waits for the switch and waits on: then nothing needs to be read."""
    waits = item.waited is not None and item.waited.reason is Reason.WRITES_OFF
    return waits and not await context.ports.switch.is_on()


def switched_off(context: Context, item: CheckResource) -> Wait | Blocked:
    """Return how long to wait for the switch."""
    return wait_or_give_up(Blocked(Reason.WRITES_OFF), waited=item.waited, now=context.ports.clock.now())


async def not_now(
    context: Context, item: CheckResource, facts: Facts, step: Action, progress: Progressed
) -> Wait | Blocked | None:
    """Return why the change is not to be sent now, if so: writing is off, or it was accepted a moment ago.

    A resource that does not show a change that Azure accepted shows it later; sending it again changes nothing.
    """
    now = context.ports.clock.now()
    if _accepted(facts, step, progress) or _unheard_of(step, progress):
        progress.vain = noted(step, progress.vain, now)
        return wait_or_give_up(NOT_SHOWN, waited=item.waited, now=now)
    if rests(step, progress.vain, now):
        return wait_or_give_up(NOT_SHOWN, waited=item.waited, now=now)
    return None if await context.ports.switch.is_on() else switched_off(context, item)


def _accepted(facts: Facts, step: Action, progress: Progressed) -> bool:
    if all_sent(facts, step, progress):
        return True
    if not isinstance(step, SetKeys):
        return any(done.accepted and done.step == step for done in progress.did)
    accepted = {(write.slot, write.after) for write in progress.wrote if write.accepted}
    return any((change.slot, change.to) in accepted for change in step.changes)


def _unheard_of(step: Action, progress: Progressed) -> bool:
    """Return whether nobody could say how this very step ended: it is sent again only after a wait whose patience it
    uses up, or the app would write for ever.
    """
    if progress.unheard_of is None:
        return False
    changes = step.changes if isinstance(step, SetKeys) else ()
    return progress.unheard_of.changes == changes and isinstance(step, SetKeys | AssignIdentity)


def moves_on(context: Context, item: CheckResource) -> Wait | Blocked:
    """Return when to look again at what others changed as often as one handling looked."""
    now = context.ports.clock.now()
    return bounded(wait_or_give_up(Blocked(Reason.OTHERS_MOVE_IT), waited=item.waited, now=now), now, item.first_at)
