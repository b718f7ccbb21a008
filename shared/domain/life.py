"""The end of a key's life: whether its newest usable version ends soon, what the vault itself will do about it, and
what the rules of those that use the key say.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.keys import KeyHistory, KeyVersion, State

NOTICE = timedelta(days=30)  # Event Grid tells of an end so long before, unless the key's policy says otherwise
LATE = timedelta(days=1)  # a rotation by the vault that is later than this is not waited for
MOST_NAMED = 50  # users that a report names
LONGEST_NAMES = 12 * 1024  # bytes of them: they travel in a work item
_DURATION = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T.*)?", re.IGNORECASE)
_DAYS = (365, 30, 7, 1)


class NearExpiry(Enum):
    """What is done about a key whose newest version ends soon."""

    NOTIFY = "notify"
    ROTATE = "rotate"


class AccessLost(Enum):
    """What is done about a resource whose identity may no longer use its key: it may be a security decision."""

    REPORT = "report"
    RESTORE = "restore"


class RotationPolicy(Struct, frozen=True):
    """What a vault does with a key by itself. A rotation counts from its version's making, or back from its end."""

    rotates_after: timedelta | None = None
    rotates_before: timedelta | None = None
    notifies_before: timedelta | None = None
    set_at: datetime | None = None  # a policy set on an old key counts from then


class Ending(Struct, frozen=True):
    """The version that users have or are going to get, which ends soon or has ended."""

    version: str
    expires: datetime
    over: bool


class AtRisk(Struct, frozen=True):
    """Who uses a key that ends: how many, and the first of them by id. `unseen`: collections below resources that were
    not looked into.
    """

    version: str
    expires: datetime
    users: int
    first: tuple[str, ...]
    unseen: int = 0


class Tally(Struct, frozen=True):
    """What the users seen so far say: how many there are, the first of them, one rule for a rotation, and why one of
    them bars it.
    """

    users: int = 0
    first: tuple[str, ...] = ()
    rotate: str = ""
    against: str = ""
    unseen: int = 0

    def counting(self, user: str, rule: str, *, rotate: bool) -> Tally:
        """Return the tally with one user more."""
        size = sum(len(one.encode()) for one in (*self.first, user))
        first = (*self.first, user) if len(self.first) < MOST_NAMED and size <= LONGEST_NAMES else self.first
        said = {"rotate": self.rotate or rule[:300]} if rotate else {"against": self.against or rule[:300]}
        return replace(self, users=self.users + 1, first=first, **said)


def days_of(duration: str) -> timedelta:
    """Return an ISO 8601 duration in days, a year as 365 and a month as 30. Raises ValueError."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        raise ValueError(f"not a duration in days: {duration[:40]!r}")
    return timedelta(days=sum(int(count or 0) * size for count, size in zip(found.groups(), _DAYS, strict=True)))


def ending(history: KeyHistory, now: datetime, notice: timedelta | None = None) -> Ending | None:
    """Return the version that ends soon or has ended, when no younger one takes its place.

    A third of a version's life is the most that counts as soon: else one that lives for a month would be rotated every
    day. A key of which every version is disabled is left to who disabled them.
    """
    for version in history.newest_first():
        state = version.state(now)
        if state is State.NOT_YET_VALID or state is State.DISABLED:
            continue
        if version.expires is None or _is_followed(history, version):
            return None
        soon = min(notice or NOTICE, (version.expires - version.created) / 3)
        over = state is State.EXPIRED
        return Ending(version.version, version.expires, over) if over or version.expires - now <= soon else None
    return None


def _is_followed(history: KeyHistory, version: KeyVersion) -> bool:
    """Return whether a younger version becomes valid before this one ends; the app looks again then."""
    return any(
        one.enabled and one.not_before is not None and version.expires is not None and one.not_before < version.expires
        for one in history.newest_first()
        if history.age_rank(one) > history.age_rank(version)
    )


def rotates_by_itself(policy: RotationPolicy, version: KeyVersion, now: datetime) -> bool:
    """Return whether the vault is going to rotate the key before this version ends."""
    if version.expires is None:
        return False
    moments = []
    if policy.rotates_after is not None:
        moments.append(version.created + policy.rotates_after)
    if policy.rotates_before is not None:
        moments.append(version.expires - policy.rotates_before)
    due = [max(moment, policy.set_at or moment) for moment in moments]
    return any(moment < version.expires and now <= moment + LATE for moment in due)


def why_not_rotated(tally: Tally, history: KeyHistory, policy: RotationPolicy | None) -> str:
    """Return why the app makes no new version of a key that ends, in words; "" if it does.

    One user whose rule does not say rotate is enough: a version changes the key for all that use it. `policy` None: it
    could not be read, and two hands must not rotate one key.
    """
    if tally.against:
        return tally.against
    if not tally.rotate:
        return "no rule says nearExpiry: rotate"
    if history.backs_certificate:
        return "the key belongs to a certificate"
    if policy is None or history.unasked is not None:
        return "whether the vault rotates it by itself could not be read"
    younger = [one for one in history.newest_first() if one.version == history.latest and not one.enabled]
    return f"a younger version, {younger[0].version}, is disabled" if younger else ""
