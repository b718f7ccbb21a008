"""From an error to what it means for a piece of work: wait for it, or stop."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.patience import PATIENT, wait_or_give_up
from shared.domain.reasons import Blocked, Wait, Waited
from shared.errors import AppError, TryLater

LONGEST = timedelta(days=14)  # of waiting for one thing after the other


def step_for(error: AppError, waited: Waited | None, now: datetime, first_at: datetime | None = None) -> Wait | Blocked:
    """Return the wait that an error asks for, or Blocked when waiting will not help (any more)."""
    after = error.after if isinstance(error, TryLater) else None
    return bounded(
        wait_or_give_up(Blocked(error.reason, detail=error.detail), waited=waited, now=now, after=after), now, first_at
    )


def bounded(step: Wait | Blocked, now: datetime, first_at: datetime | None) -> Wait | Blocked:
    """End work that went from one wait to the next for too long. What has its own time does not count as waiting."""
    if isinstance(step, Blocked) or step.reason in PATIENT:
        return step
    too_long = first_at is not None and now - first_at > LONGEST
    return Blocked(step.reason, step.slot, step.detail) if too_long else step


def waited_for(wait: Wait) -> Waited:
    """Return what travels with the successor."""
    return Waited(wait.reason, wait.since)
