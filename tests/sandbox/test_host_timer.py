import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from sandbox.host import FunctionHost, HostError, Schedule, TimerListener
from sandbox.host.functions import Function
from sandbox.virtual import VirtualClock
from sandbox.virtual import run as run_virtually

NOW = datetime(2026, 11, 2, 8, 0, 0, 500, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("* * * * * *", "2026-11-02T08:00:01"),
        ("0 * * * * *", "2026-11-02T08:01:00"),
        ("0 */5 * * * *", "2026-11-02T08:05:00"),
        ("30 0 */6 * * *", "2026-11-02T12:00:30"),
        ("0 0 8 * * *", "2026-11-03T08:00:00"),
        ("0 15,45 9-11 * * 1-5", "2026-11-02T09:15:00"),
        ("0 0 0 * * 0", "2026-11-08T00:00:00"),
        ("0 0 0 * * 7", "2026-11-08T00:00:00"),
        ("0 0 0 1 1 *", "2027-01-01T00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 10/20 * * * *", "2026-11-02T08:10:00"),
        ("0 0-30/15 8 * * *", "2026-11-02T08:15:00"),
    ],
)
def test_a_schedule_knows_its_next_moment(expression: str, following: str) -> None:
    assert Schedule(expression).next(NOW).isoformat() == following + "+00:00"


@pytest.mark.parametrize(
    "expression", ["* * * * *", "60 * * * * *", "0 0 0 * * MON", "0 */0 * * * *", "0 5-1 * * * *", "0 0 0 0 * *", ""]
)
def test_a_wrong_schedule_is_refused(expression: str) -> None:
    with pytest.raises(HostError, match="schedule"):
        Schedule(expression)


def test_a_schedule_that_never_comes_is_refused_when_it_is_asked() -> None:
    with pytest.raises(HostError, match="never"):
        Schedule("0 0 0 31 2 *").next(NOW)


class Bell:
    """Stands for the host: remembers when it was rung, and whether late."""

    def __init__(self, schedule: str, *, at_startup: bool = False) -> None:
        trigger = {"type": "timerTrigger", "name": "t", "schedule": schedule, "runOnStartup": at_startup}
        self.functions = {"sweep": Function("sweep", "1", (trigger,))}
        self.rung: list[tuple[str, bool]] = []

    async def fire_timer(self, _: str, *, past_due: bool, status: dict[str, Any]) -> None:
        assert set(status) == {"Last", "Next", "LastUpdated"}
        self.rung.append((datetime.now(UTC).strftime("%dT%H:%M:%S"), past_due))


def _ring(bell: Bell, seconds: float, shifted_by: float = 0) -> list[tuple[str, bool]]:
    async def main(clock: VirtualClock) -> None:
        listener = TimerListener(
            cast("FunctionHost", bell), "sweep", now=lambda: datetime.fromtimestamp(clock.time() + offset, UTC)
        )
        offset = 0.0
        task = asyncio.create_task(listener.run())
        await asyncio.sleep(1)
        offset = shifted_by
        await asyncio.sleep(seconds)
        task.cancel()

    run_virtually(main, start=datetime(2026, 11, 2, 8, tzinfo=UTC))
    return bell.rung


def test_a_timer_rings_at_every_moment_of_its_schedule_and_once_at_startup_when_asked() -> None:
    assert _ring(Bell("0 0 */2 * * *", at_startup=True), 5 * 3600) == [
        ("02T08:00:00", False),
        ("02T10:00:00", False),
        ("02T12:00:00", False),
    ]


def test_moments_passed_over_by_a_shifted_clock_become_one_late_run() -> None:
    assert _ring(Bell("0 0 * * * *"), 120, shifted_by=24 * 3600) == [("02T08:01:00", True)]
