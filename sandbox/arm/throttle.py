"""Token buckets of ARM and of the Storage resource provider: what a call costs, and what is refused.

Sizes: [services.md 3; learn request-limits-and-throttling; azure-docs azure-storage-limits-azure-resource-manager.md].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from sandbox.arm.request import Request
from sandbox.wire import Json, Refused
from sandbox.world import World

ACCOUNTS: Final = "microsoft.storage/storageaccounts"
MINUTES_5: Final = 300.0  # seconds
HOUR: Final = 3600.0


@dataclass
class Bucket:
    """Tokens up to `size`, `refill` of them a second."""

    size: float
    refill: float
    tokens: float
    at: float  # seconds since the epoch of the last look

    def look(self, now: float) -> float:
        """Fill up to now and return the tokens that are there."""
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.refill)
        self.at = now
        return self.tokens

    def wait(self) -> int:
        """Return the whole seconds until one token is there; at least 1."""
        return max(1, ceil((1.0 - self.tokens) / self.refill - 1e-9))


@dataclass(frozen=True)
class Limit:
    """One bucket that a call takes from: its key, its sizes, what the answer says about it."""

    key: tuple[str, ...]
    size: float
    refill: float
    header: str = ""  # x-ms-ratelimit-remaining-... without the prefix
    window: str = ""  # the Storage provider's name of the limit; "" is ARM's own


_ARM: Final = {"reads": (250.0, 25.0), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}
_GLOBAL: Final = 15  # the bucket of all principals together is so many times larger
_STORAGE: Final = {
    "read": (("Read_ObservationWindow_00:05:00", 800.0, 800 / MINUTES_5),),
    "list": (("List_ObservationWindow_00:05:00", 100.0, 100 / MINUTES_5),),
    "write": (
        ("Write_ObservationWindow_00:00:01", 10.0, 10.0),
        ("Write_ObservationWindow_01:00:00", 1200.0, 1200 / HOUR),
    ),
}


def take(world: World, request: Request, kind: str) -> dict[str, str]:
    """Take the call's tokens and return the headers that tell what is left.

    When a bucket is empty nothing is taken from any, and Refused 429 with Retry-After in whole seconds is raised.
    """
    if world.memory.get("throttling", True) is False or kind == "graph":  # Graph has a quota of its own
        return {}
    now = world.clock.time()
    buckets: dict[tuple[str, ...], Bucket] = world.memory.setdefault("arm", {}).setdefault("buckets", {})
    taken: list[tuple[Limit, Bucket]] = []
    for limit in (*_arm(request), *_storage(world, request, kind)):
        bucket = buckets.get(limit.key)
        if bucket is None:
            bucket = buckets[limit.key] = Bucket(limit.size, limit.refill, limit.size, now)
        if bucket.look(now) < 1.0 - 1e-9:
            raise _refusal(limit, bucket)
        taken.append((limit, bucket))
    headers = {}
    for limit, bucket in taken:
        bucket.tokens -= 1.0
        if limit.header:
            headers[f"x-ms-ratelimit-remaining-{limit.header}"] = str(int(bucket.tokens))
    return headers


def _arm(request: Request) -> list[Limit]:
    class_ = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(request.call.method, "writes")
    size, refill = _ARM[class_]
    subscription = request.target.subscription
    who = request.claims.oid or request.claims.appid
    if not subscription:
        return [Limit(("tenant", who, class_), size, refill, f"tenant-{class_}")]
    return [
        Limit(("subscription", subscription, who, class_), size, refill, f"subscription-{class_}"),
        Limit(("global", subscription, class_), size * _GLOBAL, refill * _GLOBAL, f"subscription-global-{class_}"),
    ]


def _storage(world: World, request: Request, kind: str) -> list[Limit]:
    type_ = request.target.type.lower()
    if type_ != ACCOUNTS and not type_.startswith(ACCOUNTS + "/"):
        return []
    # The published limit is on lists of accounts; a list of one account's scopes is taken as a read of that account.
    operation = "read" if kind == "childList" else kind
    place = (request.target.subscription, _region(world, request))
    return [
        Limit(("storage", *place, window), size, refill, window=window) for window, size, refill in _STORAGE[operation]
    ]


def _region(world: World, request: Request) -> str:
    """Return the account's region; of a new one what the body says; "" for lists over all regions."""
    parts = request.target.id.split("/")
    if len(parts) < 9:  # noqa: PLR2004  /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a
        return ""
    body: Json | None = world.resources.get("/".join(parts[:9]))
    if body is None and request.call.method == "PUT":
        body = request.body()
    return str((body or {}).get("location") or "").lower().replace(" ", "")


def _refusal(limit: Limit, bucket: Bucket) -> Refused:
    wait = str(bucket.wait())
    if limit.window:
        return Refused(
            429,
            "TooManyRequests",
            f"The request is being throttled as the limit has been reached for operation type - {limit.window}. "
            "For more information, see - https://aka.ms/srpthrottlinglimits",
            {"Retry-After": wait},
        )
    return Refused(
        429,
        "SubscriptionRequestsThrottled",
        "Number of requests for this subscription and principal exceeded the limit. "
        f"Please try again after '{wait}' seconds.",
        {
            "Retry-After": wait,
            f"x-ms-ratelimit-remaining-{limit.header}": "0",
            "x-ms-failure-cause": "gateway",
        },
    )
