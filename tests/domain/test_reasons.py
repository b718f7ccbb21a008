"""Reasons, their remedies, and how long each is waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.patience import PATIENCE, wait_or_give_up
from shared.domain.reasons import Blocked, Reason, Wait, Waited
from shared.domain.remedies import REMEDIES

SINCE = datetime(2026, 5, 1, tzinfo=UTC)


def test_every_reason_has_a_remedy_in_a_sentence() -> None:
    without = [reason.name for reason in Reason if not REMEDIES[reason].endswith(".")]
    assert without == []


@given(st.sampled_from(sorted(PATIENCE, key=lambda one: one.value)), st.integers(0, 10**9), st.integers(0, 7200))
def test_waiting_ends_by_the_deadline_and_never_undercuts_what_azure_asked_for(
    reason: Reason, elapsed: int, asked: int
) -> None:
    now, after = SINCE + timedelta(seconds=elapsed), timedelta(seconds=asked)
    step = wait_or_give_up(Blocked(reason), waited=Waited(reason, SINCE), now=now, after=after)
    if now >= SINCE + PATIENCE[reason].give_up:
        assert step == Blocked(reason)
    else:
        assert isinstance(step, Wait)
        assert step.since == SINCE
        assert step.again_at >= now + after
        assert step.again_at > now


def test_patience_spent_on_one_reason_is_not_taken_from_another() -> None:
    later = SINCE + timedelta(days=30)
    step = wait_or_give_up(Blocked(Reason.CONFLICT), waited=Waited(Reason.WRITES_OFF, SINCE), now=later)
    assert isinstance(step, Wait)
    assert step.since == later


def test_a_wait_from_now_to_its_end_takes_a_bounded_number_of_looks() -> None:
    for reason, patience in PATIENCE.items():
        now, looks, waited = SINCE, 0, None
        while isinstance(step := wait_or_give_up(Blocked(reason), waited=waited, now=now), Wait) and looks < 1000:
            now, looks, waited = step.again_at, looks + 1, Waited(reason, step.since)
        few = patience.give_up / patience.longest + 20
        assert looks <= few or reason is Reason.WRITES_OFF


def test_a_reason_that_no_waiting_helps_blocks_at_once() -> None:
    blocked = Blocked(Reason.SCOPE_LOCKED, "slot", "why")
    assert wait_or_give_up(blocked, waited=None, now=SINCE) is blocked
