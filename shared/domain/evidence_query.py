"""Asking the evidence: which lines are wanted, and where an answer ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from shared.domain.resource import Json

Moment = Annotated[datetime, Meta(tz=True)]


class BadMark(ValueError):
    """The text is no cursor of ours."""


class Mark(Struct, frozen=True, order=True):
    """A place in the order of all lines: by time, and by id within a moment."""

    at: Moment
    id: str

    @property
    def text(self) -> str:
        """Return the mark as a cursor that a URL can carry."""
        return f"{self.at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}_{self.id}"


def parse_mark(text: str) -> Mark:
    """Read a cursor. Raises BadMark."""
    moment, there, id_ = text.partition("_")
    try:
        at = datetime.fromisoformat(moment)
        within = bool(there) and at.tzinfo is not None
        at = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadMark(f"not a cursor: {text[:100]!r}") from error
    if not within:
        raise BadMark(f"not a cursor: {text[:100]!r}")
    return Mark(at, id_)


class Head(Struct, frozen=True, rename="camel"):
    """The parts of a stored line that it is found by."""

    id: str
    at: Moment
    resource: str = ""
    keys: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()

    @property
    def mark(self) -> Mark:
        """Return the line's place in the order."""
        return Mark(self.at, self.id)


class Query(Struct, frozen=True):
    """Lines from `start` up to and without `end`, the oldest first, at most `limit`.

    `resource` is a folded id: it, and what lies below it unless it is asked for `alone`. `key` is a key identifier;
    without a version, any of them.
    """

    start: datetime
    end: datetime
    limit: int
    resource: str = ""
    key: str = ""
    after: Mark | None = None
    alone: bool = False

    def wants(self, head: Head) -> bool:
        """Return whether a line is asked for, on this page or a later one."""
        return (self.after is None or head.mark > self.after) and self.shows(head)

    def shows(self, head: Head) -> bool:
        """Return whether a line is asked for, on any page."""
        if not self.start <= head.at < self.end:
            return False
        id_ = head.resource.rstrip("/").lower()
        below = not self.alone and id_.startswith(f"{self.resource}/")
        if self.resource and id_ != self.resource and not below:
            return False
        return not self.key or any(one == self.key or one.startswith(f"{self.key}/") for one in head.keys)


class Page(Struct, frozen=True):
    """Lines as they were stored, where to go on, and how many lines could not be read on the way."""

    lines: tuple[Json, ...]
    cursor: str | None
    damaged: int
