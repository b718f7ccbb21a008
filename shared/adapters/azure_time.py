"""The app's clock, kept right by Azure's: every answer has a Date, and instances must agree on what was before what."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from msgspec import Struct

from shared.adapters.translate import moment_in
from shared.ports import Clock

_LOG = logging.getLogger("cmk")
_STEP = timedelta(seconds=1)  # a Date is cut off to the second
_WORTH_TELLING = timedelta(seconds=5)
FARTHEST = timedelta(hours=1)  # no machine of Azure's is further out; windows and freezes go by this clock
_TELL_AGAIN = timedelta(hours=1)


class _Span(Struct, frozen=True):
    """How far Azure's clock is ahead of this machine's: at least and at most."""

    least: timedelta
    most: timedelta

    def nearest(self, ahead: timedelta) -> timedelta:
        return min(max(ahead, self.least), self.most)

    def meets(self, other: _Span) -> bool:
        return self.least <= other.most and other.least <= self.most


class AzureTime:
    """Implements ports.Clock: this machine's clock, put right as little as what Azure says asks for.

    An answer's Date was written between sending and receiving. So each answer bounds the difference to a second and
    the time that it took, and many of them to far less. One that is alone in saying that it is off by more
    than a second changes nothing, and nobody is believed that it is off by more than FARTHEST.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._ahead = timedelta(0)
        self._doubt: _Span | None = None  # what the last answer said, if it was not what this clock says
        self._told: datetime | None = None  # when it was told last that Azure is not believed
        self._trouble = ""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._wall.now() + self._ahead

    def here(self) -> datetime:
        """Return what this machine takes for the time."""
        return self._wall.now()

    def trouble(self) -> str:
        """Return what is wrong with this machine's clock if Azure's is not taken instead, else ""."""
        return self._trouble

    def heard(self, date: str, sent: datetime, received: datetime) -> None:
        """Take note of an answer's Date; `sent` and `received` are this machine's time. Nonsense counts as nothing."""
        try:
            said = moment_in(date)
            span = _Span(said - received, said - sent + _STEP)
        except (ValueError, TypeError, OverflowError):
            return
        if span.least > span.most:
            return  # this machine's clock was set back meanwhile
        nearest = span.nearest(self._ahead)
        if nearest == self._ahead:
            self._doubt, self._trouble = None, ""
        elif abs(nearest) <= FARTHEST and abs(nearest - self._ahead) <= _STEP:
            self._put_right(nearest)
        elif self._doubt is None or not span.meets(self._doubt):
            self._doubt = span
        elif abs(nearest) <= FARTHEST:
            self._put_right(nearest)
        else:
            self._tell(nearest)

    def _tell(self, ahead: timedelta) -> None:
        wrong = -ahead.total_seconds()
        self._trouble = (
            f"Azure says that this machine's clock is wrong by {wrong:.0f} s: too much to be believed; put it right"
        )
        now = self.here()
        if self._told is None or abs(now - self._told) >= _TELL_AGAIN:
            self._told = now
            _LOG.warning("%s", self._trouble)

    def _put_right(self, ahead: timedelta) -> None:
        if abs(ahead - self._ahead) >= _WORTH_TELLING:
            _LOG.warning("this machine's clock is wrong by %.1f s; Azure's is taken", -ahead.total_seconds())
        self._ahead, self._doubt, self._trouble = ahead, None, ""
