"""What the caller may do at a scope, and how many role assignments a subscription still takes.

Every caller may do everything through Resource Manager but what `lacking` in the sandbox's memory says; with keys,
where vaults are strict, what its roles allow.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.roles import ASSIGNMENTS, MOST
from sandbox.arm.store import require_place
from sandbox.arm.target import Target, subscription_of
from sandbox.vault import access
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPE: Final = "Microsoft.Authorization/permissions"
METRICS: Final = "Microsoft.Authorization/roleAssignmentsUsageMetrics"


def list_(world: World, request: Request) -> Answer:
    """GET of the caller's permissions at a scope [learn rest/api/authorization/permissions]."""
    require_place(world, request.target)
    data = access.data_actions(world, request.claims.oid, request.target.scope) if access.strict(world) else ("*",)
    shown: Json = {"actions": ["*"], "notActions": lacking(world), "dataActions": list(data), "notDataActions": []}
    return page(request.call, [shown])


def metrics(world: World, request: Request) -> Answer:
    """GET of a subscription's role assignments in figures [azure-rest-api-specs, RoleAssignmentMetrics]."""
    require_place(world, request.target)
    here = request.target.subscription
    held = sum(subscription_of(str(one["id"])) == here for one in world.resources.of_type(ASSIGNMENTS))
    shown = {"subscriptionId": here, "roleAssignmentsLimit": MOST, "roleAssignmentsCurrentCount": held}
    return Answer.of({**shown, "roleAssignmentsRemainingCount": max(MOST - held, 0)})


def lacking(world: World) -> list[str]:
    """Return the actions that no caller has, as patterns."""
    found: list[str] = world.memory.get("arm", {}).get("lacking", [])
    return found


def check(world: World, method: str, target: Target) -> None:
    """Raise Refused 403 (AuthorizationFailed) for a write that callers may not make."""
    if method not in {"PUT", "PATCH", "DELETE"}:
        return
    action = f"{target.type}/{'delete' if method == 'DELETE' else 'write'}"
    if any(fnmatchcase(action.lower(), one.lower()) for one in lacking(world)):
        message = f"The client does not have authorization to perform action '{action}' over scope '{target.id}'."
        raise Refused(403, "AuthorizationFailed", message)
