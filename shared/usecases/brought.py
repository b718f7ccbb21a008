"""Which resources the app has lately brought under their first key: what a roll-out of first keys is measured by.

A key version tells who has come with it. A first key tells nothing: most of an estate may have had it long before.
"""

from __future__ import annotations

from datetime import timedelta

from shared.domain.evidence_query import Query, parse_mark
from shared.domain.first_keys import begun_in
from shared.errors import AppError
from shared.usecases.context import Context

LATELY = timedelta(days=14)
_MOST_LINES = 1000
_MOST_PAGES = 20  # read for one answer: the next answer goes on from there
_OVERLAP = timedelta(hours=1)  # what instances wrote while the last answer was read
_MOMENT = timedelta(milliseconds=1)


async def brought_lately(context: Context) -> frozenset[str] | None:
    """Return the folded ids of resources that the app gave their first key lately, by the evidence, which is read once
    and then only as it grows; None where it cannot be read.
    """
    now, known = context.ports.clock.now(), context.recent.brought
    start = max(now - LATELY, known.read_up_to - _OVERLAP) if known.read_up_to else now - LATELY
    query = Query(start, now + _MOMENT, _MOST_LINES)
    try:
        for _ in range(_MOST_PAGES):
            page = await context.ports.evidence.read(query)
            known.note(begun_in(page.lines))
            if page.cursor is None:
                known.read_up_to = now
                break
            query = Query(query.start, query.end, query.limit, after=parse_mark(page.cursor))
            known.read_up_to = query.after.at + _OVERLAP if query.after else now
    except AppError:
        return None
    return known.since(now - LATELY)
