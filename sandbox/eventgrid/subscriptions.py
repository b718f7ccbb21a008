"""Event subscriptions: which events go where, and the backlog of what is still to be delivered."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

from sandbox.wire import Json
from sandbox.world import Event, World

Schema = Literal["EventGridSchema", "CloudEventSchemaV1_0"]
SCHEMAS: dict[str, Schema] = {
    "eventgridschema": "EventGridSchema",
    "cloudeventschemav1_0": "CloudEventSchemaV1_0",
}
FUNCTION = "azurefunction:"  # in front of a function's name: Azure's own endpoint type, which needs no handshake
HISTORY = 20_000  # deliveries that can be repeated by the event's id


@dataclass
class Subscription:
    """One event subscription; `active` once its endpoint has passed the handshake."""

    name: str
    source: str  # lower case, without a trailing slash
    endpoint: str
    schema: Schema = "EventGridSchema"
    types: frozenset[str] = frozenset()  # lower case; empty: all
    begins: str = ""
    ends: str = ""
    batch: int = 1
    active: bool = False

    @classmethod
    def of(cls, row: Json, number: int) -> Self:
        """Read a row of the estate; raises ValueError for one without source or endpoint or with an unknown schema."""
        missing = [name for name in ("source", "endpoint") if not row.get(name)]
        schema = SCHEMAS.get(str(row.get("schema") or "EventGridSchema").lower())
        if missing or schema is None:
            raise ValueError(
                f"event subscription {number}: {missing[0] if missing else 'schema'} is missing or unknown"
            )
        endpoint = endpoint_of(str(row["endpoint"]))
        return cls(
            name=str(row.get("name") or f"sub-{number}"),
            source=str(row["source"]).lower().rstrip("/"),
            endpoint=endpoint,
            schema=schema,
            types=frozenset(str(one).lower() for one in row.get("includedEventTypes") or ()),
            begins=str(row.get("subjectBeginsWith") or "").lower(),
            ends=str(row.get("subjectEndsWith") or "").lower(),
            batch=int(row.get("maxEventsPerBatch") or 1),
            active=endpoint.lower().startswith(FUNCTION),
        )

    @property
    def _is_wide(self) -> bool:
        """A resource group or a subscription: its topic tells of the resources in it; a vault's tells of its keys."""
        return "/providers/" not in self.source

    def wants(self, event: Event) -> bool:
        """Return whether the event's topic, or the resource it is about, is at or below the source and filters pass."""
        subject = event.subject.lower()
        return (
            (_below(event.topic.lower(), self.source) or (self._is_wide and _below(subject, self.source)))
            and (not self.types or event.type.lower() in self.types)
            and subject.startswith(self.begins)
            and subject.endswith(self.ends)
        )


@dataclass
class Delivery:
    """One event on its way to one subscription; times are seconds since the epoch."""

    subscription: Subscription
    event: Event
    attempts: int = 0
    last_attempt: float = 0.0
    outcome: str = ""
    dead: str = ""  # why it goes to the dead letters
    copy: bool = False


Match = str | Callable[[Event], bool]


@dataclass
class Rule:
    """What a script does to events: by id or predicate, at most `times` times (None: always).

    `copies` in all, `apart` seconds one after the other, the first after `delay` seconds; or none with `drop`.
    """

    match: Match
    copies: int = 1
    delay: float = 0.0
    drop: bool = False
    apart: float = 0.0
    times: int | None = None

    def applies(self, event: Event) -> bool:
        """Return whether the rule speaks of this event."""
        if self.times is not None and self.times <= 0:
            return False
        return event.id == self.match if isinstance(self.match, str) else self.match(event)


@dataclass
class Subscriptions:
    """All event subscriptions of a world, and their backlog, in order of time."""

    world: World
    rows: list[Subscription] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    dropped: int = 0
    watchers: list[Callable[[], None]] = field(default_factory=list)
    history: deque[Delivery] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def __post_init__(self) -> None:
        self._heap: list[tuple[float, int, Delivery]] = []
        self._order = 0

    @classmethod
    def of(cls, world: World) -> Subscriptions:
        """Return the world's subscriptions; the first call begins to listen to its events."""
        found = world.memory.get("eventSubscriptions")
        if not isinstance(found, cls):
            found = cls(world)
            world.memory["eventSubscriptions"] = found
            world.event_listeners.append(found.hear)
        return found

    def load(self, rows: Iterable[Json]) -> None:
        """Add the estate's eventSubscriptions; raises ValueError for a row that cannot be read."""
        self.rows.extend([Subscription.of(row, len(self.rows) + number) for number, row in enumerate(rows, 1)])

    def hear(self, event: Event) -> None:
        """Take an event in, for every subscription that wants it, as the rules say."""
        wanting = [one for one in self.rows if one.wants(event)]
        if not wanting:
            return
        rule = next((one for one in self.rules if one.applies(event)), None)
        if rule is not None and rule.times is not None:
            rule.times -= 1
        if rule is not None and rule.drop:
            self.dropped += len(wanting)
            return
        rule = rule or Rule(event.id)
        now = self.world.clock.time()
        for subscription in wanting:
            for number in range(rule.copies):
                delivery = Delivery(subscription, event, copy=number > 0)
                self.push(delivery, now + rule.delay + number * rule.apart)
            self.history.append(Delivery(subscription, event))

    def repeat(self, event_id: str, after: float = 0.0) -> int:
        """Deliver an event of the past once more, `after` seconds from now; return to how many subscriptions."""
        found = [one for one in self.history if one.event.id == event_id]
        for one in found:
            self.push(Delivery(one.subscription, one.event, copy=True), self.world.clock.time() + after)
        return len(found)

    def push(self, delivery: Delivery, at: float) -> None:
        """Put a delivery into the backlog, due at that time."""
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, delivery))
        for changed in self.watchers:
            changed()

    def pop(self) -> list[Delivery]:
        """Take what is due and travels in one request: one delivery, or a batch of equally many attempts so far."""
        now, taken = self.world.clock.time(), list[Delivery]()
        while self._heap and self._heap[0][0] <= now:
            following = self._heap[0][2]
            first = taken[0] if taken else following
            fits = following.subscription is first.subscription and following.attempts == first.attempts
            if taken and (not fits or following.dead or len(taken) >= first.subscription.batch):
                break
            taken.append(heapq.heappop(self._heap)[2])
            if taken[-1].dead:
                break
        return taken

    def due(self) -> float | None:
        """Return when the next delivery is due, or None when nothing waits."""
        return self._heap[0][0] if self._heap else None

    def waiting(self) -> int:
        """Return how many deliveries wait."""
        return len(self._heap)


def endpoint_of(written: str) -> str:
    """Return an endpoint in the sandbox's own words: a function's resource id, as Azure's own event subscriptions name
    it (endpointType AzureFunction), becomes azurefunction:NAME.
    """
    function = re.fullmatch(r"/subscriptions/.+/sites/[^/]+/functions/([^/]+)/?", written, re.IGNORECASE)
    return FUNCTION + function.group(1) if function else written


def _below(id_: str, source: str) -> bool:
    return id_ == source or id_.startswith(source + "/")


def of_type(pattern: str) -> Callable[[Event], bool]:
    """Return a predicate for a rule: events of that type (any case)."""
    wanted = pattern.lower()
    return lambda event: event.type.lower() == wanted
