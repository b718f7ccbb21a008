"""Reading and keeping ARM bodies: what exists, how a body is merged, what a resource looked like a while ago."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from sandbox.arm.target import GROUPS, Target, group_of, subscription_of
from sandbox.wire import Json, Refused
from sandbox.world import World

PAST = float("-inf")
T = TypeVar("T")


def copied(body: T) -> T:
    """Return a deep copy of JSON."""
    copy: T = json.loads(json.dumps(body))
    return copy


def merged(old: Json, sent: Json) -> Json:
    """Return `old` with `sent` merged in as RFC 7396 says: objects by member, null removes, the rest replaces."""
    result = dict(old)
    for name, value in sent.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def stamp(moment: datetime, digits: int = 7) -> str:
    """Write a time as Azure's services do: UTC with 7 digits of a second's fraction, or fewer."""
    fraction = f"{moment.microsecond:06d}0"[:digits]
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"


def save(world: World, body: Json, at: float | None = None) -> Json:
    """Keep a body under its id, and what it was before for a Resource Graph that lags; return the body.

    `at` is the time of the change in seconds since the epoch, by default now.
    """
    _remember(world, str(body["id"]), body, at)
    world.resources.put(body)
    return body


def drop(world: World, id_: str) -> Json | None:
    """Remove a resource and all below it; return its body, or None when it was not there."""
    for child in world.resources.under(id_):
        _remember(world, str(child["id"]), None, None)
    if world.resources.get(id_) is not None:
        _remember(world, id_, None, None)
    return world.resources.remove(id_)


def graph_memory(world: World) -> Json:
    """Return the state of Resource Graph: `lag` in seconds, `history` by id."""
    memory: Json = world.memory.setdefault("graph", {})
    memory.setdefault("lag", 0)
    memory.setdefault("history", {})
    return memory


def _remember(world: World, id_: str, body: Json | None, at: float | None) -> None:
    memory = graph_memory(world)
    lag = float(memory["lag"])
    key = id_.lower()
    if lag <= 0:
        memory["history"].pop(key, None)
        return
    history: list[tuple[float, Json | None]] = memory["history"].setdefault(key, [(PAST, world.resources.get(key))])
    now = world.clock.time()
    history.append((now if at is None else at, body))
    # Nobody asks for more than `lag` ago: of what is older only the last entry counts.
    first = bisect_right(history, now - lag, key=lambda entry: entry[0]) - 1
    del history[: max(first, 0)]


def seen(world: World, id_: str, current: Json | None) -> Json | None:
    """Return a resource as Resource Graph shows it: as it was `lag` seconds ago, or None when it was not there."""
    memory = graph_memory(world)
    history: list[tuple[float, Json | None]] | None = memory["history"].get(id_.lower())
    if history is None or float(memory["lag"]) <= 0:
        return current
    moment = world.clock.time() - float(memory["lag"])
    return history[max(bisect_right(history, moment, key=lambda entry: entry[0]) - 1, 0)][1]


def not_found(target: Target) -> Refused:
    """Return ARM's refusal for a resource that is not there."""
    if target.type.lower() == GROUPS.lower():
        return Refused(404, "ResourceGroupNotFound", f"Resource group '{target.name}' could not be found.")
    what = "/".join(_pairs(target))
    return Refused(
        404,
        "ResourceNotFound",
        f"The Resource '{what}' under resource group '{target.group or '<null>'}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def _pairs(target: Target) -> Iterator[str]:
    namespace, *types = target.type.split("/")
    behind = target.id[len(target.scope) :].split("/")[3:]  # "", "providers", namespace
    yield namespace
    for at, type_ in enumerate(types):
        yield type_
        if 2 * at + 1 < len(behind):
            yield behind[2 * at + 1]


def require_place(world: World, target: Target) -> None:
    """Raise Refused 404 unless the subscription, the resource group and the parent of a target exist."""
    if target.subscription and target.subscription not in world.subscriptions:
        raise Refused(404, "SubscriptionNotFound", f"The subscription '{target.subscription}' could not be found.")
    if target.group and target.type.lower() != GROUPS.lower() and not group_exists(world, target.id):
        raise Refused(404, "ResourceGroupNotFound", f"Resource group '{target.group}' could not be found.")
    if target.child and world.resources.get(target.parent) is None:
        raise Refused(
            404,
            "ParentResourceNotFound",
            f"Failed to perform the requested operation on resource(s) of type '{target.type}', because the parent "
            f"resource '{target.parent}' could not be found.",
        )


def group_exists(world: World, id_: str) -> bool:
    """Return whether the resource group that an id lies in exists."""
    return world.resources.get(f"/subscriptions/{subscription_of(id_)}/resourcegroups/{group_of(id_)}") is not None


def is_tracked(body: Json) -> bool:
    """Return whether a body is a top-level resource with a location: what lists of resources and Graph show."""
    type_ = str(body.get("type", ""))
    return bool(body.get("location")) and type_.count("/") == 1 and type_.lower() != GROUPS.lower()
