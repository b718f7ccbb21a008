"""What changes keys: create, rotate, update, delete, recover, purge. Every change that Azure refuses raises Refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.keyring import ALL_OPERATIONS, Key, KeyVersion
from sandbox.vault import events, policy, refusals
from sandbox.vault.access import host_of
from sandbox.vault.bundles import CURVES, retention
from sandbox.wire import Json
from sandbox.world import World

NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
RSA_SIZES = (2048, 3072, 4096)
EC_OPERATIONS = ("sign", "verify")


def lookup(world: World, vault: Json, name: str) -> Key | None:
    """Return the key, deleted or not; a deleted one whose retention has passed is purged now and gone."""
    key = world.keyring.get(str(vault["name"]), name)
    if key is None or not key.versions:
        return None
    if key.deleted is not None and key.deleted + timedelta(days=retention(vault)) <= world.now():
        world.keyring.remove(key.vault, key.name)
        return None
    return key


def living(world: World, vault: Json, name: str) -> Key:
    """Return a key that is not deleted; raises Refused 404 KeyNotFound."""
    key = lookup(world, vault, name)
    if key is None or key.deleted is not None:
        raise refusals.key_missing(name)
    return key


def buried(world: World, vault: Json, name: str) -> Key:
    """Return a deleted key; raises Refused 404 KeyNotFound."""
    key = lookup(world, vault, name)
    if key is None or key.deleted is None:
        message = f"Deleted Key not found: {name}"
        raise refusals.Refused(404, "KeyNotFound", message)
    return key


def create(world: World, vault: Json, name: str, body: Json) -> Key:
    """Make a key, or a new version of one that exists; tells Event Grid."""
    key, version = made(world, vault, name, body)
    events.tell(world, vault, host_of(vault), key, version, type_=events.CREATED)
    return key


def made(world: World, vault: Json, name: str, body: Json) -> tuple[Key, KeyVersion]:
    """Make a key, or a new version of one that exists, as a body asks; tells nobody."""
    if not NAME.fullmatch(name):
        raise refusals.bad(f"The request URI contains an invalid name: {name}")
    kty, bits = _material(body)
    key = lookup(world, vault, name)
    if key is not None and key.deleted is not None:
        raise refusals.name_is_held(name)
    if key is not None and key.managed:
        raise refusals.managed("create")
    now = world.now()
    operations = tuple(body.get("key_ops") or (EC_OPERATIONS if kty.startswith("EC") else ALL_OPERATIONS))
    version = KeyVersion(world.new_version(), now, now, operations=operations, tags=dict(body.get("tags") or {}))
    _set_attributes(version, body.get("attributes") or {})
    if key is None:
        key = Key(str(vault["name"]).lower(), name, kty, bits)
        world.keyring.add(key)
    elif (key.kty, key.bits) != (kty, bits):
        for older in key.versions:
            older.kty, older.bits = key.kty_of(older), key.bits_of(older)
        key.kty, key.bits = kty, bits
    key.versions.append(version)
    return key, version


def rotate(world: World, vault: Json, key: Key) -> KeyVersion:
    """Make a new version like the latest one; it expires as the rotation policy says. Tells Event Grid."""
    if key.managed:
        raise refusals.managed("rotate")
    if not key.latest.enabled:
        raise refusals.not_in_state("rotate", "disabled")
    now, last = world.now(), key.latest
    version = KeyVersion(world.new_version(), now, now, operations=last.operations, tags=dict(last.tags))
    version.kty, version.bits = last.kty, last.bits
    version.expires = policy.expiry_of(key, now)
    key.versions.append(version)
    events.tell(world, vault, host_of(vault), key, version, type_=events.CREATED)
    return version


def update(world: World, key: Key, version: KeyVersion, body: Json) -> None:
    """Change a version's attributes, operations and tags: only what the body names."""
    if key.managed:
        raise refusals.managed("update")
    _set_attributes(version, body.get("attributes") or {})
    if body.get("key_ops") is not None:
        version.operations = tuple(body["key_ops"])
    if body.get("tags") is not None:
        version.tags = dict(body["tags"])
    version.updated = world.now()


def delete(world: World, vault: Json, key: Key) -> None:
    """Delete a key: recoverable, unless the vault has no soft delete."""
    if key.managed:
        raise refusals.managed("delete")
    key.deleted = world.now()
    if (vault.get("properties") or {}).get("enableSoftDelete") is False:
        world.keyring.remove(key.vault, key.name)


def purge(world: World, vault: Json, key: Key) -> None:
    """Remove a deleted key for good; a vault with purge protection refuses with 403."""
    if (vault.get("properties") or {}).get("enablePurgeProtection"):
        why = "purge protection is enabled for this vault"
        then = "Key Vault service will automatically purge it after the retention period has passed"
        raise refusals.Refused(403, "Forbidden", f'Operation "purge" is not allowed because {why}. {then}.')
    world.keyring.remove(key.vault, key.name)


def _material(body: Json) -> tuple[str, int]:
    kty = str(body.get("kty") or "")
    if kty in {"RSA", "RSA-HSM"}:
        bits = body.get("key_size") or RSA_SIZES[0]
        if bits not in RSA_SIZES:
            raise refusals.bad(f"Key size {bits} is not supported; use one of {', '.join(map(str, RSA_SIZES))}.")
        return kty, int(bits)
    if kty in {"EC", "EC-HSM"}:
        curve = body.get("crv") or CURVES[256]
        for bits, name in CURVES.items():
            if name == curve:
                return kty, bits
        raise refusals.bad(f"The curve {curve} is not supported.")
    raise refusals.bad(f"Property kty has the invalid value '{kty}'.")


def _set_attributes(version: KeyVersion, attributes: Json) -> None:
    wanted = {name: _moment(name, attributes[name]) for name in ("nbf", "exp") if attributes.get(name) is not None}
    not_before, expires = wanted.get("nbf", version.not_before), wanted.get("exp", version.expires)
    if not_before is not None and expires is not None and expires <= not_before:
        raise refusals.bad("Property attributes.exp must be later than attributes.nbf.")
    version.not_before, version.expires = not_before, expires
    if attributes.get("enabled") is not None:
        version.enabled = bool(attributes["enabled"])


def _moment(name: str, value: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise refusals.bad(f"Property attributes.{name} is not a number of seconds.") from error
