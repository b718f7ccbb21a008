"""Events in: one body becomes work on the queue. The triggers and replay all come through here."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from shared.domain.events import LONGEST_BODY, BadEvent, Ignored, Reader, parse_events, types_of, work_for
from shared.domain.plain import one_line
from shared.domain.reasons import Reason
from shared.domain.work import CheckKey, CheckVault, Source, WorkItem
from shared.errors import Refusal, TooLarge
from shared.ports import correlation
from shared.usecases.context import Context
from shared.usecases.fan_out import put_all

SETTLE = timedelta(seconds=2)
TOLD_OF = 3  # events of one delivery that get a line each; more of them are counted
_LOG = logging.getLogger("cmk")


class Taken(Struct, frozen=True):
    """What one event led to: the work that was put, or why none was."""

    result: WorkItem | Ignored


async def take_events(
    context: Context, body: str, *, source: Source, new_id: Callable[[], str], dry_run: bool = False
) -> tuple[Taken, ...]:
    """Put one item for each event of the body that asks for work. Raises BadEvent before anything is put.

    When the queue does not take an item the error passes: Event Grid then delivers the whole body again.
    """
    events = parse_events(body)
    principals = await context.ports.myself.principals()
    reader = Reader(context.vault_suffix, types_of(context.services), principals)
    now = context.ports.clock.now()
    results = [work_for(event, reader, now=now, source=source, spare_id=new_id()) for event in events]
    if not dry_run:
        await _put(context, [result for result in results if not isinstance(result, Ignored)], now)
    return tuple(Taken(result) for result in results)


async def _put(context: Context, items: list[WorkItem], now: datetime) -> None:
    """Put the items; looks at keys and vaults a moment later: events come in twos and threes, and one look answers
    all.
    """
    await put_all(context, [item for item in items if not isinstance(item, CheckKey | CheckVault)])
    for item in items:
        if isinstance(item, CheckKey | CheckVault):
            await context.ports.queue.put(item, visible_at=now + SETTLE)


async def take_delivery(context: Context, body: str, new_id: Callable[[], str]) -> None:
    """Take what Event Grid delivers. What cannot be read is told of and let go: it would not get better by a retry."""
    try:
        taken = await take_events(context, body, source=Source.EVENT, new_id=new_id)
    except BadEvent as error:
        _LOG.warning("an event was refused: %s", error)
        return
    if len(taken) > TOLD_OF:
        _LOG.info("%d events: %s", len(taken), ", ".join(f"{count} {what}" for what, count in _counted(taken)))
        return
    for one in taken:
        _tell(one.result)


def _counted(taken: tuple[Taken, ...]) -> list[tuple[str, int]]:
    """Return what the events led to, most frequent first. Nothing in it comes from an event."""
    results = (one.result for one in taken)
    return Counter(
        one.why.value if isinstance(one, Ignored) else f"put {type(one).__name__}" for one in results
    ).most_common()


def _tell(result: WorkItem | Ignored) -> None:
    token = correlation.set(result.event_id if isinstance(result, Ignored) else result.cause.id)
    if isinstance(result, Ignored):
        _LOG.info("%s asks for nothing: %s", one_line(result.event_type), result.why.value)
    else:
        _LOG.info("%s put %s", result.cause.event_type, type(result).__name__)
    correlation.reset(token)


async def replay(
    context: Context, body: bytes, source: Source, new_id: Callable[[], str], *, dry_run: bool
) -> list[dict[str, Any]]:
    """Do exactly what the triggers do with a recorded body, and say what each event led to. Raises Refusal."""
    if len(body) > LONGEST_BODY:
        raise TooLarge(Reason.BAD_REQUEST, f"a body of {len(body)} bytes; {LONGEST_BODY} are allowed")
    try:
        taken = await take_events(context, body.decode(), source=source, new_id=new_id, dry_run=dry_run)
    except (BadEvent, UnicodeDecodeError) as error:
        raise Refusal(Reason.BAD_REQUEST, str(error)) from error
    return [_told(one.result) for one in taken]


def _told(result: WorkItem | Ignored) -> dict[str, Any]:
    if isinstance(result, Ignored):
        return {"result": "ignored", "eventId": result.event_id, "why": result.why.value}
    return {"result": "put", "eventId": result.cause.event_id, "item": result}
