"""Keeps a process running: one that dies is started again, after longer and longer waits; too many deaths end it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Tell = Callable[[str], None]


class AppFailedError(Exception):
    """The app did not start, or died too often; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Patience:
    """How deaths are taken.

    The first wait is `first` seconds and each one twice as long as that before, up to `longest`, until the app has
    lived for `within` seconds. `deaths` deaths in that time are too many.
    """

    first: float = 1.0
    longest: float = 30.0
    deaths: int = 5
    within: float = 60.0


class Keeper:
    """Waits for a process's end, again and again.

    `ended` waits for it and returns the exit code, `start` starts the process anew and raises AppFailedError when that
    fails, which is a death as well. `tell` is given a sentence at each death and at each return, `tail` gives the
    last lines of its log.
    """

    def __init__(
        self,
        ended: Callable[[], Awaitable[int]],
        start: Callable[[], Awaitable[None]],
        *,
        tell: Tell,
        tail: Callable[[], str],
        patience: Patience,
    ) -> None:
        self.deaths = 0
        self._ended = ended
        self._start = start
        self._tell = tell
        self._tail = tail
        self._patience = patience

    async def run(self) -> None:
        """Go on until cancelled; raises AppFailedError when there were too many deaths."""
        now = asyncio.get_running_loop().time
        recent: list[float] = []
        wait, born, alive = 0.0, now(), True
        while True:
            how = _words(await self._ended()) if alive else "the app did not start"
            died = now()
            self.deaths += 1
            recent = [one for one in recent if died - one < self._patience.within] + [died]
            if len(recent) >= self._patience.deaths:
                raise AppFailedError(
                    f"{len(recent)} deaths within {self._patience.within:.0f} s, at last {how}:\n{self._tail()}"
                )
            fresh = not wait or died - born >= self._patience.within
            wait = self._patience.first if fresh else min(2 * wait, self._patience.longest)
            self._tell(f"{how} (death {self.deaths}); it is started again in {wait:g} s")
            await asyncio.sleep(wait)
            try:
                await self._start()
            except AppFailedError:
                alive = False
                continue
            born, alive = now(), True
            self._tell(f"the app runs again after {born - died:.1f} s")


def _words(code: int) -> str:
    """Say how a process ended."""
    return f"the app was killed by {signal.Signals(-code).name}" if code < 0 else f"the app ended with exit code {code}"
