"""When a key's end is soon, what the vault does by itself, and what a tally of users decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import KeyHistory, KeyId, KeyVersion
from shared.domain.life import (
    LONGEST_NAMES,
    MOST_NAMED,
    RotationPolicy,
    Tally,
    days_of,
    ending,
    rotates_by_itself,
    why_not_rotated,
)
from shared.domain.reasons import Reason

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = KeyId("kv-main.vault.azure.net", "cmk")
WANTED = Tally().counting("a", "rule 'r'", rotate=True)


def made(name: str, *, born: float = -300, ends: float | None = 20, **more: Any) -> KeyVersion:
    """Return a version made and ending so many days from now."""
    return KeyVersion(name, NOW + born * DAY, expires=None if ends is None else NOW + ends * DAY, **more)


def history(*versions: KeyVersion, **more: Any) -> KeyHistory:
    return KeyHistory(KEY, versions, versions[-1].version, NOW, **more)


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ((made("a"),), "a"),
        ((made("a", ends=30),), "a"),
        ((made("a", ends=31),), None),
        ((made("a", ends=None),), None),
        ((made("a", ends=-1),), "a"),
        ((made("a", born=-10, ends=20),), None),  # a month's life: soon is its last third
        ((made("a", born=-21, ends=9),), "a"),
        ((made("a", ends=5), made("b", born=-1, ends=None)), None),
        ((made("a", ends=-5), made("b", born=-200, ends=5)), "b"),
        ((made("a", enabled=False),), None),
        ((made("a"), made("b", born=-1, ends=None, enabled=False)), "a"),
        ((made("a", ends=5), made("b", born=-1, ends=None, not_before=NOW + 3 * DAY)), None),
        ((made("a", ends=5), made("b", born=-1, ends=None, not_before=NOW + 8 * DAY)), "a"),
    ],
)
def test_a_key_ends_with_its_newest_usable_version(versions: tuple[KeyVersion, ...], found: str | None) -> None:
    end = ending(history(*versions), NOW)
    assert (end.version if end else None) == found


def test_a_version_that_ended_is_told_apart_from_one_that_ends_soon() -> None:
    ends = [ending(history(made("a", ends=days)), NOW) for days in (-1, 0, 1)]
    assert [end.over for end in ends if end] == [True, True, False]


def test_the_keys_own_policy_says_how_long_before_its_end_is_soon() -> None:
    soon = [ending(history(made("a", ends=days)), NOW, notice=7 * DAY) is not None for days in (8, 7)]
    assert soon == [False, True]
    assert ending(history(made("a", ends=55)), NOW, notice=60 * DAY) is not None


@pytest.mark.parametrize(
    ("written", "days"), [("P30D", 30), ("P2W", 14), ("P3M", 90), ("P1Y", 365), ("P1Y2M3DT4H", 428), ("p18m", 540)]
)
def test_durations_are_read_as_days(written: str, days: int) -> None:
    assert days_of(written) == days * DAY


@pytest.mark.parametrize("written", ["", "P", "PT5H", "30", "P-1D", "P1.5Y", "P99999Y"])
def test_what_is_no_duration_in_days_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        days_of(written)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RotationPolicy(), False),
        (RotationPolicy(notifies_before=30 * DAY), False),
        (RotationPolicy(rotates_before=7 * DAY), True),
        (RotationPolicy(rotates_after=310 * DAY), True),
        (RotationPolicy(rotates_after=330 * DAY), False),  # after its end
        (RotationPolicy(rotates_after=290 * DAY), False),  # ten days late: it did not
        (RotationPolicy(rotates_after=290 * DAY, set_at=NOW - DAY / 2), True),  # the policy came later
    ],
)
def test_the_vault_is_left_to_rotate_by_itself_only_where_it_will(policy: RotationPolicy, expected: bool) -> None:  # noqa: FBT001
    assert rotates_by_itself(policy, made("a"), NOW) is expected


def test_a_key_is_rotated_only_if_the_rules_of_all_its_users_say_so() -> None:
    policy, ends = RotationPolicy(), history(made("a"))
    assert why_not_rotated(WANTED, ends, policy) == ""
    assert "nearExpiry" in why_not_rotated(Tally(), ends, policy)
    assert why_not_rotated(WANTED.counting("b", "rule 's'", rotate=False), ends, policy).startswith("rule 's'")


def test_a_key_that_somebody_else_may_renew_is_never_rotated() -> None:
    ends, policy = history(made("a")), RotationPolicy()
    disabled = history(made("a"), made("b", born=-1, enabled=False))
    assert "certificate" in why_not_rotated(WANTED, replace(ends, backs_certificate=True), policy)
    assert "could not be read" in why_not_rotated(WANTED, ends, None)
    assert "could not be read" in why_not_rotated(WANTED, replace(ends, unasked=Reason.VAULT_FORBIDDEN), policy)
    assert "is disabled" in why_not_rotated(WANTED, disabled, policy)


def test_a_tally_counts_all_users_and_names_the_first() -> None:
    tally = Tally()
    for number in range(MOST_NAMED + 10):
        tally = tally.counting(f"/st{number}", "rule 'r'", rotate=True)
    assert (tally.users, len(tally.first), tally.first[0]) == (MOST_NAMED + 10, MOST_NAMED, "/st0")
    long = Tally()
    for _ in range(20):
        long = long.counting("x" * 2048, "rule 'r'", rotate=True)
    assert long.users == 20
    assert 0 < sum(map(len, long.first)) <= LONGEST_NAMES


def test_an_older_version_that_was_disabled_keeps_nobody_from_rotating() -> None:
    found = history(made("a", born=-400, enabled=False), made("b"))
    assert why_not_rotated(WANTED, found, RotationPolicy()) == ""
