"""Long-running operations: asking how they stand, without sleeping in an invocation for more than seconds."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from shared.domain.reasons import Reason, Waited
from shared.errors import NotThere, Refusal, TryLater
from shared.ports import Progress, Reply
from shared.usecases.context import Context

_LOG = logging.getLogger("cmk")
PAUSES = (1.0, 2.0)  # seconds; what takes longer goes back on the queue

UNHEARD_OF = timedelta(minutes=15)  # then the resource itself is asked, which tells whether it is still at it


async def end_of(context: Context, url: str) -> Progress:
    """Return how an operation stands. One that Azure has forgotten, or that nobody may be asked about, counts as ended:
    how is seen at the resource.

    Raises Refusal with the reason why it failed, TryLater when nobody knows.
    """
    try:
        return await context.ports.resources.operation(url)
    except NotThere:
        return Progress(ended=True)
    except Refusal as refusal:
        if refusal.reason is not Reason.FOREIGN_HOST:
            raise
        _LOG.warning("an operation is not asked about, its address is not Resource Manager's: %s", refusal.detail)
        return Progress(ended=True)


def unheard_of(error: TryLater, waited: Waited | None, now: datetime) -> bool:
    """Return whether asking about an operation has failed for so long that this may be its end: one that is told of by
    its Location alone ends as its request would have, with a 500 too [ARM RPC, asynchronous operations].
    """
    if waited is None or not waited.reason is Reason.SERVICE_UNAVAILABLE is error.reason:
        return False
    return now - waited.since > UNHEARD_OF


async def wait_shortly(context: Context, reply: Reply) -> Progress:
    """Wait for an operation that just began, a few seconds at most. Returns how it stands, and when Azure wants to be
    asked again.
    """
    after = reply.after
    for pause in PAUSES:
        if after is not None and after > timedelta(seconds=pause):
            break
        await asyncio.sleep(pause)
        try:
            state = await end_of(context, reply.operation)
        except TryLater as error:  # the next look asks again
            return Progress(ended=False, after=error.after)
        if state.ended:
            return state
        after = state.after
    return Progress(ended=False, after=after)
