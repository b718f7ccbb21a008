"""The timer trigger: NCRONTAB with six fields (second minute hour day month weekday), in UTC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.host.core import FunctionHost
from sandbox.host.hostjson import HostError

_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_YEARS_AHEAD = 9  # 29 February can be eight years away


class Schedule:
    """An NCRONTAB expression: *, lists, ranges and steps of numbers. A wrong one raises HostError."""

    def __init__(self, expression: str) -> None:
        parts = expression.split()
        if len(parts) != len(_FIELDS):
            raise HostError(f"schedule {expression!r}: six fields are needed, {len(parts)} are written")
        values = [_values(expression, part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
        self._seconds, self._minutes, self._hours, days, self._months, weekdays = values
        self._days = frozenset(days)
        self._weekdays = frozenset(day % 7 for day in weekdays)  # 0 and 7 are both Sunday

    def next(self, after: datetime) -> datetime:
        """Return the first moment later than `after`; a schedule that never comes raises HostError."""
        moment = after.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = moment.replace(hour=0, minute=0, second=0)
        for ahead in range(_YEARS_AHEAD * 366):
            today = day + timedelta(days=ahead)
            if today.month in self._months and today.day in self._days and today.isoweekday() % 7 in self._weekdays:
                found = self._within(today, max(moment, today))
                if found is not None:
                    return found
        raise HostError("the schedule never comes")

    def _within(self, day: datetime, earliest: datetime) -> datetime | None:
        return next(
            (
                moment
                for hour in self._hours
                if hour >= earliest.hour
                for minute in self._minutes
                for second in self._seconds
                if (moment := day.replace(hour=hour, minute=minute, second=second)) >= earliest
            ),
            None,
        )


def _values(expression: str, part: str, name: str, low: int, high: int) -> tuple[int, ...]:
    found: set[int] = set()
    for item in part.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        try:
            start = low if span in {"*", "?"} else int(first)
            end = int(last) if dash else high if slash or span in {"*", "?"} else start
            values = range(start, end + 1, int(step) if slash else 1)
        except ValueError as error:
            raise HostError(f"schedule {expression!r}: cannot read the {name} {item!r}") from error
        if not values or start < low or end > high:
            raise HostError(f"schedule {expression!r}: the {name} {item!r} is not within {low} to {high}")
        found.update(values)
    return tuple(sorted(found))


class TimerListener:
    """Fires one timer function by its schedule; `run` goes on until it is cancelled.

    It never sleeps longer than `nap` seconds at a time, so that a clock that was shifted is noticed; times that were
    passed over meanwhile become one late run.
    """

    def __init__(
        self,
        host: FunctionHost,
        function_name: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        nap: float = 60.0,
    ) -> None:
        trigger = host.functions[function_name].trigger
        self._schedule = Schedule(str(trigger["schedule"]))
        self._at_startup = bool(trigger.get("runOnStartup"))
        self._host = host
        self._function = function_name
        self._now = now
        self._nap = nap
        self._last: datetime | None = None

    async def run(self) -> None:
        """Fire at startup when the function asks for it, then at every moment of the schedule."""
        if self._at_startup:
            await self._fire(self._now(), late=False)
        due = self._schedule.next(self._now())
        while True:
            left = (due - self._now()).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, self._nap))
                continue
            await self._fire(due, late=left < -self._nap)
            due = self._schedule.next(max(self._now(), due))

    async def _fire(self, due: datetime, *, late: bool) -> None:
        now = self._now()
        status: dict[str, Any] = {
            "Last": (self._last or now).isoformat(),
            "Next": self._schedule.next(due).isoformat(),
            "LastUpdated": now.isoformat(),
        }
        self._last = now
        await self._host.fire_timer(self._function, past_due=late, status=status)
