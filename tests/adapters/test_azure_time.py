from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.adapters.azure_time import FARTHEST, AzureTime
from shared.ports import Clock
from shared.usecases.health import Checkup, health
from tests.support.azure import MID, START, Azure, account, estate, on_azure

SECOND = timedelta(seconds=1)
HALF_AN_HOUR_OFF = format_datetime((START - timedelta(minutes=30)).astimezone(UTC), usegmt=True)
LAST, FIRST = "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359"


class Wrong(Clock):
    """This machine's clock, which is wrong by so much."""

    def __init__(self, by: timedelta) -> None:
        self.true, self.by = START, by

    def now(self) -> datetime:
        return self.true + self.by


def asks(time: AzureTime, wall: Wrong, took: float = 0.02, said: str | None = None) -> None:
    """One request and its answer, whose Date was written halfway."""
    sent = time.here()
    wall.true += timedelta(seconds=took / 2)
    date = said if said is not None else format_datetime(wall.true.astimezone(UTC), usegmt=True)
    wall.true += timedelta(seconds=took / 2)
    time.heard(date, sent, time.here())


def error(time: AzureTime, wall: Wrong) -> timedelta:
    return abs(time.now() - wall.true)


@pytest.mark.parametrize("by", [0, 0.7, -5, 300, -3590, 3590])
def test_two_answers_put_a_clock_right_to_the_second_and_many_to_far_less(by: float) -> None:
    wall, dice = Wrong(timedelta(seconds=by)), random.Random(1)
    time = AzureTime(wall)
    for _ in range(2):
        asks(time, wall)
        wall.true += timedelta(seconds=dice.uniform(0, 3))
    assert error(time, wall) <= 1.1 * SECOND
    for _ in range(60):
        asks(time, wall)
        wall.true += timedelta(seconds=dice.uniform(0, 3))
    assert error(time, wall) <= 0.1 * SECOND


def test_a_clock_that_is_right_is_left_alone() -> None:
    wall, dice = Wrong(timedelta(0)), random.Random(2)
    time = AzureTime(wall)
    for _ in range(200):
        asks(time, wall, took=dice.uniform(0.001, 20))
        wall.true += timedelta(seconds=dice.uniform(0, 3))
        assert time.now() == wall.true


@pytest.mark.parametrize(
    "said", ["", "soon", "Fri, 99 Foo 2026", "Wed, 01 Jan 2020 00:00:00 GMT", LAST, FIRST, HALF_AN_HOUR_OFF]
)
def test_one_odd_answer_moves_no_clock(said: str) -> None:
    wall = Wrong(timedelta(0))
    time = AzureTime(wall)
    asks(time, wall)
    asks(time, wall, said=said)
    asks(time, wall)
    asks(time, wall, said=said)
    assert time.now() == wall.true


def test_a_clock_that_jumps_is_put_right_again_by_the_second_answer() -> None:
    wall = Wrong(timedelta(0))
    time = AzureTime(wall)
    for jump in (-3500, 3500, 0):
        wall.by = timedelta(seconds=jump)
        for _ in range(2):
            asks(time, wall)
        assert error(time, wall) <= 1.1 * SECOND


@pytest.mark.parametrize("by", [-7200, 86_400, -31_536_000])
def test_nobody_is_believed_that_a_clock_is_wrong_by_hours_and_that_is_told_once_an_hour(
    by: float, caplog: pytest.LogCaptureFixture
) -> None:
    wall = Wrong(timedelta(seconds=by))
    time = AzureTime(wall)
    for _ in range(90):
        asks(time, wall)
        wall.true += timedelta(minutes=1)
        assert time.now() == time.here()
    assert len(caplog.records) == 2


def test_a_clock_that_is_too_far_out_to_be_put_right_shows_in_health_until_somebody_puts_it_right() -> None:
    wall = Wrong(FARTHEST + timedelta(minutes=1))
    time = AzureTime(wall)
    assert time.trouble() == ""
    for _ in range(2):
        asks(time, wall)
    assert "wrong by 3659 s" in time.trouble()
    wall.by = timedelta(0)
    asks(time, wall)
    assert time.trouble() == ""


def test_health_names_a_clock_that_is_too_far_out() -> None:
    async def story(azure: Azure) -> None:
        checkup = Checkup(azure.app.context, lambda: "wrong by 3660 s")
        found = await health(azure.app.context, checkup, (), {})
        assert (found.healthy, found.problems) == (False, ("clock: wrong by 3660 s",))
        assert (await health(azure.app.context, azure.app.checkup, (), {})).healthy

    on_azure(estate(account("st1", MID)), story)


def test_a_clock_is_not_moved_beyond_the_bound_by_small_steps() -> None:
    wall = Wrong(-FARTHEST)
    time = AzureTime(wall)
    for _ in range(200):
        asks(time, wall)
        wall.true += SECOND
        wall.by -= SECOND / 2
    assert timedelta(0) <= time.now() - time.here() <= FARTHEST


def test_a_clock_set_back_while_an_answer_is_on_its_way_makes_that_answer_worth_nothing() -> None:
    wall = Wrong(timedelta(0))
    time = AzureTime(wall)
    for _ in range(2):
        sent = time.here()
        time.heard(format_datetime(START, usegmt=True), sent, sent - timedelta(hours=1))
    assert time.now() == wall.true


def test_nor_do_many_small_steps_lead_a_clock_away_by_more_than_hours() -> None:
    wall = Wrong(timedelta(0))
    time = AzureTime(wall)
    for step in range(8000):
        wall.true += SECOND
        asks(time, wall, said=format_datetime((wall.true + 0.9 * step * SECOND).astimezone(UTC), usegmt=True))
    assert error(time, wall) <= FARTHEST
