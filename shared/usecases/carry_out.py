"""Sending a change to Azure, and keeping account of what was sent and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.evidence import changed_fields
from shared.domain.plan import Action, Facts, SetKeys
from shared.domain.preparation import AssignIdentity
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Done, Write
from shared.domain.resource import Address, Edit, KeyUse, Request
from shared.domain.work import Going, InVain
from shared.errors import NotThere, Refusal, TryLater
from shared.ports import Progress
from shared.usecases.context import FRESH, Context
from shared.usecases.observe import see
from shared.usecases.operations import wait_shortly
from shared.usecases.pacing import bucket_of

FEW_LEFT = 5  # writes that Azure says it still takes: others need some too
REFILL = timedelta(seconds=2)  # ARM refills ten writes a second [learn request-limits-and-throttling]


class Progressed(Struct):
    """What has happened so far in one handling of an item."""

    uses: tuple[KeyUse, ...] = ()
    planned: tuple[Edit, ...] = ()
    wrote: tuple[Write, ...] = ()
    did: tuple[Done, ...] = ()
    granted_at: datetime | None = None  # the youngest grant that the key would be reached by
    as_of: datetime | None = None  # the age of the oldest fact that the outcome rests on
    going: Going | None = None  # a change of ours that Azure has not ended yet
    ask_after: timedelta | None = None  # how long Azure wants to be left in peace about it
    left_off: Going | None = None  # one that has ended meanwhile, perhaps with requests left to send
    unheard_of: Going | None = None  # one of which nobody has been able to say how it ended
    told_below: bool = False  # what comes along with the resource was asked for
    told_named: bool = False  # and what lists below it name
    unread: str = ""  # which of those could not be read, and why
    vain: InVain | None = None  # a change of ours that Azure accepted and that does not show
    beside: tuple[Blocked, ...] = ()  # what is told beside the step that is being taken
    remark: str = ""  # what people should know of the change that was sent
    afterwards: str = ""  # what a move of this resource leaves to people

    def note_overtaken(self, step: SetKeys) -> None:
        """Mark the writes whose slots, read back, have to move on to something else."""
        next_ = {change.slot: change.to for change in step.changes}
        self.wrote = tuple(
            replace(one, overtaken=True) if one.slot in next_ and one.after != next_[one.slot] else one
            for one in self.wrote
        )

    def note_replaced(self) -> None:
        """Mark the writes whose slots, read back, are where neither they nor what was before them left them."""
        there = {use.slot: use.configured for use in self.uses if not use.follows}
        last = {one.slot: one for one in self.wrote if one.before is not None}
        gone = {slot for slot, one in last.items() if there.get(slot, one.after) not in {one.before, one.after}}
        self.wrote = tuple(
            replace(one, overtaken=True) if one.slot in gone and one is last[one.slot] else one for one in self.wrote
        )

    @property
    def to_do(self) -> str:
        """Return what people have to do now that the resource was moved; "" if it was not."""
        moved = self.wrote or (self.left_off and self.left_off.changes)
        return "; ".join(filter(None, (self.afterwards if moved else "", self.remark, self.unread)))


async def carry_out(context: Context, facts: Facts, step: SetKeys, progress: Progressed) -> bool:
    """Send the change. Returns whether Azure is still at it; `progress.going` then says where to ask."""
    requests = facts.service.write(facts.body, step.changes)
    progress.planned += step.changes
    progress.remark = step.remark
    try:
        async with refusals_told(context, facts.address):
            ended = await _send(context, facts, step, requests, progress)
    except TryLater as error:
        if error.reason is not Reason.SERVICE_UNAVAILABLE:
            raise  # Azure said no, so nothing happened
        _note_sent(context, facts, step, requests, progress, accepted=False)
        raise
    except NotThere as error:
        if await see(context, facts.service, facts.address) is not None:
            # The resource is there, so something it refers to is not.
            raise Refusal(Reason.REFUSED, error.detail) from error
        return False  # the next look says that it is gone
    finally:  # whatever came of it, bodies that were read until now are void
        context.recent.note_written(facts.address, context.ports.clock.now())
    if ended:
        _note_sent(context, facts, step, requests, progress, accepted=True)
    return progress.going is not None


def all_sent(facts: Facts, step: Action, progress: Progressed) -> bool:
    """Return whether an earlier look sent all requests of this very step, and Azure has ended it since."""
    left_off = progress.left_off
    if left_off is None:
        return False
    if not isinstance(step, SetKeys):  # of the steps towards a first key only this one takes Azure long
        return isinstance(step, AssignIdentity) and not left_off.changes
    return left_off.changes == step.changes and left_off.sent >= len(facts.service.write(facts.body, step.changes))


async def _send(
    context: Context, facts: Facts, step: SetKeys, requests: tuple[Request, ...], progress: Progressed
) -> bool:
    """Send the requests of a change one after the other, from where an earlier look had to leave off. Returns whether
    all of them are sent. What was known may be old when the first of them is answered: then it is looked at again.
    A change whose operation fails at once was made all the same: it is told of with its refusal.
    """
    first, left_off = _sent(step, progress), progress.left_off
    before = left_off.before if left_off is not None else facts.waited
    for sent, request in enumerate(requests[first:], first + 1):
        if sent > first + 1 and not await _may_go_on(context, progress):
            progress.left_off = Going("", sent - 1, step.changes, before)
            return False
        reply = await context.ports.resources.send(request)
        if reply.remaining is not None and reply.remaining < FEW_LEFT:
            context.pacer.refused(bucket_of(facts.address), context.ports.clock.now(), REFILL)
        try:
            state = await wait_shortly(context, reply) if reply.operation else Progress(ended=True)
        except Refusal:
            if sent == len(requests):
                _note_sent(context, facts, step, requests, progress, accepted=True)
            raise
        if not state.ended:
            progress.going, progress.ask_after = Going(reply.operation, sent, step.changes, before), state.after
            return sent == len(requests)
    return True


def _sent(step: SetKeys, progress: Progressed) -> int:
    """Return how many requests of this very change are sent already."""
    left_off = progress.left_off
    return left_off.sent if left_off is not None and left_off.changes == step.changes else 0


async def _may_go_on(context: Context, progress: Progressed) -> bool:
    """Return whether the next request of a change may be sent: writing is on, and what is known is not old."""
    on = await context.ports.switch.is_on()
    return on and progress.as_of is not None and abs(context.ports.clock.now() - progress.as_of) <= FRESH


def _note_sent(
    context: Context,
    facts: Facts,
    step: SetKeys,
    requests: tuple[Request, ...],
    progress: Progressed,
    *,
    accepted: bool,
) -> None:
    at = context.ports.clock.now()
    before = {use.slot: use.configured for use in facts.uses}
    last = requests[-1]  # the one that makes the change; those before it prepare it
    was, sent = changed_fields(facts.body if last.address.folded == facts.address.folded else {}, last.body or {})
    progress.wrote += tuple(
        Write(at, one.slot, before.get(one.slot), one.to, accepted, was, sent) for one in step.changes
    )


@asynccontextmanager
async def refusals_told(context: Context, address: Address) -> AsyncIterator[None]:
    """Tell the pacer when the resource's own provider asks for a slower pace."""
    try:
        yield
    except TryLater as error:
        if error.reason is Reason.THROTTLED:
            context.pacer.refused(bucket_of(address), context.ports.clock.now(), error.after or timedelta(0))
        raise
