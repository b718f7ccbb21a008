"""What holds resources: tenants, subscriptions, resource groups, and lists over all types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sandbox.arm import following, generic, softdelete
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import is_tracked, require_place, save
from sandbox.arm.target import GROUPS
from sandbox.vault.access import VAULTS
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

_SHOWN: Final = ("id", "name", "type", "kind", "managedBy", "location", "tags", "sku", "identity", "plan", "zones")
_OF_VAULTS: Final = "/microsoft.keyvault/checknameavailability"
_CLAUSE: Final = re.compile(
    r"\s*(resourceType|resourceGroup|name|location|tagName|tagValue)\s+eq\s+'([^']*)'\s*", re.IGNORECASE
)


def list_tenants(world: World, request: Request) -> Answer:
    """GET /tenants: the one tenant."""
    return page(
        request.call, [{"id": f"/tenants/{world.tenant_id}", "tenantId": world.tenant_id, "tenantCategory": "Home"}]
    )


def list_subscriptions(world: World, request: Request) -> Answer:
    """GET /subscriptions."""
    return page(request.call, (subscription(world, id_) for id_ in sorted(world.subscriptions)))


def get_subscription(world: World, request: Request) -> Answer:
    """GET of a subscription."""
    require_place(world, request.target)
    return Answer.of(subscription(world, request.target.subscription))


def subscription(world: World, id_: str) -> Json:
    """Return a subscription's body; `id_` is its lower-case GUID."""
    known = world.subscriptions[id_]
    return {
        "id": f"/subscriptions/{known['subscriptionId']}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": known["subscriptionId"],
        "tenantId": known.get("tenantId") or world.tenant_id,
        "displayName": known.get("displayName") or known["subscriptionId"],
        "state": known.get("state") or "Enabled",
    }


def put_group(world: World, request: Request) -> Answer:
    """PUT of a resource group."""
    require_place(world, request.target)
    old, sent = world.resources.get(request.target.id), request.body()
    if old is None and not sent.get("location"):
        raise Refused(400, "LocationRequired", "The location property is required for this definition.")
    body = generic.replaced(world, request, old, sent)
    body = {**body, "type": GROUPS, "properties": {"provisioningState": "Succeeded"}}
    body.pop("systemData", None)
    return Answer.of(save(world, body), 200 if old is not None else 201)


def list_resources(world: World, request: Request) -> Answer:
    """GET /resources of a subscription or a resource group, without properties; `$filter` compares with eq."""
    require_place(world, request.target)
    tests = _filter(request.call.query.get("$filter", ""))
    return page(request.call, _matching(world, request, tests), show=_shown)


def check_name(world: World, request: Request) -> Answer:
    """POST checkNameAvailability of storage accounts and vaults."""
    sent = request.body()
    name, type_ = str(sent.get("name", "")), str(sent.get("type", ""))
    if not type_ and request.call.path.lower().endswith(_OF_VAULTS):  # az names no type
        type_ = VAULTS
    taken = any(str(body["name"]).lower() == name.lower() for body in world.resources.of_type(type_))
    taken = taken or (type_.lower() == VAULTS.lower() and softdelete.recoverable(world, name) is not None)
    if not taken:
        return Answer.of({"nameAvailable": True})
    return Answer.of(
        {"nameAvailable": False, "reason": "AlreadyExists", "message": f"The name {name} is already taken."}
    )


def list_locations(world: World, request: Request) -> Answer:
    """GET of a subscription's locations: those in which it has resources."""
    require_place(world, request.target)
    names = {
        str(body["location"]).lower() for body in world.resources.under(request.target.scope) if body.get("location")
    }
    found = [{"id": f"{request.target.id}/{name}", "name": name, "displayName": name} for name in sorted(names)]
    return page(request.call, found)


def _matching(world: World, request: Request, tests: list[tuple[str, str]]) -> Iterator[Json]:
    tag = next((value for name, value in tests if name == "tagname"), None)
    for body in world.resources.under(request.target.scope):
        if is_tracked(body) and all(_passes(body, name, value, tag) for name, value in tests):
            yield following.current(world, body)


def _passes(body: Json, name: str, value: str, tag: str | None) -> bool:
    tags = {str(key).lower(): str(one) for key, one in (body.get("tags") or {}).items()}
    match name:
        case "tagname":
            return value.lower() in tags
        case "tagvalue":
            return tag is not None and tags.get(tag.lower()) == value
        case "resourcegroup":
            return str(body["id"]).split("/")[4].lower() == value.lower()
        case _:
            return str(body.get({"resourcetype": "type"}.get(name, name), "")).lower() == value.lower()


def _filter(text: str) -> list[tuple[str, str]]:
    tests = []
    for clause in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE) if text.strip() else []:
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise Refused(501, "NotInSandbox", f"The sandbox does not know this filter of resources: {text}")
        tests.append((found[1].lower(), found[2]))
    return tests


def _shown(body: Json) -> Json:
    return {name: body[name] for name in _SHOWN if name in body}
