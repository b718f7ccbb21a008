"""Taking one step towards a first key, and keeping account of it."""

from __future__ import annotations

from shared.domain.plan import Facts
from shared.domain.preparation import AssignIdentity, GrantAccess, Preparation, place_of, right_for
from shared.domain.reasons import Reason
from shared.domain.report import Done
from shared.domain.resource import parse_arm_id
from shared.domain.work import Going
from shared.errors import NotThere, Refusal, TryLater
from shared.usecases.carry_out import Progressed, refusals_told
from shared.usecases.context import Context
from shared.usecases.operations import wait_shortly
from shared.usecases.steps import perform


async def prepare(context: Context, facts: Facts, step: Preparation, progress: Progressed) -> bool:
    """Take the step. Returns whether Azure is still at it; `progress.going` then says where to ask. Raises AppError."""
    place = place_of(step, facts.address.url)
    try:
        if isinstance(step, AssignIdentity):
            async with refusals_told(context, facts.address):
                reply = await perform(context, facts, step)
        else:
            reply = await perform(context, facts, step)
    except Refusal as error:
        raise _told(error, step, facts) from error
    except TryLater as error:
        if error.reason is Reason.SERVICE_UNAVAILABLE:  # its answer may have got lost
            progress.did += (Done(context.ports.clock.now(), step, place, accepted=False),)
        raise
    except NotThere as error:
        if isinstance(step, AssignIdentity):
            return False  # the next look says that the resource is gone
        raise Refusal(Reason.REFUSED, error.detail) from error
    finally:  # whatever came of it, bodies that were read until now are void
        context.recent.note_written(facts.address, context.ports.clock.now())
    progress.did += (Done(context.ports.clock.now(), step, place),)
    if isinstance(step, GrantAccess):
        context.recent.note_win(facts.address, "", granted(step), context.ports.clock.now())
    if reply is not None and reply.operation:
        state = await wait_shortly(context, reply)
        if not state.ended:
            progress.going, progress.ask_after = Going(reply.operation, 1, before=facts.waited), state.after
    return progress.going is not None


def granted(step: GrantAccess) -> str:
    """Return what this instance remembers a grant by."""
    return f"{step.vault} {step.principal}"


_RIGHTS = {Reason.NO_RIGHTS, Reason.VAULT_FORBIDDEN}


def _told(error: Refusal, step: Preparation, facts: Facts) -> Refusal:
    """Return the refusal, with the action that the app's own identity lacks for the step, where that is the trouble."""
    if error.reason not in _RIGHTS:
        return error
    type_ = parse_arm_id(place_of(step, facts.address.url)).type if isinstance(step, AssignIdentity) else ""
    return Refusal(error.reason, f"{right_for(step, type_)} on {place_of(step, facts.address.url)}: {error.detail}")
