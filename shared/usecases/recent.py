"""What this instance saw lately. It saves requests and decides nothing: losing it costs a few reads.

That a resource was found converged: a question asked before that moment is answered by it. That a look at a follower
is on the queue. Which children a resource has: like Resource Graph that is an index of candidates, but of a known age.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

from shared.domain.resource import Address, KeyUse

CHILDREN_FOR = timedelta(minutes=2)
WATCHED_FOR = timedelta(minutes=10)
SKEW = timedelta(milliseconds=50)  # clocks of instances differ a little
_T = TypeVar("_T")


class _Bounded(Generic[_T]):
    """A mapping that forgets what was touched longest ago."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, _T] = OrderedDict()

    def get(self, key: str) -> _T | None:
        return self._known.get(key)

    def set(self, key: str, value: _T) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def drop(self, key: str) -> None:
        self._known.pop(key, None)


class Child(Struct, frozen=True):
    """A member of a child collection and the keys it used when it was last seen."""

    address: Address
    uses: tuple[KeyUse, ...]


class _Turn(Struct):
    lock: asyncio.Lock
    wanted: int = 0


class _Listed(Struct):
    at: datetime
    children: dict[str, Child]


class Recent:
    """The memory of one instance."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._converged: _Bounded[datetime] = _Bounded(capacity)
        self._lists: _Bounded[_Listed] = _Bounded(capacity)
        self._watched: _Bounded[tuple[datetime, datetime]] = _Bounded(capacity)
        self._written: _Bounded[datetime] = _Bounded(capacity)
        self._turns: dict[str, _Turn] = {}

    def note_converged(self, address: Address, as_of: datetime) -> None:
        """Remember that the resource was where it should be, by facts none of which is older than `as_of`."""
        self._converged.set(address.folded, as_of)

    def forget(self, address: Address) -> None:
        """Forget what was concluded about a resource: it changed, or it is not where it should be."""
        self._converged.drop(address.folded)
        self._watched.drop(address.folded)

    def answers(self, address: Address, asked_at: datetime, now: datetime) -> bool:
        """Return whether what was seen of the resource after the question was asked answers it.

        That is so if it was found converged, or found waiting for its own service while the look that was put on the
        queue then is still to come. That look itself is never answered so: it is asked after what it follows on.
        """
        converged = self._converged.get(address.folded)
        watched = self._watched.get(address.folded)
        known = [converged, watched[0] if watched and now < watched[1] else None]
        return any(as_of is not None and as_of >= asked_at + SKEW for as_of in known)

    def note_written(self, address: Address, at: datetime) -> None:
        """Remember that this instance changed the resource: what was read of it before is void."""
        self.forget(address)
        self._written.set(address.folded, at)

    def written_since(self, address: Address, at: datetime) -> bool:
        """Return whether this instance changed the resource after that moment."""
        written = self._written.get(address.folded)
        return written is not None and written >= at

    def note_watched(self, address: Address, until: datetime, as_of: datetime) -> None:
        """Remember that a look at this resource is on the queue for that time, by facts no older than `as_of`."""
        self._watched.set(address.folded, (as_of, until))

    def is_watched(self, address: Address, now: datetime) -> bool:
        """Return whether a look is on the queue and was put there a short while ago."""
        noted = self._watched.get(address.folded)
        return noted is not None and now < noted[1] and now - noted[0] < WATCHED_FOR

    @asynccontextmanager
    async def turn(self, address: Address, what: str = "") -> AsyncIterator[None]:
        """Wait until nobody else in this instance looks at the resource (or at `what` of it): two at once would do it
        all twice.
        """
        name = _list_key(address.folded, what)
        turn = self._turns.setdefault(name, _Turn(asyncio.Lock()))
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                self._turns.pop(name, None)

    def note_children(self, parent: Address, child_type: str, children: tuple[Child, ...], at: datetime) -> None:
        """Remember a collection as it was listed."""
        self._lists.set(_list_key(parent.folded, child_type), _Listed(at, {c.address.folded: c for c in children}))

    def note_uses(self, address: Address, uses: tuple[KeyUse, ...]) -> None:
        """Remember a child as it was just read, if its collection is remembered."""
        if parent := address.parent.lower():
            listed = self._lists.get(_list_key(parent, address.type))
            if listed is not None:
                listed.children[address.folded] = Child(address, uses)

    def children(self, parent: Address, child_type: str, now: datetime) -> tuple[Child, ...] | None:
        """Return a collection's members if it was listed a short while ago, else None."""
        listed = self._lists.get(_list_key(parent.folded, child_type))
        if listed is None or now - listed.at > CHILDREN_FOR:
            return None
        return tuple(listed.children.values())


def _list_key(parent: str, child_type: str) -> str:
    return f"{parent} {child_type.lower()}"
