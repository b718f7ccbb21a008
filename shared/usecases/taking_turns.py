"""When a resource is looked at: in the slot that its service's pace leaves it, and again when its wait is over."""

from __future__ import annotations

import asyncio
from datetime import datetime

from msgspec.structs import replace

from shared.domain.order import Order
from shared.domain.patience import PATIENT
from shared.domain.reasons import Reason
from shared.domain.report import Waiting
from shared.domain.service import Service
from shared.domain.work import CheckResource
from shared.usecases.carry_out import Progressed
from shared.usecases.context import Context
from shared.usecases.observe import Seen
from shared.usecases.pacing import SHORT, bucket_of
from shared.usecases.waiting import waited_for

# These end by themselves, or the look on the queue sees that they did. An event may end the others sooner.
_NOT_SOONER = {Reason.FOLLOWS_BY_ITSELF, Reason.WRITES_OFF, Reason.THROTTLED}
_SLOT_AGAIN = PATIENT | {Reason.THROTTLED, Reason.WAVE_HELD}


def is_ordered(item: CheckResource) -> bool:
    """Return whether somebody asked for more than a look, so that no other look does as well."""
    return item.wish is not None or item.cause.order != Order()


async def slot_of(context: Context, service: Service, item: CheckResource, seen: Seen | None) -> datetime | None:
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


def _brings(context: Context, item: CheckResource) -> bool:
    """Return whether others may come along with the resource."""
    service = context.service(item.address.type)
    return service is not None and service.brings_others


async def come_back(context: Context, item: CheckResource, outcome: Waiting, progress: Progressed) -> None:
    """Put the look that follows, unless this one came out of turn and another waits for the same already.

    Who was throttled, or comes back together with many, takes a slot again; the rest come back at their own time.
    """
    now, wait = context.ports.clock.now(), outcome.wait
    brought = item.brought or (progress.told_below and progress.told_named)
    queued = context.recent.is_queued(item.address, wait, now, reach=item.reach)
    if item.waited is None and not is_ordered(item) and queued and (brought or not _brings(context, item)):
        return
    patient = wait.reason in PATIENT
    successor = replace(
        item,
        asked_at=now,
        first_at=now if patient else item.first_at,
        waited=waited_for(wait),
        paced=wait.reason not in _SLOT_AGAIN,
        going=progress.going,
        vain=progress.vain,
        brought=brought,
    )
    await context.ports.queue.put(successor, visible_at=wait.again_at)
    context.recent.note_queued(item.address, wait.reason, wait.again_at, reach=item.reach)
    if wait.reason not in _NOT_SOONER:
        return
    if progress.as_of is not None:
        context.recent.note_watched(item.address, progress.uses, wait.again_at, progress.as_of)
    else:
        context.recent.keep_watched(item.address, wait.again_at, now)
