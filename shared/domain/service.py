"""What an Azure service is to this app: facts, and two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum

from msgspec import Struct

from shared.domain.keys import KeyRules
from shared.domain.resource import Change, Json, KeyUse, Request


class Follow(Enum):
    """How a resource of this service says that new versions shall be taken up by themselves."""

    NEVER = "never"
    WITHOUT_VERSION = "by leaving the version out"


class Proven(Enum):
    """What stands behind a service's facts."""

    DOCUMENTED = "documented"
    RECORDED = "recorded traffic"
    LIVE = "live"


class Settled(Enum):
    """Whether a resource can take a change now."""

    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


class Rate(Struct, frozen=True):
    """How fast Azure lets one subscription go: so many at once, then so many a second."""

    burst: int
    per_second: float


class Traits(Struct, frozen=True):
    """All that plans, documentation and infrastructure may ask of a service."""

    follow: Follow
    reports_effective: bool
    accepts: KeyRules
    picks_up_within: timedelta | None  # how long a follower may take; None: it never follows
    keep_old_for: timedelta  # how long the old version must stay usable after a move
    pace: Rate  # for one write and the reads around it, in one subscription
    actions: tuple[str, ...]  # what the app's identity must be allowed
    proven: Proven
    sources: tuple[str, ...]


class ChildList(Struct, frozen=True):
    """A collection below a resource whose members hold keys of their own and that Resource Graph does not know."""

    type: str  # the children's ARM type
    collection: str  # the last part of the list's path
    pace: Rate  # for one list, in one subscription


def by_provisioning_state(body: Json) -> Settled:
    """Read `properties.provisioningState`; a body without one is ready."""
    properties = body.get("properties")
    state = str(properties.get("provisioningState") or "").lower() if isinstance(properties, dict) else ""
    if state in {"", "succeeded"}:
        return Settled.READY
    return Settled.FAILED if state in {"failed", "canceled"} else Settled.BUSY


class Service(Struct, frozen=True):
    """One ARM type: its facts, how its keys are read out of a body, and which requests change them.

    `read` takes a body as GET returns it; it raises BadKeyUrl when the body names a key in a form that cannot be read
    (better loud than a user missed), and nothing else. `write` takes the body and all the
    changes at once, and returns requests that send the least; what it does not know in the body survives.
    """

    type: str
    api_version: str
    traits: Traits
    read: Callable[[Json], tuple[KeyUse, ...]]
    write: Callable[[Json, tuple[Change, ...]], tuple[Request, ...]]
    children: tuple[ChildList, ...] = ()
    in_graph: bool = True
    settled: Callable[[Json], Settled] = by_provisioning_state
