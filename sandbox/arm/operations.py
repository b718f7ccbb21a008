"""Long-running operations: what a write begins, and what the world's clock ends.

Nothing runs in between. Whoever reads the resource or the operation after its time brings about the end, judged by
what holds at that moment. A service answers in one of four styles; how its resource looks meanwhile is the rule's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from math import ceil
from typing import Any, Final

from sandbox.arm import events
from sandbox.arm.request import Request
from sandbox.arm.store import not_found, stamp
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPES: Final = ("/locations/operationstatuses", "/locations/operationresults")
_FATES: Final = {"fail": "Failed", "cancel": "Canceled"}


class Style(Enum):
    """How a write that takes long is answered, and from how many to how many seconds it takes (a choice, by seed)."""

    ASYNC = (202, True, 5.0, 90.0)  # 202, Azure-AsyncOperation and Location
    MADE = (201, True, 5.0, 90.0)  # the same with 201 and the body: its SDK takes 200 and 201 only
    LOCATION = (202, False, 5.0, 120.0)  # 202 and Location only, which answers 202 until the end
    ECHO = (200, True, 20.0, 240.0)  # 200 with the body, and an operation that has still to be polled

    def __init__(self, status: int, polled: bool, low: float, high: float) -> None:  # noqa: FBT001  enum members
        self.status = status
        self.polled = polled
        self.span = (low, high)


@dataclass
class Operation:
    """One write on its way; `finish` brings its effect about and may raise Refused, `undo` puts the resource right."""

    id: str
    request: Request
    word: str  # the status while it runs
    begun: float
    due: float
    finish: Callable[[float], Json]
    undo: Callable[[float, Refused], Json]
    fate: Json = field(default_factory=dict)  # what a fault script has in mind for it
    status: str = ""  # in the end Succeeded, Failed or Canceled
    refusal: Refused | None = None


def begin(
    world: World,
    request: Request,
    body: Json,
    style: Style,
    word: str,
    finish: Callable[[float], Json],
    undo: Callable[[float, Refused], Json],
) -> Answer:
    """Note an operation on the request's resource and answer as its style does; `body` is what GET shows meanwhile."""
    memory = _memory(world)
    fate: Json = world.memory.pop("operationFate", {})
    drawn = random.Random(f"{world.seed}: operation {len(memory['known'])}")  # does not move the world's sequence
    seconds = float(fate.get("seconds", drawn.uniform(*style.span) * float(world.memory.get("operationScale", 1.0))))
    now = world.clock.time()
    begun = Operation(world.new_id(), request, word, now, now + seconds, finish, undo, fate)
    memory["known"][begun.id] = memory["running"][request.target.id.lower()] = begun
    headers = _headers(begun, body, style.polled) | {"Retry-After": _retry(begun, now)}
    return Answer(style.status, headers) if style.status == 202 else Answer.of(body, style.status, headers)  # noqa: PLR2004


def running(world: World, id_: str) -> bool:
    """Return whether an operation runs on a resource; what is over has to be settled first."""
    memory = world.memory.get("operations")
    return memory is not None and id_.lower() in memory["running"]


def settle(world: World, id_: str) -> bool:
    """End the operation on a resource if its time has come; return whether one was ended."""
    if not running(world, id_):
        return False
    found = _memory(world)["running"][id_.lower()]
    _settle(world, found)
    return bool(found.status)


def get(world: World, request: Request) -> Answer:
    """GET of operationStatuses/{id}: 200 with the status; of operationResults/{id}: 202, then what the write gives."""
    found: Operation | None = _memory(world)["known"].get(request.target.name)
    if found is None:
        raise not_found(request.target)
    _settle(world, found)
    now = world.clock.time()
    wait = {"Retry-After": _retry(found, now)} if not found.status else {}
    if request.target.type.lower().endswith(TYPES[0]):
        return Answer.of(_shown(found, request), headers=wait)
    if not found.status:
        return Answer(202, wait | {"Location": request.call.url})
    if found.refusal is not None:
        raise found.refusal
    body = world.resources.get(found.request.target.id)
    return Answer(204) if body is None else Answer.of(body)


def _settle(world: World, found: Operation) -> None:
    if found.status or found.fate.get("do") == "stall" or world.clock.time() < found.due:
        return
    del _memory(world)["running"][found.request.target.id.lower()]
    try:
        if world.resources.get(found.request.target.id) is None:
            raise Refused(404, "ResourceNotFound", "The resource was deleted meanwhile.")  # noqa: TRY301
        if found.fate.get("do") in _FATES:
            code = str(found.fate.get("code", "InternalServerError"))
            raise Refused(500, code, str(found.fate.get("message", "A scripted end.")))  # noqa: TRY301
        found.finish(found.due)
        found.status = "Succeeded"
    except Refused as refusal:
        found.status, found.refusal = _FATES.get(str(found.fate.get("do")), "Failed"), refusal
        if world.resources.get(found.request.target.id) is not None:
            found.undo(found.due, refusal)
    else:
        events.written(world, found.request, existed=True)


def _shown(found: Operation, request: Request) -> Json:
    shown: Json = {"id": request.target.id, "name": found.id, "status": found.status or found.word}
    shown["startTime"] = _time(found.begun)
    if found.status:
        shown["endTime"] = _time(found.due)
    if found.refusal is not None:
        shown["error"] = {"code": found.refusal.code, "message": found.refusal.message}
    return shown


def _headers(found: Operation, body: Json, polled: bool) -> dict[str, str]:  # noqa: FBT001
    target = found.request.target
    place = str(body.get("location") or "global").lower().replace(" ", "")
    base = f"https://{found.request.call.host}/subscriptions/{target.subscription}/providers/{target.namespace}"
    version = f"?api-version={found.request.api_version}"
    headers = {"Location": f"{base}/locations/{place}/operationResults/{found.id}{version}"}
    if polled:
        headers["Azure-AsyncOperation"] = f"{base}/locations/{place}/operationStatuses/{found.id}{version}"
    return headers


def _retry(found: Operation, now: float) -> str:
    return str(min(15, max(0, ceil(found.due - now))))


def _time(seconds: float) -> str:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def _memory(world: World) -> dict[str, Any]:
    memory: dict[str, Any] = world.memory.setdefault("operations", {})
    memory.setdefault("running", {})
    memory.setdefault("known", {})
    return memory
