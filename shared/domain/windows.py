"""When a rule's resources may be changed: windows that come again every week, and days on which nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import Enum
from functools import cache
from zoneinfo import ZoneInfo

from msgspec import Struct

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_LOOK_AHEAD = 15  # days: a window lost to a change of the clocks comes again a week later
_LONGEST_FREEZE = timedelta(days=366)
_DAY = timedelta(days=1)
_YEARS = 2000, 2999  # of a freeze: beyond them there is no day before or after to reckon with


class Day(Enum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Day)


class Window(Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """From one time of day to another, on the days that it begins on. `to` at or before `from` is on the next day."""

    start: str
    end: str
    days: tuple[Day, ...] = _WEEK
    timezone: str = "UTC"

    def span(self, day: date) -> tuple[datetime, datetime]:
        """Return when the window that begins on a day opens and closes, in UTC."""
        zone, start, end = zone_of(self.timezone) or UTC, _time(self.start), _time(self.end)
        last = day if start < end else day + _DAY
        opens, closes = (datetime.combine(on, at, zone) for on, at in ((day, start), (last, end)))
        return opens.astimezone(UTC), closes.astimezone(UTC)


class Freeze(Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """Days on which nothing is changed, the first and the last among them."""

    start: date
    end: date
    timezone: str = "UTC"

    def until(self, now: datetime) -> datetime | None:
        """Return when it ends, in UTC, if it holds now."""
        zone = zone_of(self.timezone) or UTC
        begins, ends = (datetime.combine(day, time(), zone) for day in (self.start, self.end + _DAY))
        return ends.astimezone(UTC) if begins <= now < ends else None


def frozen_until(freezes: Sequence[Freeze], now: datetime) -> datetime | None:
    """Return when the freezes that hold now, and those that begin when they end, are over; None: none holds."""
    moment = now
    while (ends := max((one.until(moment) or moment for one in freezes), default=moment)) > moment:
        moment = ends
    return moment if moment > now else None


def next_opening(windows: Sequence[Window], freezes: Sequence[Freeze], now: datetime) -> datetime:
    """Return the first moment from now on at which a window is open and no freeze holds; no window: always open."""
    moment = now
    while True:
        thawed = frozen_until(freezes, moment) or moment
        opens = _opening(windows, thawed)
        if opens == moment:
            return moment
        moment = opens


def _opening(windows: Sequence[Window], now: datetime) -> datetime:
    if not windows:
        return now
    moments = [
        max(opens, now)
        for window in windows
        for ahead in range(-2, _LOOK_AHEAD)
        if _WEEK[(day := now.date() + ahead * _DAY).weekday()] in window.days
        for opens, closes in [window.span(day)]
        if now < closes and opens < closes
    ]
    return min(moments)


@cache
def zone_of(name: str) -> tzinfo | None:
    """Return the time zone of an IANA name as this machine knows it, else as `tzdata` does, else None. Read once: such
    data is as good as a constant.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def window_problems(windows: Sequence[Window]) -> Iterator[str]:
    """Yield what is wrong with a rule's windows."""
    for window in windows:
        if wrong := next((one for one in (window.start, window.end) if not _TIME.fullmatch(one)), None):
            yield f'{wrong[:20]!r} is no time of day; write "22:00", with quotes'
        elif window.start == window.end:
            yield f"from and to are both {window.start}; a whole day needs no window"
        if not window.days:
            yield "days: an empty list never opens; leave the field out"
        yield from _zone_problems(window.timezone)


def freeze_problems(freezes: Sequence[Freeze]) -> Iterator[str]:
    """Yield what is wrong with a rule's freezes."""
    for freeze in freezes:
        if freeze.end < freeze.start:
            yield f"to {freeze.end} is before from {freeze.start}"
        elif freeze.end - freeze.start > _LONGEST_FREEZE:
            yield "longer than a year; say rotation: report instead"
        if not _YEARS[0] <= freeze.start.year <= freeze.end.year <= _YEARS[1]:
            yield f"a year from {_YEARS[0]} to {_YEARS[1]}"
        yield from _zone_problems(freeze.timezone)


def _zone_problems(name: str) -> Iterator[str]:
    if zone_of(name) is None:
        yield f"timezone: this machine knows no {name[:50]!r}; write UTC or a name such as Europe/Berlin"


def _time(text: str) -> time:
    return time.fromisoformat(text)
