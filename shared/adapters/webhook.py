"""A webhook for people (Teams, Slack, anything): short messages, each once a day, and digests of sweeps.

No token goes there: the guarded transport lets a request to that host pass only without one. Nothing is tried again,
and a host that does not answer is left in peace for a while: a sink must not hold the work up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.adapters.connection import Connection
from shared.domain.notice import Form, Notice, body_of, digest_of, notice_of
from shared.domain.reasons import Reason
from shared.domain.report import Report
from shared.domain.work import Source
from shared.errors import AppError, TryLater
from shared.ports import Clock

AGAIN = timedelta(days=1)
QUIET = timedelta(minutes=1)  # without news of a sweep: then its digest goes out
AT_MOST = timedelta(minutes=15)  # that a digest waits
BURST = 10  # messages in AT_MOST that are sent one by one; the others are counted
CLOSED_FOR = timedelta(minutes=5)
_TIMEOUT = 5.0  # seconds
_MOST_REMEMBERED = 10_000
_LOG = logging.getLogger("cmk")


class WebhookSink:
    """One instance's messages. What it sent and what it counts is remembered here only."""

    name = "webhook"

    def __init__(self, connection: Connection, url: str, form: Form, clock: Clock) -> None:
        self._connection = connection
        self._url = url
        self._form = form
        self._clock = clock
        self._told: dict[tuple[str, str], datetime] = {}
        self._sent: list[datetime] = []
        self._counts: Counter[str] = Counter()
        self._news: Counter[str] = Counter()
        self._began: datetime | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closed_until: datetime | None = None

    async def write(self, report: Report) -> None:
        """Send what people should know of the report, or count it. Raises AppError without the URL."""
        notice = notice_of(report)
        if notice is None:
            return
        now = self._clock.now()
        news = [kind for kind in notice.kinds if self._is_news(notice.about, kind, now)]
        swept = report.item is not None and report.item.cause.source is Source.TIMER
        self._sent = [at for at in self._sent if now - at < AT_MOST]
        if swept or (news and len(self._sent) >= BURST):
            self._count(notice, news, now)
        elif news:
            self._sent.append(now)
            await self._send_or_forget(notice, news)

    async def _send_or_forget(self, notice: Notice, news: list[str]) -> None:
        try:
            await self._send(notice)
        except AppError:
            for kind in news:  # the next report of the same may get through
                self._told.pop((notice.about, kind), None)
            raise

    def _is_news(self, about: str, kind: str, now: datetime) -> bool:
        at = self._told.get((about, kind))
        if at is not None and now - at < AGAIN:
            return False
        self._told.pop((about, kind), None)  # to the end: the first in line is the oldest
        self._told[about, kind] = now
        while len(self._told) > _MOST_REMEMBERED:
            del self._told[next(iter(self._told))]
        return True

    def _count(self, notice: Notice, news: list[str], now: datetime) -> None:
        """Count towards the digest, which goes out when nothing more came for a while."""
        self._counts.update(notice.kinds)
        self._news.update(news)
        self._began = self._began or now
        if self._timer is not None:
            self._timer.cancel()
        due = min(now + QUIET, self._began + AT_MOST)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, (due - now).total_seconds()), self._flush)

    def _flush(self) -> None:
        counts, news = self._counts, self._news
        self._counts, self._news, self._began, self._timer = Counter(), Counter(), None, None
        if news:  # nothing new is no news
            self._sending = asyncio.get_running_loop().create_task(self._send_or_tell(digest_of(counts, news)))

    async def _send_or_tell(self, notice: Notice) -> None:
        try:
            await self._send(notice)
        except AppError as error:
            _LOG.warning("the webhook did not take a digest: %s", error)

    async def _send(self, notice: Notice) -> None:
        now = self._clock.now()
        if self._closed_until is not None and now < self._closed_until:
            raise TryLater(Reason.SERVICE_UNAVAILABLE, "the webhook did not answer lately and is left in peace")
        try:
            status = await self._post(notice)
        except (AzureError, AppError, ValueError, OSError, TimeoutError) as error:
            self._closed_until = now + CLOSED_FOR
            raise TryLater(Reason.SERVICE_UNAVAILABLE, f"webhook: {type(error).__name__}") from None  # no URL in it
        if not 200 <= status < 300:  # noqa: PLR2004
            self._closed_until = now + CLOSED_FOR
            raise TryLater(Reason.SERVICE_UNAVAILABLE, f"webhook: status {status}")

    async def _post(self, notice: Notice) -> int:
        """Send past every pipeline: none adds a token, follows a redirect, tries again or logs the URL."""
        request = HttpRequest("POST", self._url, json=body_of(notice, self._form))
        answer = await self._connection.transport.send(request, connection_timeout=_TIMEOUT, read_timeout=_TIMEOUT)
        return int(answer.status_code)
