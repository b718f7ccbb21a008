"""What ARM tells Event Grid about writes, deletes and actions [events.md 2]."""

from __future__ import annotations

from typing import Any

from sandbox.arm.request import Request
from sandbox.arm.store import stamp
from sandbox.arm.target import Target
from sandbox.wire import Json
from sandbox.world import World

_CLAIM = "http://schemas.microsoft.com/identity/claims/"
_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_CONTRIBUTOR = "b24988ac618042a0ab8820f7382dd24c"  # the sandbox does not look up what role let the caller pass


def written(world: World, request: Request, *, existed: bool) -> None:
    """Tell of a successful PUT or PATCH."""
    target = request.target
    # Write events spell the resource group's collection in lower case, as the recorded ones do.
    _resource_event(world, request, "Write", _lowered(target.id), "write", called=existed)
    body = world.resources.get(target.id)
    if body is not None:
        shown = {name: body[name] for name in ("tags", "id", "name", "type", "location", "properties") if name in body}
        _notify(world, target, "CreatedOrUpdated", {"resourceInfo": _numbers(shown), "apiVersion": request.api_version})


def deleted(world: World, request: Request, body: Json) -> None:
    """Tell of a successful DELETE; `body` is what was there."""
    _resource_event(world, request, "Delete", request.target.id, "delete", called=True)
    shown = {name: body.get(name, "") for name in ("id", "name", "type")}
    _notify(world, request.target, "Deleted", {"resourceInfo": shown})


def acted(world: World, request: Request, verb: str) -> None:
    """Tell of a successful POST of an action on the request's target."""
    _resource_event(world, request, "Action", request.target.id, f"{verb}/action", called=True)


def _resource_event(world: World, request: Request, what: str, uri: str, verb: str, *, called: bool) -> None:
    target = request.target
    subscription = target.subscription
    if not subscription:
        return  # topics are subscriptions
    operation = f"{target.type}/{verb}"
    headers = request.call.headers
    data: Json = {
        "authorization": _authorization(request, uri, operation),
        "claims": _claims(world, request),
        "correlationId": headers.get("x-ms-correlation-request-id") or world.new_id(),
    }
    if called:
        data["httpRequest"] = {
            "clientRequestId": headers.get("x-ms-client-request-id", ""),
            "clientIpAddress": "203.0.113.7",
            "method": request.call.method,
            "url": request.call.url,
        }
    data |= {
        "resourceProvider": target.namespace,
        "resourceUri": uri,
        "operationName": operation,
        "status": "Succeeded",
        "subscriptionId": subscription,
        "tenantId": world.tenant_id,
    }
    world.emit(f"/subscriptions/{subscription}", uri, f"Microsoft.Resources.Resource{what}Success", data, "2")


def _authorization(request: Request, uri: str, operation: str) -> Json:
    subscription = request.target.subscription
    return {
        "scope": uri,
        "action": operation,
        "evidence": {
            "role": "Contributor",
            "roleAssignmentScope": f"/subscriptions/{subscription}",
            "roleAssignmentId": subscription.replace("-", ""),
            "roleDefinitionId": _CONTRIBUTOR,
            "principalId": request.claims.oid.replace("-", ""),
            "principalType": "ServicePrincipal",
        },
    }


def _claims(world: World, request: Request) -> Json:
    claims = request.claims
    tenant = claims.tid or world.tenant_id
    issuer = f"https://sts.windows.net/{tenant}/"
    now = str(int(world.clock.time()))
    return {
        "aud": claims.aud,
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": str(int(min(claims.exp, world.clock.time() + 86400))),
        "appid": claims.appid,
        "appidacr": "2",
        f"{_CLAIM}identityprovider": issuer,
        f"{_CLAIM}objectidentifier": claims.oid,
        f"{_SOAP}nameidentifier": claims.oid,
        f"{_CLAIM}tenantid": tenant,
        "ver": "1.0",
    }


def _notify(world: World, target: Target, what: str, data: Json) -> None:
    if target.subscription:
        moment = {"operationalInfo": {"resourceEventTime": stamp(world.now())}}
        type_ = f"Microsoft.ResourceNotifications.Resources.{what}"
        world.emit(f"/subscriptions/{target.subscription}", target.id, type_, data | moment)


def _lowered(id_: str) -> str:
    parts = id_.split("/")
    if len(parts) > 3 and parts[3].lower() == "resourcegroups":  # noqa: PLR2004  "", subscriptions, s, resourceGroups
        parts[3] = "resourcegroups"
    return "/".join(parts)


def _numbers(value: Any) -> Any:
    """Write booleans as 0 and 1, as resource notifications do."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return value
