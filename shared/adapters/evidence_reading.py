"""Reading the evidence back: hour by hour, oldest first, doubles dropped, damaged lines counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec
from msgspec import Struct, field

from shared.adapters.evidence import Store
from shared.domain.evidence_query import Head, Mark, Page, Query
from shared.domain.reasons import Reason
from shared.errors import Refusal

_AT_ONCE = 8  # files read side by side
_MOST_FILES = 1000  # looked into for one page, and the bytes of them: an HTTP caller is cut off after 230 seconds
_MOST_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"\d{4}/\d\d/\d\d/\d\d/[^/]+\.jsonl")
_HEAD = msgspec.json.Decoder(Head)


class _Hour(Struct):
    """What one hour's files held. Only the first lines are kept: an hour may hold many more than a page."""

    query: Query
    lines: dict[Mark, bytes] = field(default_factory=dict)  # by mark: a line that was written twice is one
    closed: set[str] = field(default_factory=set)  # ids of lines that told beforehand of what another one tells
    up_to: Mark | None = None  # lines behind it are there and were not kept
    damaged: int = 0
    size: int = 0

    def take(self, line: bytes) -> None:
        try:
            head = _HEAD.decode(line)
        except (msgspec.DecodeError, RecursionError):
            self.damaged += 1
            return
        if head.closes and self.query.shows(head):  # one that is not in the answer tells nobody anything
            self.closed.update(head.closes)
        if not self.query.wants(head) or (self.up_to is not None and head.mark > self.up_to):
            return
        self.lines[head.mark] = line
        if len(self.lines) > 4 * self.query.limit:
            kept = sorted(self.lines.items(), key=lambda one: one[0])[: 2 * self.query.limit + 1]
            self.lines, self.up_to = dict(kept), kept[-1][0]

    def sorted(self) -> list[tuple[Mark, bytes]]:
        open_ = (one for one in self.lines.items() if one[0].id not in self.closed)
        return sorted(open_, key=lambda one: one[0])


class EvidenceReader:
    """Implements ports.Evidence."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, query: Query) -> Page:
        """Return the first lines that are asked for, and a cursor when there may be more. Raises AppError."""
        found: list[tuple[Mark, bytes]] = []
        damaged = files = size = 0
        async for begin, names in self._hours(query):
            if files >= _MOST_FILES or size >= _MOST_BYTES:
                return _page(found, Mark(begin, ""), damaged)
            hour = await self._hour(query, names)
            files, size, damaged = files + len(names), size + hour.size, damaged + hour.damaged
            found += hour.sorted()
            if len(found) > query.limit:
                found = found[: query.limit]
                return _page(found, found[-1][0], damaged)
            if hour.up_to is not None:
                return _page(found, hour.up_to, damaged)
        return _page(found, None, damaged)

    async def _hours(self, query: Query) -> AsyncIterator[tuple[datetime, list[str]]]:
        """Yield the hours of the query that have files, each with the moment it begins."""
        start = max(query.start, query.after.at) if query.after else query.start
        first, day = _hour_of(start), start.astimezone(UTC).date()
        while day <= query.end.astimezone(UTC).date():
            names = sorted(one for one in await self._store.names(f"{day:%Y/%m/%d}/") if _NAME.fullmatch(one))
            for prefix, group in groupby(names, key=lambda one: one.rpartition("/")[0]):
                begin = _begin(prefix)
                if begin is not None and first <= begin < query.end:
                    yield begin, list(group)
            day += timedelta(days=1)

    async def _hour(self, query: Query, names: list[str]) -> _Hour:
        hour = _Hour(query)
        for start in range(0, len(names), _AT_ONCE):
            await asyncio.gather(*(self._file(hour, name) for name in names[start : start + _AT_ONCE]))
        return hour

    async def _file(self, hour: _Hour, name: str) -> None:
        rest = b""
        async for piece in self._store.pieces(name):
            hour.size += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                hour.take(line)
        if rest:
            hour.take(rest)


class NoEvidence:
    """Implements ports.Evidence where none is kept."""

    async def read(self, query: Query) -> Page:
        """Raise Refusal (MISCONFIGURED)."""
        del query
        raise Refusal(Reason.MISCONFIGURED, "CMK_EVIDENCE: no evidence is kept")


def _page(found: list[tuple[Mark, bytes]], cursor: Mark | None, damaged: int) -> Page:
    lines = tuple(msgspec.json.decode(line, type=dict) for _, line in found)
    return Page(lines, cursor.text if cursor else None, damaged)


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _begin(prefix: str) -> datetime | None:
    """Return when the hour of a folder begins; None for a folder that only looks like one."""
    try:
        return datetime.strptime(prefix, "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None
