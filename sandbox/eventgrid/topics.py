"""Custom topics: what an app publishes is checked, kept, and can be looked at."""

from __future__ import annotations

from collections import deque
from typing import Any

from sandbox.identity import bearer
from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import World

KEPT = 100_000  # events per topic; older ones are forgotten
LIMIT = 1024 * 1024  # bytes per request
AUDIENCES = ("https://eventgrid.azure.net",)
_GRID = ("id", "subject", "eventType", "eventTime", "dataVersion")
_CLOUD = ("id", "source", "type", "specversion")


def answer(world: World, call: Call) -> Answer:
    """Answer for a topic's host: POST /api/events takes an array, or one CloudEvent, and answers 200."""
    if call.method != "POST" or call.path.lower() != "/api/events":
        raise Refused(404, "NotFound", f"A topic has no {call.method} {call.path}.")
    if (
        "aeg-sas-key" not in call.headers
        and "aeg-sas-token" not in call.headers
        and bearer(world, call, AUDIENCES) is None
    ):
        raise Refused(401, "Unauthorized", "The request carries neither a valid token nor an access key of this topic.")
    if len(call.body) > LIMIT:
        raise Refused(413, "RequestEntityTooLarge", "The request is larger than 1 MB.")
    body = call.json()
    events = body if isinstance(body, list) else [body]
    needed = _CLOUD if "cloudevents" in call.headers.get("content-type", "") else _GRID
    for event in events:
        _check(event, needed)
    _topic(world, call.host).extend(events)
    return Answer(200, {"Content-Type": "application/json"})


def received(world: World, host: str) -> list[Json]:
    """Return the events that a topic's host was sent, oldest first, as they were written."""
    return list(_topic(world, host.lower()))


def _check(event: Any, needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if not isinstance(event, dict) or event.get(name) is None]
    if missing:
        raise Refused(400, "BadRequest", f"This resource is configured for another schema: {missing[0]} is missing.")


def _topic(world: World, host: str) -> deque[Json]:
    topics: dict[str, deque[Json]] = world.memory.setdefault("topics", {})
    return topics.setdefault(host, deque(maxlen=KEPT))
