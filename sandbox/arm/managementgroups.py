"""Microsoft.Management/managementGroups: who lies below whom. Read only; the estate says how it is.

Sources: learn rest/api/managementgroups/management-groups/list, get, get-descendants (2020-05-01); a subscription's
row in Resource Graph names its ancestors from the nearest to the root [learn governance/resource-graph samples,
management groups].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPE: Final = "Microsoft.Management/managementGroups"
_OF_CHILD: Final = ("type", "id", "name", "displayName")


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


def list_(world: World, request: Request) -> Answer:
    """GET of all groups."""
    return page(request.call, [_group(world, name) for name in sorted(_names(world).values())])


def get(world: World, request: Request) -> Answer:
    """GET of one group with its parent and, on `$expand=children`, what lies right below it."""
    name = _required(world, request, request.target.name, "read")
    body = _group(world, name)
    above = ancestors(world, name)[1:2]
    parent = [{"id": f"/providers/{TYPE}/{one['name']}", **one} for one in above]
    body["properties"]["details"] = {"version": 1, "parent": parent[0] if parent else None}
    if request.call.query.get("$expand", "").lower() == "children":
        below = [one for one in _below(world, name) if one["properties"]["parent"]["id"].endswith(f"/{name}")]
        shown = [{**one, "displayName": one["properties"]["displayName"]} for one in below]
        body["properties"]["children"] = [{key: one[key] for key in _OF_CHILD} for one in shown]
    return Answer.of(body)


def list_descendants(world: World, request: Request) -> Answer:
    """GET of all that lies below a group, at any depth."""
    group = _required(world, request, request.target.parent.rpartition("/")[2], "descendants/read")
    return page(request.call, list(_below(world, group)))


def _required(world: World, request: Request, group: str, verb: str) -> str:
    """Return a group's name as the estate writes it; Refused 403 when there is none or it is hidden."""
    found = _names(world).get(group.lower())
    if found is None:
        who = f"The client '{request.claims.appid}' with object id '{request.claims.oid}'"
        scope = f"/providers/{TYPE}/{group}"
        text = f"{who} does not have authorization to perform action '{TYPE}/{verb}' over scope '{scope}'"
        raise Refused(403, "AuthorizationFailed", f"{text} or the scope is invalid.")
    return found


def _names(world: World) -> dict[str, str]:
    direct = (str(one.get("managementGroup") or "") for one in world.subscriptions.values())
    return {name.lower(): name for name in direct if name} | {
        lower: str(known["name"]) for lower, known in _groups(world).items()
    }


def _group(world: World, name: str) -> Json:
    properties = {"tenantId": world.tenant_id, "displayName": name}
    return {"id": f"/providers/{TYPE}/{name}", "type": TYPE, "name": name, "properties": properties}


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
