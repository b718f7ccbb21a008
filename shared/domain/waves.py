"""Waves: a roll-out reaches a few first, and goes on only while they fare well. Nothing is stored: in which wave a
resource is follows from its id and the version, when it opens from the version, how the roll-out fares from Azure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct

from shared.domain.resource import fold

_DURATION = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_ALL = 100  # percent
LONGEST = timedelta(days=90)
NAMED = 3  # of those behind, in a detail


class Wave(Struct, frozen=True, forbid_unknown_fields=True):
    """The resources up to `share` percent, beginning `after` ("30m", "4h", "2d") the version could be used."""

    share: Annotated[int, Meta(ge=1, le=_ALL)]
    after: str = "0h"

    @property
    def delay(self) -> timedelta:
        """Return `after`; checked when the policy was read."""
        return duration(self.after) or timedelta(0)


class Member(Struct, frozen=True):
    """A resource of a roll-out as the index shows it: where it stands in the line, and whether it is there."""

    id: str
    place: float
    there: bool


class Rollout(Struct, frozen=True):
    """How the waves before one fare: how many there are, and the ids of those behind."""

    size: int
    behind: tuple[str, ...]

    def held(self, stop_at: int) -> bool:
        """Return whether more than `stop_at` percent are behind."""
        return len(self.behind) * _ALL > stop_at * self.size

    def __str__(self) -> str:
        return f"{len(self.behind)} of {self.size} in the waves before are behind: {', '.join(self.behind[:NAMED])}"


def duration(text: str) -> timedelta | None:
    """Read a duration such as 30m, 4h or 2d; None: it is none."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def place_of(resource: str, what: str) -> float:
    """Return where a resource stands in the line for a key version: from 0 to 100, evenly, another for each version, so
    that it is not always the same ones that go first. `resource` is a folded id.
    """
    digest = sha256(f"{resource}\n{what}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * _ALL


def line_of(rule: str, version: str) -> str:
    """Return what tells a line apart: the version, or for a first key ("") the rule, whose template may name another
    key for each resource: they all stand in one line, or two might wait for each other.
    """
    return version or f"first key of {rule}"


def wave_at(waves: Sequence[Wave], place: float) -> int:
    """Return the number of the wave, from 0, that takes this place in the line."""
    return next(at for at, wave in enumerate(waves) if place < wave.share)


def rollout_before(waves: Sequence[Wave], wave: int, members: Iterable[Member], mine: str = "") -> Rollout:
    """Return how those in the waves before one fare. Where chance left those empty, the first in the line goes before
    the rest, so that nobody goes without a canary; `mine`, a folded id, does not wait for itself.
    """
    known = list(members) if wave else []
    before = [one for one in known if one.place < waves[wave - 1].share]
    if known and not before:
        first = min(known, key=lambda one: (one.place, one.id))
        before = [] if fold(first.id) == mine else [first]
    return Rollout(len(before), tuple(one.id for one in before if not one.there))


def wave_problems(waves: Sequence[Wave]) -> Iterator[str]:
    """Yield what is wrong with a rule's waves."""
    for wave in waves:
        delay = duration(wave.after)
        if delay is None:
            yield f"after: {wave.after[:50]!r} is no duration; write 30m, 4h or 2d"
        elif delay > LONGEST:
            yield f"after: {wave.after} is longer than {LONGEST.days}d"
    pairs = list(pairwise(waves))
    if any(first.share >= later.share for first, later in pairs):
        yield "share must rise from wave to wave: it counts all up to and with this wave"
    if any(first.delay > later.delay for first, later in pairs):
        yield "after must not fall from wave to wave"
    if waves and waves[-1].share != _ALL:
        yield f"the last share must be {_ALL}, or some would never have their turn"
