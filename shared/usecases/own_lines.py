"""What the evidence tells of one resource, for decisions about it."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.evidence_query import Page, Query, parse_mark
from shared.domain.resource import Address
from shared.usecases.context import Context

MOST_PAGES = 5  # a page ends after 64 MiB looked into, whether a line was found or not
_MOST_LINES = 1000
_MOMENT = timedelta(milliseconds=1)


async def own_lines(context: Context, address: Address, start: datetime) -> Page:
    """Return the lines of a resource, without those of what lies below it, from `start` until now, the oldest first.

    One that ends with a cursor is not all: there was too much to look through. Raises AppError.
    """
    end = context.ports.clock.now() + _MOMENT
    query = Query(start, end, _MOST_LINES, address.folded, alone=True)
    found = await context.ports.evidence.read(query)
    for _ in range(MOST_PAGES - 1):
        if found.cursor is None:
            break
        more = await context.ports.evidence.read(replace(query, after=parse_mark(found.cursor)))
        found = Page(found.lines + more.lines, more.cursor, found.damaged + more.damaged)
    return found
