"""Answers that many ask for at once: asked for once, and good for a short while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Remembered(Generic[_T]):
    """What this instance was told lately, by name. It forgets what was told longest ago."""

    def __init__(self, good_for: timedelta, capacity: int) -> None:
        self._good_for = good_for
        self._capacity = capacity
        self._known: OrderedDict[str, tuple[datetime, _T]] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

    def note(self, name: str, answer: _T, at: datetime) -> None:
        """Remember an answer that came by the way."""
        self._known[name] = at, answer
        self._known.move_to_end(name)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all of it."""
        self._known.clear()

    async def get(self, name: str, now: Callable[[], datetime], ask: Callable[[], Awaitable[_T]]) -> _T:
        """Return the answer, asking if nobody did a short while ago. Raises what asking raises."""
        async with self._asking.setdefault(name, asyncio.Lock()):
            try:
                known = self._known.get(name)
                at = now()
                if known is None or at - known[0] > self._good_for:
                    known = at, await ask()
                    self.note(name, known[1], at)
                return known[1]
            finally:
                self._asking.pop(name, None)


class Brought:
    """Which resources had their first key from the app, and when, by folded id. `read_up_to`: how far the evidence has
    been read for that.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, datetime] = OrderedDict()
        self.read_up_to: datetime | None = None

    def note(self, found: Mapping[str, datetime]) -> None:
        """Remember these too."""
        for id_, at in found.items():
            self._known[id_] = max(at, self._known.get(id_, at))
            self._known.move_to_end(id_)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def since(self, moment: datetime) -> frozenset[str]:
        """Return those that had it after that moment."""
        return frozenset(id_ for id_, at in self._known.items() if at >= moment)
