"""The policy, looked at again every twenty seconds: `writes: off` stops the app within a minute, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from shared.domain.policy import Policy
from shared.domain.policy_text import BadPolicy
from shared.domain.reasons import Reason
from shared.errors import AppError, TryLater
from shared.ports import Clock

LOOK_AGAIN = timedelta(seconds=20)
LAST_GOOD_FOR = timedelta(minutes=10)  # a policy that cannot be fetched for a moment still holds

# Returns the text, or None if it is still what `mark` stands for, and its mark. Raises OSError, AppError.
Fetch = Callable[[str], Awaitable[tuple[bytes | None, str]]]
_LONGEST_TROUBLE, _LONGEST_TEXT = 300, 1000  # characters


class WatchedPolicy:
    """Implements ports.Policies over anything that text can be fetched from."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._mark = ""
        self._policy: Policy | None = None
        self._wrong = ""  # what is wrong with the text that was fetched last
        self._trouble = ""  # why it could not be fetched just now
        self._looked: datetime | None = None
        self._fetched: datetime | None = None
        self._looking = asyncio.Lock()

    async def current(self) -> Policy:
        """Return the policy. One that is wrong holds everything up; one that cannot be fetched, after ten minutes."""
        async with self._looking:
            now = self._clock.now()
            if self._looked is None or not self._looked <= now < self._looked + LOOK_AGAIN:  # a clock may be set back
                await self._look(now)
                self._looked = now
            fresh = self._fetched is not None and now - self._fetched <= LAST_GOOD_FOR
            if self._policy is None or not fresh:
                raise TryLater(Reason.POLICY_UNREADABLE, self._trouble or self._wrong)
            return self._policy

    async def problem(self) -> str:
        """Return what is wrong with the policy or with fetching it, the last good one still holding or not; or ""."""
        with suppress(TryLater):
            await self.current()
        return self._trouble or self._wrong

    async def _look(self, now: datetime) -> None:
        try:
            text, mark = await self._fetch(self._mark)
        except (OSError, AppError) as error:
            told = error.detail if isinstance(error, AppError) else f"{type(error).__name__}: {error}"
            self._trouble = told[:_LONGEST_TROUBLE]
            return
        if text is not None:
            self._take(text)
        self._mark, self._fetched, self._trouble = mark, now, ""

    def _take(self, text: bytes) -> None:
        from shared.adapters.yaml_lines import parse_policy  # noqa: PLC0415  costs time at cold start

        self._policy, self._wrong = None, ""
        try:
            self._policy = parse_policy(text.decode())
        except (BadPolicy, UnicodeDecodeError) as error:
            self._wrong = str(error)[:_LONGEST_TEXT]


def from_file(path: Path) -> Fetch:
    """Return how to fetch a policy from a file, read anew when it was changed."""

    def look(mark: str) -> tuple[bytes | None, str]:
        found = path.stat()
        new = f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"
        return (None, mark) if new == mark else (path.read_bytes(), new)

    async def fetch(mark: str) -> tuple[bytes | None, str]:
        return await asyncio.to_thread(look, mark)

    return fetch
