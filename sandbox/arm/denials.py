"""Deny assignments: what one at or above a scope forbids, whatever roles allow."""

from __future__ import annotations

from fnmatch import fnmatchcase

from sandbox.arm.target import Target
from sandbox.wire import Json, Refused
from sandbox.world import World

DENIALS = "Microsoft.Authorization/denyAssignments"
_VERBS = {"PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}


def check(world: World, method: str, target: Target) -> None:
    """Raise Refused 403 when a deny assignment forbids the method on the target. It names no principals: all are
    meant, as those of managed applications and blueprints are.
    """
    verb = _VERBS.get(method)
    if verb is None or target.type.lower() == DENIALS.lower():
        return
    id_, action = target.id.lower(), f"{target.type}/{verb}".lower()
    for denial in world.resources.of_type(DENIALS):
        scope = str(denial["id"]).lower().partition(f"/providers/{DENIALS.lower()}/")[0]
        here = id_ == scope or id_.startswith(f"{scope}/")
        if here and any(fnmatchcase(action, pattern.lower()) for pattern in _actions(denial)):
            message = (
                f"The client has permission to perform action '{action}' on scope '{target.id}'; however, the access "
                f"is denied because of the deny assignment with name '{denial['name']}' at scope '{scope}'."
            )
            raise Refused(403, "DenyAssignmentAuthorizationFailed", message)


def _actions(denial: Json) -> list[str]:
    permissions = (denial.get("properties") or {}).get("permissions") or [{"actions": ["*"]}]
    return [str(action) for one in permissions for action in one.get("actions") or ()]
