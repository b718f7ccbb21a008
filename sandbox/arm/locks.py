"""Management locks: what a lock at or above a scope forbids."""

from __future__ import annotations

from sandbox.arm.target import Target
from sandbox.wire import Json, Refused
from sandbox.world import World

LOCKS = "Microsoft.Authorization/locks"


def check(world: World, method: str, target: Target) -> None:
    """Raise Refused 409 (ScopeLocked) when a lock forbids the method on the target.

    CanNotDelete forbids DELETE, ReadOnly every change; a DELETE is also stopped by a lock below what it would remove.
    Locks do not guard themselves.
    """
    if method in {"GET", "HEAD"} or target.type.lower() == LOCKS.lower():
        return
    id_ = target.id.lower()
    for lock in world.resources.of_type(LOCKS):
        scope = str(lock["id"]).lower().partition(f"/providers/{LOCKS.lower()}/")[0]
        above = id_ == scope or id_.startswith(scope + "/")
        below = method == "DELETE" and scope.startswith(id_ + "/")
        if (above or below) and (method == "DELETE" or _level(lock) == "readonly"):
            verb = "delete" if method == "DELETE" else "write"
            raise Refused(
                409,
                "ScopeLocked",
                f"The scope '{target.id}' cannot perform {verb} operation because following scope(s) are locked: "
                f"'{scope}'. Please remove the lock and try again.",
            )


def _level(lock: Json) -> str:
    return str((lock.get("properties") or {}).get("level", "")).lower()
