"""The policy as a file or a blob, looked at again every twenty seconds: `writes: off` stops the app within a minute and
without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from shared.domain.policy import Policy
from shared.domain.policy_text import BadPolicy
from shared.domain.reasons import Reason
from shared.errors import AppError, TryLater
from shared.ports import Clock

LOOK_AGAIN = timedelta(seconds=20)
LAST_GOOD_FOR = timedelta(minutes=10)  # a policy that cannot be fetched for a moment still holds

# Returns the text if it differs from what `mark` stands for (else None), and the new mark. Raises OSError, AppError.
Fetch = Callable[[str], Awaitable[tuple[str | None, str]]]


class WatchedPolicy:
    """Implements ports.Policies over anything that text can be fetched from."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._mark = ""
        self._policy: Policy | None = None
        self._problem: str = ""
        self._looked: datetime | None = None
        self._fetched: datetime | None = None
        self._looking = asyncio.Lock()

    async def current(self) -> Policy:
        """Return the policy. One that is wrong holds everything up; one that cannot be fetched, after ten minutes."""
        async with self._looking:
            now = self._clock.now()
            if self._looked is None or now - self._looked >= LOOK_AGAIN:
                await self._look(now)
                self._looked = now
            fresh = self._fetched is not None and now - self._fetched <= LAST_GOOD_FOR
            if self._policy is None or not fresh:
                raise TryLater(Reason.POLICY_UNREADABLE, self._problem)
            return self._policy

    async def _look(self, now: datetime) -> None:
        from shared.adapters.yaml_lines import parse_policy  # noqa: PLC0415  costs time at cold start

        try:
            text, self._mark = await self._fetch(self._mark)
            if text is not None:
                self._policy = None
                self._policy = parse_policy(text)
            self._fetched = now
        except BadPolicy as error:
            self._problem = str(error)[:1000]
        except (OSError, UnicodeDecodeError, AppError) as error:
            self._problem = f"{type(error).__name__}: {error}"[:300]


def from_file(path: Path) -> Fetch:
    """Return how to fetch a policy from a file, read anew when it was changed."""

    def look(mark: str) -> tuple[str | None, str]:
        found = path.stat()
        new = f"{found.st_mtime_ns} {found.st_size}"
        return (None, mark) if new == mark else (path.read_text(encoding="utf-8"), new)

    async def fetch(mark: str) -> tuple[str | None, str]:
        return await asyncio.to_thread(look, mark)

    return fetch
