"""Recorded events from files: one event or an array, in either schema, dead-letter blobs too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from shared.domain.jsonpath import lookup, text


class Unreadable(Exception):
    """A file holds no events that can be read; the message says why."""


class Recorded(Struct, frozen=True):
    """One event as it was recorded, and when it happened if it says so."""

    file: str
    event: Any
    at: datetime | None


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files named, and those of the folders named in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*.json") if one.is_file())
        else:
            yield path


def read(path: Path) -> tuple[Recorded, ...]:
    """Return a file's events. Raises Unreadable."""
    try:
        return tuple(Recorded(path.name, one, moment_of(one)) for one in events_in(path.read_bytes()))
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from error


def events_in(content: bytes) -> list[Any]:
    """Return the events of a file's content. Raises Unreadable."""
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error
    except RecursionError as error:
        raise Unreadable("nested too deep") from error
    except ValueError as error:
        raise Unreadable(f"not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict | list):
        raise Unreadable("neither an event nor an array of events")
    return found if isinstance(found, list) else [found]


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def moment_of(event: Any) -> datetime | None:
    """Return when an event happened, in UTC; None if it does not say so in a form that can be read."""
    written = text(lookup(event, "eventTime")) or text(lookup(event, "time"))
    try:
        found = datetime.fromisoformat(written)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
