"""The state of the simulated Azure. Everything that is random or timed comes from its seed and its clock."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sandbox.clock import Clock
from sandbox.keyring import Keyring
from sandbox.wire import Answer, Call, Json

LAST = "\U0010ffff"  # sorts behind everything that an id may hold


@dataclass(frozen=True)
class Event:
    """Something Event Grid would be told of, before it is put into a schema."""

    id: str
    topic: str  # the source: a vault's or a subscription's id
    subject: str
    type: str
    time: datetime
    data: Json
    data_version: str = "1"


@dataclass(frozen=True)
class Logged:
    """One line of the call log."""

    at: datetime
    method: str
    url: str
    status: int  # 0: the connection broke
    kind: str  # read | write | childList | list | vault | graph | identity | directory | queue | blob | topic | other
    client_request_id: str = ""


Before = Callable[[Call], Answer | None]
After = Callable[[Call, Answer], Answer]


@dataclass
class Hooks:
    """One hook before and one after each effect. `before` may answer in place of Azure (no effect then) or raise
    Unreachable; `after` sees the answer once the effect has happened and may replace it or raise Unreachable.
    """

    before: Before = lambda _call: None
    after: After = lambda _call, answer: answer


class Resources:
    """ARM bodies by id, compared case-insensitively; bodies are kept exactly as GET returns them.

    A body that is in here is never changed in place: a change is a new body, put in its stead.
    """

    def __init__(self) -> None:
        self._bodies: dict[str, Json] = {}
        # Sorted, so that a range of ids and the bodies of one type are found without looking at everything.
        self._order: list[str] = []
        self._types: dict[str, list[str]] = {}
        self._changes: dict[str, int] = {}

    def get(self, id_: str) -> Json | None:
        """Return the body as stored (not a copy), or None."""
        return self._bodies.get(id_.lower().rstrip("/"))

    def put(self, body: Json) -> None:
        """Store a body under its own "id"."""
        key = str(body["id"]).lower().rstrip("/")
        before = self._bodies.get(key)
        self._bodies[key] = body
        self._note(body)
        if before is None:
            insort(self._order, key)
            insort(self._types.setdefault(_type_of(body), []), key)
        elif _type_of(before) != _type_of(body):
            self._note(before)
            _drop(self._types[_type_of(before)], key)
            insort(self._types.setdefault(_type_of(body), []), key)

    def remove(self, id_: str) -> Json | None:
        """Take a resource and everything below it away; return its body."""
        key = id_.lower().rstrip("/")
        for child in self._range(key + "/"):
            self._take(child)
        return self._take(key) if key in self._bodies else None

    def under(self, prefix: str) -> Iterator[Json]:
        """Yield every body whose id begins with the prefix and a slash, in order of id."""
        for known in self._range(prefix.lower().rstrip("/") + "/"):
            if known in self._bodies:
                yield self._bodies[known]

    def of_type(self, type_: str) -> Iterator[Json]:
        """Yield every body of one ARM type (any case), in order of id."""
        for known in tuple(self._types.get(type_.lower(), ())):
            if known in self._bodies:
                yield self._bodies[known]

    def changes(self, type_: str) -> int:
        """Return how often bodies of one type (any case) were put or removed: for those who keep an index."""
        return self._changes.get(type_.lower(), 0)

    def __len__(self) -> int:
        return len(self._bodies)

    def _note(self, body: Json) -> None:
        type_ = _type_of(body)
        self._changes[type_] = self._changes.get(type_, 0) + 1

    def _range(self, start: str) -> list[str]:
        return self._order[bisect_left(self._order, start) : bisect_left(self._order, start + LAST)]

    def _take(self, key: str) -> Json:
        body = self._bodies.pop(key)
        self._note(body)
        _drop(self._order, key)
        _drop(self._types[_type_of(body)], key)
        return body


def _type_of(body: Json) -> str:
    return str(body.get("type", "")).lower()


def _drop(ordered: list[str], key: str) -> None:
    del ordered[bisect_left(ordered, key)]


@dataclass
class World:
    """Everything there is. The faces and the services share one of these."""

    clock: Clock = field(default_factory=Clock)
    seed: int = 1
    subscriptions: dict[str, Json] = field(default_factory=dict)  # lower-case id -> {subscriptionId, displayName, ...}
    resources: Resources = field(default_factory=Resources)  # role assignments too, by their ARM id
    keyring: Keyring = field(default_factory=Keyring)
    hooks: Hooks = field(default_factory=Hooks)
    log: deque[Logged] = field(default_factory=lambda: deque(maxlen=200_000))
    memory: dict[str, Any] = field(default_factory=dict)  # each service's private state, under its own name
    event_listeners: list[Callable[[Event], None]] = field(default_factory=list)
    tenant_id: str = "22222222-2222-2222-2222-222222222222"
    # The principal that the managed identity endpoint speaks for: the app's own.
    app_principal_id: str = "99999999-9999-4999-8999-999999999999"
    app_client_id: str = "88888888-8888-4888-8888-888888888888"

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def new_id(self) -> str:
        """Return a seeded GUID."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def new_version(self) -> str:
        """Return a seeded key version: 32 hexadecimal digits."""
        return f"{self.random.getrandbits(128):032x}"

    def now(self) -> datetime:
        """Return the simulated time in UTC."""
        return self.clock.now()

    def emit(self, topic: str, subject: str, type_: str, data: Json, data_version: str = "1") -> None:
        """Tell Event Grid that something happened."""
        event = Event(self.new_id(), topic, subject, type_, self.now(), data, data_version)
        for listener in self.event_listeners:
            listener(event)
