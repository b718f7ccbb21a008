"""The evidence as a sink: reports become lines, lines go to append-only files, one for each instance and hour."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import groupby
from typing import Protocol

from msgspec import Struct

from shared.domain.evidence import encode, line_of, worth_keeping
from shared.domain.report import Report
from shared.errors import AppError

_LOG = logging.getLogger("cmk")
LARGEST = 4 * 1024 * 1024  # bytes in one append: what every version of the blob service takes
MOST_WAITING = 2000  # lines kept for a store that takes none


class Store(Protocol):
    """A tree of files that only grow: `{yyyy}/{mm}/{dd}/{hh}/{instance}.jsonl`."""

    async def append(self, stem: str, data: bytes) -> None:
        """Append to the file of that name, without its ending; make it first if need be. Raises AppError."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all files that begin so. Raises AppError."""
        ...

    def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Yield a file in pieces; nothing for one that is gone. Raises AppError."""
        ...


class _Entry(Struct):
    hour: str
    data: bytes
    tried: bool = False
    error: AppError | None = None


class EvidenceSink:
    """Implements journal.Sink. One append at a time; what has gathered meanwhile goes with the next one.

    Lines that the store did not take are tried again with the next report, as long as the process lives. An append
    whose answer got lost is repeated too, so that a line may be there twice, with the same id.
    """

    name = "evidence"

    def __init__(self, store: Store, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        self._instance = ""
        self._waiting: deque[_Entry] = deque()
        self._turn = asyncio.Lock()

    async def write(self, report: Report) -> None:
        """Keep the report if it is evidence. Raises AppError when the store does not take it."""
        if not worth_keeping(report):
            return
        entry = _Entry(f"{report.at:%Y/%m/%d/%H}", encode(line_of(report, self._new_id())))
        self._waiting.append(entry)
        async with self._turn:
            if not entry.tried:
                await self._append_all()
        if entry.error is not None:
            raise type(entry.error)(entry.error.reason, entry.error.detail) from entry.error

    async def _append_all(self) -> None:
        self._instance = self._instance or self._new_id().partition("-")[0]
        try:
            for hour, entries in _portions(list(self._waiting)):
                await self._store.append(f"{hour}/{self._instance}", b"".join(one.data for one in entries))
                for one in entries:
                    one.tried, one.error = True, None
                    self._waiting.popleft()
        except AppError as error:
            for one in self._waiting:
                one.tried, one.error = True, error
            self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        lost = max(0, len(self._waiting) - MOST_WAITING)
        for _ in range(lost):
            self._waiting.popleft()
        if lost:
            _LOG.error("%d lines of evidence are lost: the store has taken none for too long", lost)


def _portions(entries: list[_Entry]) -> Iterator[tuple[str, list[_Entry]]]:
    """Yield what goes into one append: lines of one hour, in order, up to LARGEST bytes."""
    for hour, group in groupby(entries, key=lambda one: one.hour):
        portion: list[_Entry] = []
        size = 0
        for one in group:
            if portion and size + len(one.data) > LARGEST:
                yield hour, portion
                portion, size = [], 0
            portion.append(one)
            size += len(one.data)
        yield hour, portion
