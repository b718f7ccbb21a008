"""Waves as pure arithmetic: who is in which, and when a roll-out is held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.waves import Member, Rollout, Wave, duration, place_of, rollout_before, wave_at, wave_problems

NAMES = st.text(st.characters(codec="utf-8"), max_size=60)
SHARES = st.sets(st.integers(1, 99), max_size=6).map(lambda found: (*sorted(found), 100))
WAVES = SHARES.map(lambda shares: tuple(Wave(share, f"{at}h") for at, share in enumerate(shares)))


@given(NAMES, NAMES, WAVES)
def test_every_resource_has_a_wave(resource: str, what: str, waves: tuple[Wave, ...]) -> None:
    assert 0 <= wave_at(waves, place_of(resource, what)) < len(waves)


@given(WAVES, st.floats(0, 99.999), st.floats(0, 99.999))
def test_who_stands_further_back_is_never_earlier_and_waves_open_in_order(
    waves: tuple[Wave, ...], one: float, other: float
) -> None:
    first, later = sorted((one, other))
    assert wave_at(waves, first) <= wave_at(waves, later)
    assert waves[wave_at(waves, first)].delay <= waves[wave_at(waves, later)].delay


@pytest.mark.parametrize("share", [1, 5, 20, 50])
def test_a_wave_holds_its_share_of_ten_thousand_within_one_percent(share: int) -> None:
    waves = (Wave(share), Wave(100, "1d"))
    first = sum(wave_at(waves, place_of(f"/subscriptions/s/r/st{number}", "v1")) == 0 for number in range(10_000))
    assert abs(first / 100 - share) < 1


def test_another_version_has_other_canaries() -> None:
    waves = (Wave(5), Wave(100, "1d"))
    canaries = [{n for n in range(2000) if wave_at(waves, place_of(f"r{n}", v)) == 0} for v in ("v1", "v2")]
    assert len(canaries[0] & canaries[1]) < len(canaries[0]) / 2


@given(st.lists(st.booleans(), max_size=50), st.integers(0, 99))
def test_a_roll_out_is_held_when_more_than_the_share_allowed_are_behind(there: list[bool], stop_at: int) -> None:
    members = [Member(f"r{at}", 1.0, one) for at, one in enumerate(there)]
    rollout = rollout_before((Wave(5), Wave(100)), 1, members)
    assert rollout.size == len(there)
    assert rollout.held(stop_at) is (there.count(False) * 100 > stop_at * len(there))


def test_only_those_in_the_waves_before_count() -> None:
    waves = (Wave(5), Wave(50), Wave(100))
    members = [
        Member("canary", 4.0, there=True),
        Member("second", 30.0, there=False),
        Member("third", 80.0, there=False),
    ]
    assert rollout_before(waves, 0, members) == Rollout(0, ())
    assert rollout_before(waves, 1, members) == Rollout(1, ())
    assert rollout_before(waves, 2, members) == Rollout(2, ("second",))


@pytest.mark.parametrize("text", ["", "4", "h", "4 h", "-1h", "1w", "1.5h", "99999h", "4H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert duration(text) is None


@pytest.mark.parametrize(
    ("waves", "problem"),
    [
        ([Wave(5), Wave(5, "1h"), Wave(100, "1d")], "share must rise"),
        ([Wave(5, "2h"), Wave(100, "1h")], "after must not fall"),
        ([Wave(5), Wave(99)], "the last share must be 100"),
        ([Wave(5, "soon"), Wave(100)], "is no duration"),
        ([Wave(5), Wave(100, "91d")], "longer than 90d"),
    ],
)
def test_waves_that_make_no_sense_are_told(waves: list[Wave], problem: str) -> None:
    assert any(problem in text for text in wave_problems(waves))


@given(WAVES)
def test_waves_that_make_sense_have_no_problem(waves: tuple[Wave, ...]) -> None:
    assert list(wave_problems(waves)) == []
