"""What the app may do so that a resource can begin to use a key: give it an identity, and let that use the key."""

from __future__ import annotations

import json
from collections.abc import Callable

from sandbox.arm import roles
from sandbox.arm.keyed.rules import at
from sandbox.wire import Call, Json
from sandbox.world import World
from tests.soak import pointing
from tests.soak.changes import identities_of
from tests.soak.estates import is_untouchable
from tests.support.azure import ENCRYPTION_USER, vault


def preparation(world: World, call: Call, is_fresh: Callable[[str], bool]) -> str | None:
    """Return what is wrong with a request that prepares a first key, "" if nothing is; None: this is none of those.
    `is_fresh` tells of a resource whether it may have begun to use a key unseen, as by another instance's hand.
    """
    sent: Json = json.loads(call.body)
    if call.method == "PUT" and f"/{roles.ASSIGNMENTS.lower()}/" in call.path.lower():
        return _grant(world, call.path, sent, is_fresh)
    if call.method == "PATCH" and set(sent) == {"identity"}:
        return _identity(world, call.path, sent, is_fresh)
    return None


def _grant(world: World, path: str, sent: Json, is_fresh: Callable[[str], bool]) -> str:
    if path.lower().partition("/providers/microsoft.authorization/")[0] != str(vault()["id"]).lower():
        return "a grant on something else than the vault"
    if not str(at(sent, "properties.roleDefinitionId")).lower().endswith(ENCRYPTION_USER):
        return "a grant of another role than it takes to use a key"
    principal = at(sent, "properties.principalId")
    whose = [one for one in pointing.users(world) if at(one, "identity.principalId") == principal]
    fine = any(not pointing.pointers(one) or is_fresh(str(one["id"])) for one in whose)
    return "" if fine else "a grant to somebody who uses a key, or to nobody"


def _identity(world: World, path: str, sent: Json, is_fresh: Callable[[str], bool]) -> str:
    body = world.resources.get(path)
    if body is None:
        return ""
    if is_untouchable(path) or (pointing.pointers(body) and not is_fresh(path)):
        return "an identity for what needs none"
    lost = identities_of(body) - identities_of(sent)
    return f"it would lose {', '.join(sorted(lost))}" if lost else ""
