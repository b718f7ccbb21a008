"""Resource Graph's tables: tracked top-level resources, and what contains them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.arm import following, managementgroups
from sandbox.arm.store import graph_memory, is_tracked, seen
from sandbox.arm.target import GROUPS, group_of, subscription_of
from sandbox.graph.values import Row
from sandbox.wire import Json
from sandbox.world import World

_COLUMNS = ("kind", "location", "managedBy", "sku", "plan", "properties", "tags", "identity", "zones")


def resources(world: World, subscriptions: frozenset[str], types: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows of `resources`, as they were when Graph looked last; with `types` only rows of those."""
    for body in _bodies(world, types):
        current = following.current(world, body)
        shown = seen(world, str(body["id"]), current)
        if shown is not None and is_tracked(shown) and subscription_of(str(shown["id"])) in subscriptions:
            yield _row(world, shown)
    for body in _gone(world, types):
        if is_tracked(body) and subscription_of(str(body["id"])) in subscriptions:
            yield _row(world, body)


def containers(world: World, subscriptions: frozenset[str]) -> Iterator[Row]:
    """Yield the rows of `resourcecontainers`: subscriptions, then resource groups."""
    for id_ in sorted(subscriptions & world.subscriptions.keys()):
        known = world.subscriptions[id_]
        chain = managementgroups.ancestors(world, str(known.get("managementGroup") or ""))
        yield {
            "id": f"/subscriptions/{known['subscriptionId']}",
            "name": known.get("displayName") or known["subscriptionId"],
            "type": "microsoft.resources/subscriptions",
            "tenantId": known.get("tenantId") or world.tenant_id,
            "kind": "",
            "location": "",
            "resourceGroup": "",
            "subscriptionId": known["subscriptionId"],
            "managedBy": "",
            "tags": known.get("tags") or {},
            "properties": {"state": known.get("state") or "Enabled", "managementGroupAncestorsChain": chain},
        }
    for body in world.resources.of_type(GROUPS):
        shown = seen(world, str(body["id"]), body)
        if shown is not None and subscription_of(str(shown["id"])) in subscriptions:
            yield {**_row(world, shown), "type": "microsoft.resources/subscriptions/resourcegroups"}


def _bodies(world: World, types: tuple[str, ...]) -> Iterator[Json]:
    if types:
        for type_ in types:
            yield from world.resources.of_type(type_)
        return
    for id_ in sorted(world.subscriptions):
        yield from world.resources.under(f"/subscriptions/{id_}")


def _gone(world: World, types: tuple[str, ...]) -> Iterator[Json]:
    """Yield what was deleted but is still shown."""
    for id_ in sorted(graph_memory(world)["history"]):
        body = seen(world, id_, None) if world.resources.get(id_) is None else None
        if body is not None and (not types or str(body["type"]).lower() in types):
            yield body


def _row(world: World, body: Json) -> Row:
    # One row for each body: bodies are replaced, never changed, so a row is good for as long as its body is the same.
    cache: dict[str, tuple[Json, Row]] = graph_memory(world).setdefault("rows", {})
    id_ = str(body["id"])
    known = cache.get(id_)
    if known is not None and known[0] is body:
        return known[1]
    subscription = subscription_of(id_)
    row: dict[str, Any] = {
        "id": id_,
        "name": body["name"],
        "type": str(body["type"]).lower(),
        "tenantId": world.subscriptions.get(subscription, {}).get("tenantId") or world.tenant_id,
        "resourceGroup": group_of(id_).lower() or str(body["name"]).lower(),
        "subscriptionId": subscription,
        "extendedLocation": None,
    }
    row |= {name: body.get(name) for name in _COLUMNS}
    row |= {name: row[name] or "" for name in ("kind", "location", "managedBy")}
    cache[id_] = (body, row)
    return row
