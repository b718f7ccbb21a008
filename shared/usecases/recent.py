"""What this instance saw lately. It saves requests and decides nothing: losing it costs a few reads.

That a resource was found converged: a question asked before that moment is answered by it. That a look at one that has
to wait is on the queue. Which children a resource has: like Resource Graph that is an index of candidates, but of a
known age. That a key's users have just been looked for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.keys import KeyId, KeyRef
from shared.domain.patience import PATIENT
from shared.domain.plan import Top
from shared.domain.reasons import Reason, Wait
from shared.domain.resource import Address, KeyUse
from shared.domain.waves import Member
from shared.usecases.remembered import Brought, Remembered

CHILDREN_FOR = timedelta(minutes=2)
WATCHED_FOR = timedelta(minutes=15)
ROLLOUT_FOR = timedelta(minutes=1)
TOPS_FOR = timedelta(minutes=5)
FORESEEN_FOR = timedelta(minutes=1)
SKEW = timedelta(seconds=1)  # clocks of instances differ, kept right by Azure's as they are
_SET_BACK = timedelta(seconds=2)  # a clock that is put right moves by less
_MOST_CHILDREN = 2_000  # of one collection: a larger one is listed again rather than remembered
_MOST_WINS = 100
_T = TypeVar("_T")


class _Bounded(Generic[_T]):
    """A mapping that forgets what was set longest ago."""

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
    """A member of a child collection and the keys it used when it was last seen. Unreadable uses: None."""

    address: Address
    uses: tuple[KeyUse, ...] | None


class _Listed(Struct):
    at: datetime
    children: dict[str, Child]


class _Watched(Struct, frozen=True):
    as_of: datetime  # the age of the oldest fact behind it
    noted_at: datetime
    until: datetime  # when the look that is on the queue comes
    pointers: tuple[tuple[str, KeyRef, bool], ...]  # how the resource pointed at its keys


class _Queued(Struct, frozen=True):
    reason: Reason
    until: datetime
    reach: bool


class _Turn(Struct):
    lock: asyncio.Lock
    wanted: int = 0


class Recent:
    """The memory of one instance."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._latest: datetime | None = None
        self._turns: dict[str, _Turn] = {}
        self._begun: _Bounded[dict[str, str]] = _Bounded(capacity // 10)
        self._begin_afresh()

    def is_set_back(self, now: datetime) -> bool:
        """Return whether the clock was set back since this was asked last. All that is remembered is forgotten then:
        its times would pass for times to come.
        """
        back = self._latest is not None and now < self._latest - _SET_BACK
        self._latest = now if back or self._latest is None else max(now, self._latest)
        if back:
            self._begin_afresh()
        return back

    def _begin_afresh(self) -> None:
        capacity = self._capacity
        self._converged: _Bounded[datetime] = _Bounded(capacity)
        self._watched: _Bounded[_Watched] = _Bounded(capacity)
        self._written: _Bounded[datetime] = _Bounded(capacity)
        self._queued: _Bounded[_Queued] = _Bounded(capacity)
        self._lists: _Bounded[_Listed] = _Bounded(capacity // 10)
        self._expanded: _Bounded[datetime] = _Bounded(capacity // 10)
        self._seen: _Bounded[tuple[object, datetime]] = _Bounded(capacity // 10)
        self._wins: _Bounded[tuple[datetime, ...]] = _Bounded(capacity)
        self.rollouts: Remembered[tuple[Member, ...]] = Remembered(ROLLOUT_FOR, 20)
        self.foreseen: Remembered[Any] = Remembered(FORESEEN_FOR, capacity // 10)
        self.brought = Brought(capacity)
        self.tops: Remembered[Top] = Remembered(TOPS_FOR, capacity // 10)

    def note_converged(self, address: Address, as_of: datetime) -> None:
        """Remember that the resource was where it should be, by facts none of which is older than `as_of`."""
        self._converged.set(address.folded, as_of)

    def note_watched(self, address: Address, uses: tuple[KeyUse, ...], until: datetime, as_of: datetime) -> None:
        """Remember that a look at this resource is on the queue for that time, by facts no older than `as_of`."""
        self._watched.set(address.folded, _Watched(as_of, as_of, until, _pointers(uses)))

    def keep_watched(self, address: Address, until: datetime, now: datetime) -> None:
        """Remember that the look at this resource was put off without reading anything."""
        watched = self._watched.get(address.folded)
        if watched is not None:
            self._watched.set(address.folded, replace(watched, noted_at=now, until=until))

    def note_queued(self, address: Address, reason: Reason, until: datetime, *, reach: bool = False) -> None:
        """Remember that a look at this resource, waiting for this reason, is on the queue for that time; `reach`: it
        asks also whether the resource still reaches its keys.
        """
        self._queued.set(address.folded, _Queued(reason, until, reach))

    def is_queued(self, address: Address, wait: Wait, now: datetime, *, reach: bool = False) -> bool:
        """Return whether such a look is on the queue and still to come, and asks as much: a second one would only do it
        all twice. Where the moment is known that is waited for, it must not come later than that.
        """
        queued = self._queued.get(address.folded)
        if queued is None or queued.reason is not wait.reason or now >= queued.until or (reach and not queued.reach):
            return False
        return wait.reason not in PATIENT or queued.until <= wait.again_at

    def begins(self, address: Address, step: str, id_: str) -> bool:
        """Return whether a step at a resource is to be put down before it is taken, by that id: not if this instance
        has done so and told of nothing there since.
        """
        known = self._begun.get(address.folded) or {}
        if step in known:
            return False
        self._begun.set(address.folded, {**known, step: id_})
        return True

    def told(self, address: Address) -> tuple[str, ...]:
        """Return what was put down for a resource and is told of now."""
        known = self._begun.get(address.folded) or {}
        self._begun.drop(address.folded)
        return tuple(known.values())

    def note_win(self, address: Address, slot: str, key: str, at: datetime) -> None:
        """Remember that this instance set a slot to a key and found it there."""
        self._wins.set(f"{address.folded} {slot} {key}", (*self.wins(address, slot, key)[-_MOST_WINS:], at))

    def wins(self, address: Address, slot: str, key: str) -> tuple[datetime, ...]:
        """Return when that was."""
        return self._wins.get(f"{address.folded} {slot} {key}") or ()

    def forget(self, address: Address) -> None:
        """Forget what was concluded about a resource: it is not where it should be."""
        self._converged.drop(address.folded)
        self._watched.drop(address.folded)

    def note_written(self, address: Address, at: datetime) -> None:
        """Remember that this instance changed the resource: what was read of it before is void."""
        self.forget(address)
        self._written.set(address.folded, at)

    def written_since(self, address: Address, at: datetime) -> bool:
        """Return whether this instance changed the resource after that moment."""
        written = self._written.get(address.folded)
        return written is not None and written >= at

    def answers(self, address: Address, asked_at: datetime, now: datetime) -> bool:
        """Return whether what was seen of the resource after the question was asked answers it.

        That is so if it was found converged, or found waiting while the look that was put on the queue then is still to
        come. That look itself is never answered so: it is asked after what it follows on.
        """
        converged = self._converged.get(address.folded)
        watched = self._watched.get(address.folded)
        known = [converged, watched.as_of if watched and now < watched.until else None]
        return any(as_of is not None and as_of >= asked_at + SKEW for as_of in known)

    def is_watched(self, address: Address, uses: tuple[KeyUse, ...], now: datetime) -> bool:
        """Return whether a look is on the queue, was put there a short while ago, and the resource still points at its
        keys as it did then.
        """
        watched = self._watched.get(address.folded)
        if watched is None or now >= watched.until or now - watched.noted_at > WATCHED_FOR:
            return False
        return watched.pointers == _pointers(uses)

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
        name = _list_key(parent.folded, child_type)
        if len(children) > _MOST_CHILDREN:
            self._lists.drop(name)
            return
        self._lists.set(name, _Listed(at, {child.address.folded: child for child in children}))

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

    def note_expanded(self, key: KeyId, began: datetime) -> None:
        """Remember that this instance began to look for the key's users."""
        self._expanded.set(key.url, began)

    def expanded_since(self, key: KeyId, asked_at: datetime) -> bool:
        """Return whether this instance began to look for the key's users after that moment."""
        began = self._expanded.get(key.url)
        return began is not None and began >= asked_at + SKEW

    def note(self, what: str, at: datetime) -> None:
        """Remember that something was done."""
        self._expanded.set(what, at)

    def noted_since(self, what: str, moment: datetime) -> bool:
        """Return whether it was done after that moment."""
        at = self.noted_at(what)
        return at is not None and at >= moment

    def noted_at(self, what: str) -> datetime | None:
        """Return when it was done last, if that is remembered."""
        return self._expanded.get(what)

    def note_seen(self, what: str, value: object, at: datetime) -> None:
        """Remember something that was read."""
        self._seen.set(what, (value, at))

    def seen(self, what: str, not_older_than: datetime) -> object:
        """Return what was read then or later, or None."""
        value, at = self._seen.get(what) or (None, not_older_than)
        return value if at >= not_older_than else None

    def comes_back(self, key: KeyId, moment: datetime) -> bool:
        """Return whether the key is known to be looked at again at that moment."""
        return self._expanded.get(f"{key.url} valid") == moment

    def note_come_back(self, key: KeyId, moment: datetime) -> None:
        """Remember that the key is looked at again at that moment."""
        self._expanded.set(f"{key.url} valid", moment)


def _pointers(uses: tuple[KeyUse, ...]) -> tuple[tuple[str, KeyRef, bool], ...]:
    return tuple((use.slot, use.configured, use.follows) for use in uses)


def _list_key(parent: str, child_type: str) -> str:
    return f"{parent} {child_type.lower()}"
