"""Webhooks of other people's chat: whatever is posted to them is kept, with its headers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.wire import Answer, Call, Refused
from sandbox.world import World

KEPT = 10_000
HOSTS = ("hooks.slack.com", ".logic.azure.com", "hooks.example.com")


@dataclass(frozen=True)
class Posted:
    """One message as it came."""

    url: str
    headers: dict[str, str]
    body: Any


def answer(world: World, call: Call) -> Answer:
    """Keep a POST and answer 200, as Slack does; anything else is 405."""
    if call.method != "POST":
        raise Refused(405, "MethodNotAllowed", "A webhook takes POST.")
    _posted(world).append(Posted(call.url, dict(call.headers), call.json()))
    return Answer(200, {"Content-Type": "text/html"}, b"ok")


def posted(world: World) -> list[Posted]:
    """Return what was posted, oldest first."""
    return list(_posted(world))


def _posted(world: World) -> deque[Posted]:
    found: deque[Posted] = world.memory.setdefault("hooks", deque(maxlen=KEPT))
    return found
