"""Keys that come from elsewhere: imported as a JSON web key, or restored from a backup.

Sources: learn rest/api/keyvault/keys/import-key, backup-key, restore-key (7.4). A backup holds a key with all its
versions, and only a vault of the same Azure takes it; here that is the world that made it.
"""

from __future__ import annotations

import base64
import binascii
from copy import deepcopy
from typing import Any

from sandbox.keyring import ALL_OPERATIONS, Key
from sandbox.vault import events, keys, refusals
from sandbox.vault.access import host_of
from sandbox.vault.bundles import base64url
from sandbox.wire import Json
from sandbox.world import World


def take(world: World, key: Key) -> Json:
    """Return the backup of a key: a value that only this world can read."""
    token = world.new_id()
    _taken(world)[token] = deepcopy(key)
    return {"value": base64url(f"sandbox backup {token}".encode())}


def restore(world: World, vault: Json, body: Json) -> Key:
    """Put a key back under its name, with all its versions; a name that is taken raises Refused 409."""
    token = _decoded(body.get("value"), "value").decode("utf-8", "replace").rpartition(" ")[2]
    known = _taken(world).get(token)
    if known is None:
        raise refusals.bad("The backup blob is invalid.")
    if keys.lookup(world, vault, known.name) is not None:
        raise refusals.Refused(409, "Conflict", f"Key {known.name} already exists in this vault.")
    key = deepcopy(known)
    key.vault, key.deleted = str(vault["name"]).lower(), None
    world.keyring.add(key)
    return key


def import_(world: World, vault: Json, name: str, body: Json) -> Key:
    """Make a version of the public numbers of an RSA key; the private ones are not kept. Tells Event Grid."""
    material: Any = body.get("key")
    if not isinstance(material, dict) or material.get("kty") not in {"RSA", "RSA-HSM"}:
        raise refusals.bad("The sandbox imports RSA keys only.")
    modulus = _decoded(material.get("n"), "n")
    kty = "RSA-HSM" if body.get("hsm") else str(material["kty"])
    sent = {"kty": kty, "key_size": len(modulus) * 8, "attributes": body.get("attributes"), "tags": body.get("tags")}
    sent["key_ops"] = material.get("key_ops") or ALL_OPERATIONS
    key, version = keys.made(world, vault, name, sent)
    version.modulus = modulus
    events.tell(world, vault, host_of(vault), key, version, type_=events.CREATED)
    return key


def _taken(world: World) -> dict[str, Key]:
    taken: dict[str, Key] = world.memory.setdefault("vault", {}).setdefault("backups", {})
    return taken


def _decoded(text: object, name: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(str(text or "") + "=" * (-len(str(text or "")) % 4))
    except (binascii.Error, ValueError) as error:
        raise refusals.bad(f"Property {name} is not base64url.") from error
