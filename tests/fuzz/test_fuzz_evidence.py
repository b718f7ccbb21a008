"""Reading the evidence page by page, compared with a model that reads it all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.adapters.evidence_reading import EvidenceReader
from shared.domain.evidence_query import Head, Query, parse_mark
from tests.support.azure import START

FIRST = START.replace(minute=0)
HOURS = 2
PLACES = ("/s/a", "/s/b")
MINUTES = st.integers(0, 60 * HOURS - 1)
MOST = 40
PARTS = st.tuples(MINUTES, st.sampled_from(PLACES), st.lists(st.integers(0, MOST - 1), max_size=2))


def heads_of(parts: list[tuple[int, str, list[int]]]) -> list[Head]:
    """Return lines that are called by their number."""
    return [
        Head(str(number), FIRST + timedelta(minutes=minute), place, closes=tuple(map(str, closes)))
        for number, (minute, place, closes) in enumerate(parts)
    ]


class Stored:
    """A store in memory, whose files are the lines of two instances."""

    def __init__(self, heads: list[Head]) -> None:
        self.files: dict[str, bytes] = {}
        for number, head in enumerate(heads):
            name = f"{head.at:%Y/%m/%d/%H}/{number % 2}.jsonl"
            self.files[name] = self.files.get(name, b"") + msgspec.json.encode(head) + b"\n"

    async def append(self, stem: str, data: bytes) -> None:
        self.files[f"{stem}.jsonl"] = self.files.get(f"{stem}.jsonl", b"") + data

    async def names(self, prefix: str) -> list[str]:
        return [name for name in self.files if name.startswith(prefix)]

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        data = self.files[name]
        for start in range(0, len(data), 100):
            yield data[start : start + 100]


def expected(heads: list[Head], query: Query) -> list[Head]:
    """Return what is asked for, without what another line of the same answer and hour tells of."""
    asked = [head for head in heads if query.wants(head)]
    closed = {(f"{head.at:%d%H}", id_) for head in asked for id_ in head.closes}
    found = {head.mark: head for head in asked if (f"{head.at:%d%H}", head.id) not in closed}
    return [found[mark] for mark in sorted(found)]


async def pages(heads: list[Head], query: Query) -> list[str]:
    reader, found = EvidenceReader(Stored(heads)), list[str]()
    for _ in range(len(heads) + 10):
        page = await reader.read(query)
        assert len(page.lines) <= query.limit
        found += [str(line["id"]) for line in page.lines]
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, after=parse_mark(page.cursor))
    raise AssertionError("pages without an end")


@settings(phases=(Phase.generate,))  # making a case smaller takes longer than reading it
@given(
    st.lists(PARTS, min_size=MOST // 2, max_size=MOST).map(heads_of),
    st.integers(1, 4),
    st.sampled_from(["", *PLACES]),
    st.sampled_from([(0, 120), (30, 90), (70, 75)]),
)
def test_pages_hold_what_is_open_and_asked_for_once_and_in_order(
    heads: list[Head], limit: int, resource: str, window: tuple[int, int]
) -> None:
    start, end = (FIRST + timedelta(minutes=one) for one in window)
    query = Query(start, end, limit, resource)
    assert asyncio.run(pages(heads, query)) == [head.id for head in expected(heads, query)]
