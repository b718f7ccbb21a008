"""Followers: an account or scope that names no key version looks once a day, by its own clock, for what is latest.

Nothing happens at the moment of a look: when somebody reads the resource, the looks since the last reading are made up
for. What the key's versions were at a look follows from their dates; who may wrap with them is judged at the reading.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor
from zlib import crc32

from sandbox.arm import identities
from sandbox.arm.encryption import NEVER, Pointer, accepted, pointer_of_account, pointer_of_scope
from sandbox.arm.store import merged, save, stamp
from sandbox.identity import principal_of
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault, wrap_problem
from sandbox.wire import Json
from sandbox.world import World

ACCOUNTS = "microsoft.storage/storageaccounts"
SCOPES = "microsoft.storage/storageaccounts/encryptionscopes"
DAY = 86400  # seconds between two looks


def current(world: World, body: Json) -> Json:
    """Return a resource's body as it is now; a follower's after the looks that it has had meanwhile."""
    type_ = str(body.get("type", "")).lower()
    if type_ not in {ACCOUNTS, SCOPES}:
        return body
    if reported(body).get("keyversion"):
        return body  # a pinned account, which most are: nothing to take apart
    pointer = pointer_of(body)
    if pointer is None or pointer.version:
        return body
    looked = _looked(world)
    id_ = str(body["id"]).lower()
    last = _looks(world, id_, world.clock.time())
    before = looked.setdefault(id_, last)
    if last == before:
        return body
    looked[id_] = last
    found = _picked(world, body, pointer, since=before)
    if found is None:
        return body
    key, version, at = found
    return save(world, with_effect(body, effect(pointer, key, version, at)), at.timestamp())


def start(world: World, id_: str) -> None:
    """Note that a resource has looked just now: it looks again within a day."""
    _looked(world)[id_.lower()] = _looks(world, id_.lower(), world.clock.time())


def pointer_of(body: Json) -> Pointer | None:
    """Return where the body of an account or a scope points, or None for the platform's key."""
    properties = body.get("properties") or {}
    if str(body["type"]).lower() == SCOPES:
        return pointer_of_scope(properties)
    return pointer_of_account(properties.get("encryption") or {})


def principal_for(world: World, body: Json) -> str | None:
    """Return the principal with which an account, or a scope's account, reaches its key; None when it has none."""
    scope = str(body["type"]).lower() == SCOPES
    account = (world.resources.get(str(body["id"]).rsplit("/", 2)[0]) or {}) if scope else body
    chosen = ((account.get("properties") or {}).get("encryption") or {}).get("identity") or {}
    if chosen.get("federatedIdentityClientId"):
        return principal_of(world, str(chosen["federatedIdentityClientId"]))
    identity = account.get("identity")
    user_assigned = chosen.get("userAssignedIdentity")
    attached = list((identity or {}).get("userAssignedIdentities") or {})
    if scope and not user_assigned and len(attached) == 1 and not (identity or {}).get("principalId"):
        user_assigned = attached[0]  # an account on the platform's key has nowhere to say which one its scopes use
    return identities.principal(identity, user_assigned)


def effect(pointer: Pointer, key: Key, version: KeyVersion, at: datetime) -> Json:
    """Return the read-only members that report a version in effect since `at`."""
    return {
        "currentVersionedKeyIdentifier": pointer.identifier(key, version),
        "lastKeyRotationTimestamp": stamp(at),
        "currentVersionedKeyExpirationTimestamp": f"{version.expires:%Y-%m-%dT%H:%M:%SZ}" if version.expires else NEVER,
    }


def with_effect(body: Json, members: Json) -> Json:
    """Return the body with these read-only members; a scope reports no expiry."""
    if str(body["type"]).lower() == SCOPES:
        shown = {name: value for name, value in members.items() if name != "currentVersionedKeyExpirationTimestamp"}
        return merged(body, {"properties": {"keyVaultProperties": shown}})
    return merged(body, {"properties": {"encryption": {"keyvaultproperties": members}}})


def in_effect(body: Json) -> str:
    """Return the version that the body reports, or ""."""
    return str(reported(body).get("currentVersionedKeyIdentifier") or "").rpartition("/")[2]


def reported(body: Json) -> Json:
    """Return the part of an account's or a scope's body that names its key, or {}."""
    properties = body.get("properties") or {}
    if str(body["type"]).lower() == SCOPES:
        return properties.get("keyVaultProperties") or {}
    return (properties.get("encryption") or {}).get("keyvaultproperties") or {}


def _looked(world: World) -> dict[str, int]:
    looked: dict[str, int] = world.memory.setdefault("storage", {}).setdefault("looked", {})
    return looked


def _phase(world: World, id_: str) -> int:
    return crc32(f"{world.seed}:{id_}".encode()) % DAY


def _looks(world: World, id_: str, until: float) -> int:
    """Return the number of the last look at or before a moment."""
    return floor((until - _phase(world, id_)) / DAY)


def _picked(world: World, body: Json, pointer: Pointer, *, since: int) -> tuple[Key, KeyVersion, datetime] | None:
    """Return the newest version that a look after look number `since` has taken, and when; None: it keeps the old."""
    vault = find_vault(world, pointer.host)
    key = world.keyring.get(str(vault["name"]), pointer.name) if vault else None
    principal = principal_for(world, body)
    if key is None or key.deleted is not None or principal is None:
        return None
    id_ = str(body["id"]).lower()
    end = world.clock.time()
    for version in reversed(key.versions):
        if version.version == in_effect(body):
            return None
        # It was latest from its making until the next one's, and could wrap between its two dates.
        begin = max(version.created.timestamp(), version.not_before.timestamp() if version.not_before else 0.0)
        until = min(end, version.expires.timestamp() if version.expires else end)
        last = _looks(world, id_, until - 1e-6 if until < world.clock.time() else until)
        at = last * DAY + _phase(world, id_)
        if (
            last > since
            and at >= begin
            and accepted(key, version)
            and _could_wrap(world, pointer, version, principal, at)
        ):
            return key, version, datetime.fromtimestamp(at, UTC)
        end = min(end, version.created.timestamp())
    return None


def _could_wrap(world: World, pointer: Pointer, version: KeyVersion, principal: str, at: float) -> bool:
    problem = wrap_problem(world, pointer.host, pointer.name, version.version, principal)
    if problem == "disabled":
        return version.updated.timestamp() > at  # it was disabled after the look
    return problem in {None, "expired", "not-yet-valid"}  # the dates are judged at the look, not now
