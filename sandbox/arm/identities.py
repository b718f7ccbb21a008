"""Managed identities of resources: what is sent replaces what was there, and new ones get a principal."""

from __future__ import annotations

import random
from uuid import UUID

from sandbox.wire import Json, Refused
from sandbox.world import World

_KINDS = {"systemassigned": "SystemAssigned", "userassigned": "UserAssigned", "none": "None"}
UAI = "Microsoft.ManagedIdentity/userAssignedIdentities"


def replaced(world: World, old: Json | None, sent: Json) -> Json:
    """Return the identity after a write: exactly the kinds and the user-assigned identities that were sent.

    A system-assigned identity that stays keeps its principal; a new one gets a seeded one. Sending an unknown type
    raises Refused 400 (InvalidIdentityType); user-assigned identities are filled in from their resource or seeded.
    """
    kinds = _kinds(str(sent.get("type", "")))
    result: Json = {}
    if "SystemAssigned" in kinds:
        same = old is not None and "systemassigned" in str(old.get("type", "")).lower()
        result["principalId"] = old["principalId"] if same and old and old.get("principalId") else world.new_id()
        result["tenantId"] = world.tenant_id
    result["type"] = ",".join(kinds)
    attached = sent.get("userAssignedIdentities")
    if "UserAssigned" in kinds:
        if not isinstance(attached, dict):
            attached = {}
        result["userAssignedIdentities"] = {
            id_: assigned(world, id_) for id_, value in attached.items() if value is not None
        }
    return result


def principal(identity: Json | None, user_assigned: str | None) -> str | None:
    """Return the principal that a resource acts as, or None when it has no such identity.

    `user_assigned` is the ARM id (any case) of one that is attached; None means the system-assigned identity.
    """
    if identity is None:
        return None
    if user_assigned:
        for id_, entry in (identity.get("userAssignedIdentities") or {}).items():
            if id_.lower() == user_assigned.lower():
                return str((entry or {}).get("principalId") or "") or None
        return None
    return str(identity.get("principalId") or "") or None


def _kinds(type_: str) -> list[str]:
    words = [word.strip().lower() for word in type_.split(",")]
    if not all(word in _KINDS for word in words) or ("none" in words and len(words) > 1):
        raise Refused(400, "InvalidIdentityType", f"The identity type '{type_}' is not valid.")
    return [_KINDS[word] for word in dict.fromkeys(words)]


def assigned(world: World, id_: str) -> Json:
    """Return the principal and client of a user-assigned identity: as its resource says, else as the estate says of a
    resource that it is attached to, else by its seed.
    """
    body = world.resources.get(id_)
    properties = (body or {}).get("properties") or _told(world).get(id_.lower()) or {}
    return {
        "principalId": str(properties.get("principalId") or _seeded(world, "principal", id_)),
        "clientId": str(properties.get("clientId") or _seeded(world, "client", id_)),
    }


def _told(world: World) -> dict[str, Json]:
    told: dict[str, Json] = world.memory.setdefault("assignedIdentities", {})
    return told


def _seeded(world: World, what: str, id_: str) -> str:
    # By seed and id: the same identity has the same principal on every resource it is attached to.
    return str(UUID(int=random.Random(f"{world.seed}: {what} of {id_.lower()}").getrandbits(128), version=4))


def completed(world: World, identity: Json) -> Json:
    """Return an estate's identity with the principals that it leaves out."""
    sent = dict(identity)
    result = {**identity, **replaced(world, identity, sent)}
    if identity.get("userAssignedIdentities") and "userAssignedIdentities" in result:
        for id_, entry in identity["userAssignedIdentities"].items():
            given = {name: value for name, value in (entry or {}).items() if value}
            _told(world).setdefault(id_.lower(), given)
            result["userAssignedIdentities"][id_] = {**assigned(world, id_), **given}
    return result
