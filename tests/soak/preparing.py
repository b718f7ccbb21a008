"""What the app may do so that a resource can begin to use a key: give it an identity, and let that use the key."""

from __future__ import annotations

import json

from sandbox.arm import roles
from sandbox.arm.keyed.rules import at
from sandbox.wire import Call, Json
from sandbox.world import World
from tests.soak import pointing
from tests.soak.changes import identities_of
from tests.soak.estates import is_untouchable
from tests.support.azure import ENCRYPTION_USER, vault


def preparation(world: World, call: Call) -> str | None:
    """Return what is wrong with a request that prepares a first key, "" if nothing is; None: this is none of those."""
    sent: Json = json.loads(call.body)
    if call.method == "PUT" and f"/{roles.ASSIGNMENTS.lower()}/" in call.path.lower():
        return _grant(world, call.path, sent)
    if call.method == "PATCH" and set(sent) == {"identity"}:
        return _identity(world, call.path, sent)
    return None


def _grant(world: World, path: str, sent: Json) -> str:
    if path.lower().partition("/providers/microsoft.authorization/")[0] != str(vault()["id"]).lower():
        return "a grant on something else than the vault"
    if not str(at(sent, "properties.roleDefinitionId")).lower().endswith(ENCRYPTION_USER):
        return "a grant of another role than it takes to use a key"
    principal = at(sent, "properties.principalId")
    whose = [one for one in pointing.users(world) if at(one, "identity.principalId") == principal]
    return (
        "" if any(not pointing.pointers(one) for one in whose) else "a grant to somebody who uses a key, or to nobody"
    )


def _identity(world: World, path: str, sent: Json) -> str:
    body = world.resources.get(path)
    if body is None:
        return ""
    if is_untouchable(path) or pointing.pointers(body):
        return "an identity for what needs none"
    lost = identities_of(body) - identities_of(sent)
    return f"it would lose {', '.join(sorted(lost))}" if lost else ""
