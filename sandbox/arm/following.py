"""Followers: an account or scope that names no key version looks once a day, by its own clock, for what is latest."""

from __future__ import annotations

from datetime import datetime

from sandbox.arm import identities, looks, operations
from sandbox.arm.encryption import NEVER, Pointer, accepted, pointer_of_account, pointer_of_scope
from sandbox.arm.keyed import uses
from sandbox.arm.store import merged, save, stamp
from sandbox.identity import principal_of
from sandbox.keyring import Key, KeyVersion
from sandbox.wire import Json
from sandbox.world import World

ACCOUNTS = "microsoft.storage/storageaccounts"
SCOPES = "microsoft.storage/storageaccounts/encryptionscopes"
DAY = 86400  # seconds between two looks


def current(world: World, body: Json) -> Json:
    """Return a resource's body as it is now: what is over has ended, and a follower has had its looks."""
    id_ = str(body["id"])
    if operations.settle(world, id_):
        body = world.resources.get(id_) or body
    type_ = str(body.get("type", "")).lower()
    if type_ not in {ACCOUNTS, SCOPES}:  # while a write is under way nobody looks
        return body if operations.running(world, id_) else uses.current(world, body)
    if reported(body).get("keyversion"):
        return body  # a pinned account, which most are: nothing to take apart
    pointer = pointer_of(body)
    if pointer is None or pointer.version:
        return body
    after = looks.since(world, id_, DAY)
    principal = None if after is None else principal_for(world, body)
    if after is None or principal is None:
        return body
    found = looks.picked(world, id_, pointer, principal, accepted, in_effect(body), period=DAY, after=after)
    if found is None:
        return body
    key, version, at = found
    return save(world, with_effect(body, effect(pointer, key, version, at)), at.timestamp())


def start(world: World, id_: str) -> None:
    """Note that an account or a scope has looked just now: it looks again within a day."""
    looks.start(world, id_, DAY)


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
