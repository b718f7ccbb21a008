"""What adapters raise, named by what to do next, `from` the SDK's error; none holds a body or a token."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.reasons import Reason


class AppError(Exception):
    """Something outside did not go as wished. `reason` carries the remedy."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class TryLater(AppError):
    """Nothing happened, or nobody knows what did; look again later. `after` is what Azure asked for, if it did."""

    def __init__(self, reason: Reason, detail: str = "", after: timedelta | None = None) -> None:
        super().__init__(reason, detail)
        self.after = after


class NotTaken(TryLater):
    """The queue did not take a piece of work, whatever its reason. Whoever handles an item leaves that item to the host
    then: ending it with a report would lose what should have been put.
    """


class Refusal(AppError):
    """Azure, or a rule of ours, said no."""


class TooLarge(Refusal):
    """What was sent to the app is larger than it reads."""


class NotThere(AppError):
    """The thing does not exist."""
