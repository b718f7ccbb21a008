"""Microsoft.Authorization: role assignments at any scope, and the definitions of the Key Vault roles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sandbox.arm import generic
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import drop, require_place, save, stamp
from sandbox.arm.target import subscription_of
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

ASSIGNMENTS: Final = "Microsoft.Authorization/roleAssignments"
DEFINITIONS: Final = "Microsoft.Authorization/roleDefinitions"

MOST: Final = 4_000  # of a subscription [learn role-based-access-control/troubleshoot-limits]
_KEYS: Final = "Microsoft.KeyVault/vaults/keys"
# id: (name, data actions) [services.md 1.10; the built-in roles' definitions]
_ROLES: Final = {
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": (
        "Key Vault Crypto Service Encryption User",
        (f"{_KEYS}/read", f"{_KEYS}/wrap/action", f"{_KEYS}/unwrap/action"),
    ),
    "12338af0-0e69-4776-bea7-57ae8d297424": (
        "Key Vault Crypto User",
        (
            f"{_KEYS}/read",
            *(
                f"{_KEYS}/{verb}/action"
                for verb in ("update", "backup", "encrypt", "decrypt", "wrap", "unwrap", "sign", "verify")
            ),
        ),
    ),
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603": (
        "Key Vault Crypto Officer",
        (f"{_KEYS}/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"),
    ),
    "21090545-7ca7-4776-b22c-e363652d74d2": ("Key Vault Reader", ("Microsoft.KeyVault/vaults/*/read",)),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": ("Key Vault Administrator", ("Microsoft.KeyVault/vaults/*",)),
}
_PRINCIPAL: Final = re.compile(r"(?:principalId eq|assignedTo\() *'([^']+)'\)?", re.IGNORECASE)
_ROLE_NAME: Final = re.compile(r"roleName eq '([^']+)'", re.IGNORECASE)


def put(world: World, request: Request) -> Answer:
    """PUT: 201; the same assignment under another name raises Refused 409 (RoleAssignmentExists)."""
    require_place(world, request.target)
    sent = request.properties()
    if not sent.get("roleDefinitionId") or not sent.get("principalId"):
        raise Refused(400, "BadRequestFormat", "The request was incorrectly formatted.")
    body = assignment(world, request.target.scope, request.target.name, sent, request.claims.oid)
    known = world.resources.get(request.target.id)
    if known is not None:
        if _grant(known) != _grant(body):
            raise Refused(
                400,
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            )
        return Answer.of(known)
    if any(_grant(other) == _grant(body) for other in _at(world, request.target.scope)):
        raise Refused(409, "RoleAssignmentExists", "The role assignment already exists.")
    _require_room(world, request.target.scope)
    save(world, body)
    return Answer.of(body, 201)


def _require_room(world: World, scope: str) -> None:
    subscription = subscription_of(scope)
    held = sum(subscription_of(str(one["id"])) == subscription for one in world.resources.of_type(ASSIGNMENTS))
    if subscription and held >= MOST:
        raise Refused(400, "RoleAssignmentLimitExceeded", "No more role assignments can be created.")


def assignment(world: World, scope: str, name: str, sent: Json, by: str) -> Json:
    """Return the body of a role assignment made now, with what was sent in its properties."""
    now = stamp(world.now())
    return {
        "id": f"{scope}/providers/{ASSIGNMENTS}/{name}",
        "name": name,
        "type": ASSIGNMENTS,
        "properties": {
            "principalType": "ServicePrincipal",
            "createdOn": now,
            "updatedOn": now,
            "createdBy": by,
            "updatedBy": by,
            **{field: value for field, value in sent.items() if value is not None},
            "scope": scope or "/",
        },
    }


def list_(world: World, request: Request) -> Answer:
    """GET at a scope: assignments at, above and below it; `$filter` is atScope(), principalId eq '...', or both."""
    require_place(world, request.target)
    text = request.call.query.get("$filter", "")
    principal = _PRINCIPAL.search(text)
    rest = _PRINCIPAL.sub("", text).replace("atScope()", "").replace(" and ", " ").strip()
    if rest not in {"", "and"}:
        raise Refused(501, "NotInSandbox", f"The sandbox does not know this filter of role assignments: {text}")
    here = request.target.scope.lower()
    found = (
        body
        for body in world.resources.of_type(ASSIGNMENTS)
        if _related(_scope(body), here, below="atscope()" not in text.lower())
        and (principal is None or str(body["properties"]["principalId"]).lower() == principal[1].lower())
    )
    return page(request.call, found)


def delete(world: World, request: Request) -> Answer:
    """DELETE of an assignment: 200 with what it was (az reads it), or 204 when there was nothing."""
    require_place(world, request.target)
    body = drop(world, request.target.id)
    return Answer.of(body) if body is not None else Answer(204)


def list_definitions(_world: World, request: Request) -> Answer:
    """GET of the role definitions that the sandbox knows; `$filter` is roleName eq '...'."""
    wanted = _ROLE_NAME.search(request.call.query.get("$filter", ""))
    shown = [_definition(request, id_) for id_, role in _ROLES.items() if wanted is None or role[0] == wanted[1]]
    return page(request.call, shown)


def get_definition(world: World, request: Request) -> Answer:
    """GET of one role definition."""
    if request.target.name.lower() in _ROLES:
        return Answer.of(_definition(request, request.target.name.lower()))
    if world.resources.get(request.target.id) is not None:
        return generic.get(world, request)
    raise Refused(
        404,
        "RoleDefinitionDoesNotExist",
        f"The specified role definition with ID '{request.target.name}' does not exist.",
    )


def _definition(request: Request, id_: str) -> Json:
    name, actions = _ROLES[id_]
    subscription = request.target.subscription
    return {
        "id": f"{f'/subscriptions/{subscription}' if subscription else ''}/providers/{DEFINITIONS}/{id_}",
        "name": id_,
        "type": DEFINITIONS,
        "properties": {
            "roleName": name,
            "type": "BuiltInRole",
            "assignableScopes": ["/"],
            "permissions": [{"actions": [], "notActions": [], "dataActions": list(actions), "notDataActions": []}],
        },
    }


def _grant(body: Json) -> tuple[str, str]:
    properties = body["properties"]
    return str(properties["principalId"]).lower(), str(properties["roleDefinitionId"]).lower().rpartition("/")[2]


def _scope(body: Json) -> str:
    return str(body["id"]).lower().rpartition(f"/providers/{ASSIGNMENTS.lower()}/")[0]


def _at(world: World, scope: str) -> Iterator[Json]:
    return world.resources.under(f"{scope}/providers/{ASSIGNMENTS}")


def _related(scope: str, here: str, *, below: bool) -> bool:
    above = scope in {"", here} or here.startswith(scope + "/")
    return above or (below and scope.startswith(here + "/"))
