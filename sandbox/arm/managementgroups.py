"""Microsoft.Management/managementGroups: who lies below whom. Read only; the estate says how it is.

Source: learn rest/api/managementgroups/management-groups/get-descendants (2020-05-01); a subscription's row in Resource
Graph names its ancestors from the nearest to the root [learn governance/resource-graph samples, management groups].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPE: Final = "Microsoft.Management/managementGroups"


def load(world: World, entry: Json) -> None:
    """Note a group: its name, its parent, and subscriptions below it that the app cannot read."""
    name = str(entry["name"])
    known = {"name": name, "parent": str(entry.get("parent") or ""), "hidden": list(entry.get("subscriptions") or ())}
    _groups(world)[name.lower()] = known


def ancestors(world: World, group: str) -> list[Json]:
    """Return a group and those above it, the nearest first, as Resource Graph shows them."""
    chain: list[Json] = []
    while group and all(one["name"].lower() != group.lower() for one in chain):
        known = _groups(world).get(group.lower(), {"name": group, "parent": ""})
        chain.append({"displayName": known["name"], "name": known["name"]})
        group = known["parent"]
    return chain


def list_descendants(world: World, request: Request) -> Answer:
    """GET of all that lies below a group, at any depth."""
    group = request.target.parent.rpartition("/")[2]
    direct = {str(one.get("managementGroup", "")).lower() for one in world.subscriptions.values()}
    if group.lower() not in _groups(world) and group.lower() not in direct:
        who = f"The client '{request.claims.appid}' with object id '{request.claims.oid}'"
        action = f"{TYPE}/descendants/read"
        text = f"{who} does not have authorization to perform action '{action}' over scope '{request.target.parent}'"
        raise Refused(403, "AuthorizationFailed", f"{text} or the scope is invalid.")
    return page(request.call, list(_below(world, group)))


def _below(world: World, group: str) -> Iterator[Json]:
    for known in _groups(world).values():
        if known["parent"].lower() == group.lower():
            yield _shown(f"/providers/{TYPE}/{known['name']}", TYPE, known["name"], group)
            yield from _below(world, known["name"])
    readable = [
        one for one in world.subscriptions.values() if str(one.get("managementGroup", "")).lower() == group.lower()
    ]
    names = [str(one["subscriptionId"]) for one in readable]
    for name in dict.fromkeys([*names, *_groups(world).get(group.lower(), {"hidden": []})["hidden"]]):
        yield _shown(f"/subscriptions/{name}", "/subscriptions", str(name), group)


def _shown(id_: str, type_: str, name: str, parent: str) -> Json:
    properties = {"displayName": name, "parent": {"id": f"/providers/{TYPE}/{parent}"}}
    return {"id": id_, "type": type_, "name": name, "properties": properties}


def _groups(world: World) -> dict[str, Json]:
    found: dict[str, Json] = world.memory.setdefault("managementGroups", {})
    return found
