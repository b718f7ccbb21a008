"""In which order recorded events are sent, how often, and when. Everything by chance comes from the seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from cmkctl.recorded import Recorded

MOST_EXTRA = 100_000  # duplicates
MOST_TOGETHER = 100  # events in one request
LARGEST_REQUEST = 512 * 1024  # bytes; the app reads 1 MiB


class Disorder(Struct, frozen=True):
    """What is done to the order and the number of events, and how their times are kept (None: not at all)."""

    seed: int = 0
    shuffle: bool = False
    duplicate: str = "0"  # so many, or N% of them
    speed: float | None = None


class Sending(Struct, frozen=True):
    """One event to be sent, so many seconds after the first."""

    recorded: Recorded
    after: float


def duplicates(written: str, events: int) -> int:
    """Return how many duplicates are asked for: a count, or a percentage of the events. Raises ValueError."""
    share = written.strip().removesuffix("%")
    if not share.isascii() or not share.isdigit() or len(share) > 9:  # noqa: PLR2004  nine digits are plenty
        raise ValueError(f"{written[:50]!r} is neither a count nor a percentage")
    found = int(share) if share == written.strip() else round(events * int(share) / 100)
    if found > MOST_EXTRA:
        raise ValueError(f"{found} duplicates; at most {MOST_EXTRA} are sent")
    return found


def schedule(events: Sequence[Recorded], how: Disorder) -> list[Sending]:
    """Return what is sent and when.

    A duplicate comes right after its original, as a second delivery does. Shuffled events change places; the moments
    at which something is sent stay.
    """
    dice = random.Random(how.seed)  # noqa: S311  the same seed gives the same order
    ordered = _by_time(events) if how.speed is not None else list(enumerate(events))
    ordered = _with_duplicates(ordered, duplicates(how.duplicate, len(events)), dice)
    moments = _moments([one for _, one in ordered], how.speed)
    if how.shuffle:
        dice.shuffle(ordered)
    return [Sending(one, after) for (_, one), after in zip(ordered, moments, strict=True)]


def _by_time(events: Sequence[Recorded]) -> list[tuple[int, Recorded]]:
    """Return the events in the order they happened; one that does not say when stays behind the one before it."""
    known, keyed = None, []
    first = next((one.at for one in events if one.at is not None), None)
    for number, one in enumerate(events):
        known = one.at or known or first
        keyed.append((known, number, one))
    keyed.sort(key=lambda each: (each[0].timestamp() if each[0] else 0.0, each[1]))
    return [(number, one) for _, number, one in keyed]


def _with_duplicates(
    ordered: list[tuple[int, Recorded]], count: int, dice: random.Random
) -> list[tuple[int, Recorded]]:
    if not ordered or not count:
        return ordered
    places = range(len(ordered))
    chosen = dice.sample(places, count) if count <= len(ordered) else dice.choices(places, k=count)
    copies = [0] * len(ordered)
    for place in chosen:
        copies[place] += 1
    return [one for one, more in zip(ordered, copies, strict=True) for _ in range(1 + more)]


def _moments(events: Sequence[Recorded], speed: float | None) -> list[float]:
    """Return when each is sent, in seconds after the first."""
    if speed is None:
        return [0.0] * len(events)
    begin = next((one.at for one in events if one.at is not None), None)
    moments, last = [], 0.0
    for one in events:
        if one.at is not None and begin is not None:
            last = max(last, (one.at - begin).total_seconds() / speed)
        moments.append(last)
    return moments


def requests(sendings: Sequence[Sending]) -> Iterator[tuple[float, list[Recorded]]]:
    """Yield events that are due together, as many as fit into one request."""
    for after, due in groupby(sendings, key=lambda one: one.after):
        together: list[Recorded] = []
        size = 0
        for one in due:
            length = len(encoded([one.recorded.event]))
            if together and (len(together) == MOST_TOGETHER or size + length > LARGEST_REQUEST):
                yield after, together
                together, size = [], 0
            together.append(one.recorded)
            size += length
        yield after, together


def encoded(events: list[Any]) -> bytes:
    """Return a request's body. Text that is no text goes out as it was recorded: it is the app's to refuse."""
    return json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
