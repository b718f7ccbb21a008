"""What this instance saw lately. It saves requests and decides nothing: losing it costs a few reads.

Two things are remembered. That a resource was found converged: a question asked before that moment is answered by it.
And which children a resource has: like Resource Graph it is an index of candidates, but of a known age.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

from shared.domain.resource import Address, KeyUse

CHILDREN_FOR = timedelta(minutes=2)
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


class _Listed(Struct):
    at: datetime
    children: dict[str, Child]


class Recent:
    """The memory of one instance."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._converged: _Bounded[datetime] = _Bounded(capacity)
        self._lists: _Bounded[_Listed] = _Bounded(capacity)

    def note_converged(self, address: Address, as_of: datetime) -> None:
        """Remember that the resource was where it should be, by facts none of which is older than `as_of`."""
        self._converged.set(address.folded, as_of)

    def forget(self, address: Address) -> None:
        """Forget what was concluded about a resource: it changed, or it is not where it should be."""
        self._converged.drop(address.folded)

    def answers(self, address: Address, asked_at: datetime) -> bool:
        """Return whether the resource was found converged after the question was asked."""
        as_of = self._converged.get(address.folded)
        return as_of is not None and as_of >= asked_at + SKEW

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
