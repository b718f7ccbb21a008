"""What the app's log tells of its lives: which runs were begun and never ended, how often a message was taken."""

from __future__ import annotations

import re
from pathlib import Path

_RUN = re.compile(r"(Executing|Executed) 'Functions\.\w+' \((?:\w+, )?Id=([\w-]+)\)")
_TAKEN = re.compile(r"Trigger Details: MessageId: ([\w-]+), DequeueCount: (\d+)")


def in_flight(log: Path, since: int) -> tuple[int, int]:
    """Return how many runs that begin after byte `since` of the log do not end in it, and how long the log is."""
    with log.open("rb") as file:
        file.seek(since)
        life = file.read()
    begun: set[str] = set()
    for what, id_ in _RUN.findall(life.decode("utf-8", "replace")):
        (begun.add if what == "Executing" else begun.discard)(id_)
    return len(begun), since + len(life)


def dequeues(log: Path) -> dict[str, int]:
    """Return how often each message was taken, by its id."""
    found: dict[str, int] = {}
    for id_, number in _TAKEN.findall(log.read_text("utf-8", "replace")):
        found[id_] = max(found.get(id_, 0), int(number))
    return found
