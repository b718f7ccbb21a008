"""Windows and freezes as pure arithmetic."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.windows import (
    Day,
    Freeze,
    Window,
    freeze_problems,
    frozen_until,
    next_opening,
    window_problems,
    zone_of,
)

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  naive bounds
TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
DAYS = st.lists(st.sampled_from(Day), min_size=1, max_size=7, unique=True).map(tuple)
WINDOWS = st.builds(Window, TIMES, TIMES, DAYS, ZONES).filter(lambda one: one.start != one.end)
DATES = st.dates(date(2026, 1, 1), date(2027, 12, 31))
FREEZES = st.builds(lambda day, long: Freeze(day, day + timedelta(days=long)), DATES, st.integers(0, 60))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


WEEKEND = Window("22:00", "04:00", (Day.SAT, Day.SUN), "Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-05-01T08:00:00Z", "2026-05-02T20:00:00Z"),  # a Friday: Saturday 22:00 in Berlin
        ("2026-05-02T21:00:00Z", "2026-05-02T21:00:00Z"),  # open
        ("2026-05-04T01:59:00Z", "2026-05-04T01:59:00Z"),  # Monday 03:59 still belongs to Sunday's window
        ("2026-05-04T02:00:00Z", "2026-05-09T20:00:00Z"),  # 04:00: closed until next Saturday
        ("2026-12-05T20:30:00Z", "2026-12-05T21:00:00Z"),  # winter time: an hour later in UTC
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_begins_on_in_its_own_time_zone(now: str, opens: str) -> None:
    assert next_opening([WEEKEND], [], at(now)) == at(opens)


def test_a_time_zone_needs_no_data_of_the_machine() -> None:
    zone_of.cache_clear()
    try:
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()
        assert next_opening([WEEKEND], [], at("2026-05-01T08:00:00Z")) == at("2026-05-02T20:00:00Z")
    finally:
        zoneinfo.reset_tzpath()
        zone_of.cache_clear()


def test_a_window_that_the_clocks_skip_comes_again_a_week_later() -> None:
    skipped = Window("02:00", "03:00", (Day.SUN,), "Europe/Berlin")
    assert next_opening([skipped], [], at("2026-03-29T00:00:00Z")) == at("2026-04-05T00:00:00Z")


def test_a_freeze_takes_its_first_and_its_last_day() -> None:
    freeze = Freeze(date(2026, 12, 20), date(2027, 1, 6))
    assert frozen_until([freeze], at("2026-12-19T23:59:59Z")) is None
    assert frozen_until([freeze], at("2026-12-20T00:00:00Z")) == at("2027-01-07T00:00:00Z")
    assert frozen_until([freeze], at("2027-01-06T23:59:59Z")) == at("2027-01-07T00:00:00Z")
    assert frozen_until([freeze], at("2027-01-07T00:00:00Z")) is None


def test_after_a_freeze_the_next_window_counts_and_adjacent_freezes_are_one() -> None:
    freezes = [Freeze(date(2026, 5, 1), date(2026, 5, 5)), Freeze(date(2026, 5, 6), date(2026, 5, 9))]
    assert frozen_until(freezes, at("2026-05-02T00:00:00Z")) == at("2026-05-10T00:00:00Z")
    assert next_opening([WEEKEND], freezes, at("2026-05-02T21:00:00Z")) == at("2026-05-10T00:00:00Z")


@given(st.lists(WINDOWS, max_size=3), st.lists(FREEZES, max_size=3), MOMENTS)
def test_the_next_opening_is_open_not_frozen_and_not_in_the_past(
    windows: list[Window], freezes: list[Freeze], now: datetime
) -> None:
    opens = next_opening(windows, freezes, now)
    assert opens >= now
    assert frozen_until(freezes, opens) is None
    assert next_opening(windows, freezes, opens) == opens


@given(WINDOWS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=8)))
def test_a_later_question_never_has_an_earlier_answer(window: Window, now: datetime, later: timedelta) -> None:
    assert next_opening([window], [], now) <= next_opening([window], [], now + later)


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        (Window("22", "04:00"), "no time of day"),
        (Window("22:00", "24:00"), "no time of day"),
        (Window("22:00", "22:00"), "both 22:00"),
        (Window("22:00", "04:00", ()), "never opens"),
        (Window("22:00", "04:00", timezone="Europe/Atlantis"), "knows no 'Europe/Atlantis'"),
        (Window("22:00", "04:00", timezone="../../etc/passwd"), "knows no"),
    ],
)
def test_windows_that_never_open_are_told(window: Window, problem: str) -> None:
    assert any(problem in text for text in window_problems([window]))


@pytest.mark.parametrize(
    ("freeze", "problem"),
    [
        (Freeze(date(2026, 12, 20), date(2026, 1, 6)), "is before"),
        (Freeze(date(2026, 1, 1), date(2028, 1, 6)), "longer than a year"),
        (Freeze(date.max - timedelta(days=1), date.max), "a year from 2000"),
        (Freeze(date.min, date.min), "a year from 2000"),
    ],
)
def test_freezes_that_make_no_sense_are_told(freeze: Freeze, problem: str) -> None:
    assert any(problem in text for text in freeze_problems([freeze]))


def test_a_freeze_begins_and_ends_at_midnight_of_its_own_time_zone() -> None:
    berlin = [Freeze(date(2026, 5, 1), date(2026, 5, 1), "Europe/Berlin")]
    begins, ends = datetime(2026, 4, 30, 22, tzinfo=UTC), datetime(2026, 5, 1, 22, tzinfo=UTC)
    assert frozen_until(berlin, begins) == frozen_until(berlin, ends - timedelta(seconds=1)) == ends
    assert frozen_until(berlin, begins - timedelta(seconds=1)) is frozen_until(berlin, ends) is None
