"""Reasons, their remedies, and how long each is waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.reasons import PATIENCE, Blocked, Reason, Wait, wait_or_give_up

SINCE = datetime(2026, 5, 1, tzinfo=UTC)


def test_every_reason_has_a_remedy_in_a_sentence() -> None:
    without = [reason.name for reason in Reason if not reason.remedy.endswith(".")]
    assert without == []


@given(st.sampled_from(sorted(PATIENCE, key=lambda one: one.value)), st.integers(0, 10**9), st.integers(0, 7200))
def test_waiting_ends_by_the_deadline_and_never_undercuts_what_azure_asked_for(
    reason: Reason, elapsed: int, asked: int
) -> None:
    now, after = SINCE + timedelta(seconds=elapsed), timedelta(seconds=asked)
    step = wait_or_give_up(reason, since=SINCE, now=now, after=after)
    if now >= SINCE + PATIENCE[reason].give_up:
        assert isinstance(step, Blocked)
    else:
        assert isinstance(step, Wait)
        assert step.again_at >= now + after
        assert step.again_at > now


def test_a_wait_from_now_to_its_end_takes_a_bounded_number_of_looks() -> None:
    for reason, patience in PATIENCE.items():
        now, looks = SINCE, 0
        while isinstance(step := wait_or_give_up(reason, since=SINCE, now=now), Wait) and looks < 500:
            now, looks = step.again_at, looks + 1
        few = patience.give_up / patience.longest + 20
        assert looks <= few or reason is Reason.WRITES_OFF


def test_a_reason_that_no_waiting_helps_blocks_at_once() -> None:
    assert isinstance(wait_or_give_up(Reason.SCOPE_LOCKED, since=SINCE, now=SINCE), Blocked)
