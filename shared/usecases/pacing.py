"""Keeping below what Azure allows, so that hardly anything is ever refused.

A refused write costs two requests and helps nobody. So work on a subscription is given slots at the pace that its
service publishes; who would have to wait long goes back on the queue until its slot, without a single request.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.resource import Address
from shared.domain.service import Rate

SHORT = timedelta(milliseconds=500)  # a wait that is not worth going back on the queue
LONGEST_CLOSED = timedelta(hours=1)  # Azure's longest window [learn storage scalability-targets-resource-provider]
_FORGET = 10_000


class Pacer:
    """Hands out slots, one line for each bucket. In memory: other instances keep their own, and 429 corrects us all."""

    def __init__(self) -> None:
        self._next: dict[str, datetime] = {}
        self._closed: set[str] = set()

    def forget(self) -> None:
        """Begin afresh: the clock was set back, and every line would be closed for as long."""
        self._next.clear()
        self._closed.clear()

    def slot(self, bucket: str, rate: Rate, now: datetime) -> timedelta:
        """Take the next slot of a bucket and return how long it is until then."""
        step = timedelta(seconds=1 / rate.per_second)
        line = max(self._next.get(bucket, now), now - (rate.burst - 1) * step)
        if len(self._next) > _FORGET:
            self._next = {name: at for name, at in self._next.items() if at > now}
        self._next[bucket] = line + step
        return max(timedelta(0), line - now)

    def slot_if_closed(self, bucket: str, rate: Rate, now: datetime) -> timedelta:
        """Take a slot only while Azure has been refusing: for limits that only large estates ever meet."""
        if bucket not in self._closed:
            return timedelta(0)
        if self._next.get(bucket, now) <= now:
            self._closed.discard(bucket)
            return timedelta(0)
        return self.slot(bucket, rate, now)

    def refused(self, bucket: str, now: datetime, after: timedelta) -> None:
        """Azure refused and asked to wait: nobody goes before that, or not for an hour. One odd answer about one
        resource must not stop a whole subscription for longer; who goes too early is refused again.
        """
        self._closed.add(bucket)
        self._next[bucket] = max(self._next.get(bucket, now), now + min(after, LONGEST_CLOSED))


def bucket_of(address: Address, what: str = "work") -> str:
    """Return the bucket of a resource: Azure counts by subscription."""
    return f"{address.arm.subscription.lower()} {what.lower()}"
