"""The sandbox's clock: everything timed asks it, so that time can be shifted, frozen or virtual."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset that `shift` moves forward."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self.offset = offset

    def time(self) -> float:
        """Seconds since the epoch, as the simulated Azure sees them."""
        return time.time() + self.offset.total_seconds()

    @staticmethod
    def process_time() -> float:
        """Seconds since the epoch as the clients' own processes see them: a shift does not move it, virtual time does.

        Tokens go by it: a client that was not told of the shift would take a token for valid that is not.
        """
        return time.time()

    def now(self) -> datetime:
        """Return the simulated time in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def shift(self, by: timedelta) -> None:
        """Let `by` pass at once; a negative span raises ValueError, for time never runs back."""
        if by < timedelta(0):
            raise ValueError("time can only be shifted forward")
        self.offset += by


class ManualClock(Clock):
    """A clock that moves only when told: for tests and for virtual time."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._start = start.timestamp()

    def time(self) -> float:
        """Seconds since the epoch: the start plus all shifts."""
        return self._start + self.offset.total_seconds()
