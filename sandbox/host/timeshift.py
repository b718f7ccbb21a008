"""The app's process lives in the sandbox's time: its clock is set forward together with the sandbox's."""

from __future__ import annotations

from datetime import UTC, datetime

import time_machine


class TimeShift:
    """Moves time.time, datetime.now and their kin by an offset; the event loop's own clock goes on undisturbed."""

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None

    def set(self, offset: float) -> None:
        """Let the process's clock run `offset` seconds ahead of the machine's (0: back to it)."""
        self.stop()
        if offset:
            there = datetime.fromtimestamp(datetime.now(UTC).timestamp() + offset, UTC)
            self._travel = time_machine.travel(there, tick=True)
            self._travel.start()

    def stop(self) -> None:
        """Return to the machine's clock."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = None
