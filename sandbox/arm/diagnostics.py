"""Microsoft.Insights/diagnosticSettings on a resource: where its logs go [learn rest/api/monitor/diagnostic-settings].

What a vault may keep is checked; other types take any category.
"""

from __future__ import annotations

from sandbox.arm import generic
from sandbox.arm.request import Request
from sandbox.arm.store import copied, require_place, save
from sandbox.arm.target import parse
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPE = "Microsoft.Insights/diagnosticSettings"
MOST = 5  # settings of one resource
_DESTINATIONS = ("workspaceId", "storageAccountId", "eventHubAuthorizationRuleId", "marketplacePartnerId")
_VAULTS = "microsoft.keyvault/vaults"
_CATEGORIES = {"auditevent", "azurepolicyevaluationdetails"}
_GROUPS = {"audit", "alllogs"}


def get(world: World, request: Request) -> Answer:
    """GET of one setting."""
    _require_resource(world, request)
    return generic.get(world, request)


def list_(world: World, request: Request) -> Answer:
    """GET of all settings of a resource, on one page."""
    _require_resource(world, request)
    return Answer.of({"value": list(generic.bodies(world, request.target))})


def put(world: World, request: Request) -> Answer:
    """PUT: 200 with the setting; without a destination or with an unknown category 400."""
    _require_resource(world, request)
    properties = request.properties()
    if not any(properties.get(name) for name in _DESTINATIONS):
        raise _bad("At least one data sink needs to be specified.")
    logs = properties.get("logs", [])
    if not isinstance(logs, list) or not all(isinstance(one, dict) for one in logs):
        raise _bad("logs must be a list of objects.")
    if parse(request.target.scope).type.lower() == _VAULTS:
        for one in logs:
            _judge(one)
    place = f"{request.target.scope}/providers/{TYPE}"
    others = [one for one in world.resources.under(place) if str(one["id"]).lower() != request.target.id.lower()]
    if len(others) >= MOST:
        raise _bad(f"A resource can have at most {MOST} diagnostic settings.")
    named = {"id": request.target.id, "name": request.target.name, "type": TYPE}
    return Answer.of(save(world, {**named, "properties": copied(properties)}))


def _judge(log: Json) -> None:
    category, group = str(log.get("category") or ""), str(log.get("categoryGroup") or "")
    known = category.lower() in _CATEGORIES if category else group.lower() in _GROUPS
    if bool(category) is bool(group) or not known:
        raise _bad(f"Category '{category or group}' is not supported.")


def _require_resource(world: World, request: Request) -> None:
    require_place(world, request.target)
    if world.resources.get(request.target.scope) is None:
        raise Refused(404, "ResourceNotFound", f"The Resource '{request.target.scope}' was not found.")


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)
