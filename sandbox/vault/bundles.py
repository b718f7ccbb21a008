"""How the data plane writes keys: bundles, attributes, list items. Times are whole seconds since the epoch."""

from __future__ import annotations

import base64
import random
from datetime import datetime, timedelta

from sandbox.keyring import Key, KeyVersion
from sandbox.wire import Json
from sandbox.world import World

CURVES = {256: "P-256", 384: "P-384", 521: "P-521"}
FULL_RETENTION = 90  # days; less is written as "Customized..."


def seconds(moment: datetime) -> int:
    """Return whole seconds since the epoch."""
    return int(moment.timestamp())


def base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def kid(host: str, key: Key, version: KeyVersion | None = None) -> str:
    """Return the id of a version, or of the key as such."""
    base = f"https://{host}/keys/{key.name}"
    return f"{base}/{version.version}" if version else base


def retention(vault: Json) -> int:
    """Return for how many days a deleted key can be recovered."""
    return int((vault.get("properties") or {}).get("softDeleteRetentionInDays") or FULL_RETENTION)


def attributes(vault: Json, key: Key, version: KeyVersion) -> Json:
    """Return a version's attributes."""
    properties = vault.get("properties") or {}
    found: Json = {"enabled": version.enabled}
    if version.not_before is not None:
        found["nbf"] = seconds(version.not_before)
    if version.expires is not None:
        found["exp"] = seconds(version.expires)
    found |= {"created": seconds(version.created), "updated": seconds(version.updated)}
    if properties.get("enableSoftDelete") is False:
        found["recoveryLevel"] = "Purgeable"
    else:
        level = "Recoverable" if properties.get("enablePurgeProtection") else "Recoverable+Purgeable"
        days = retention(vault)
        found["recoveryLevel"] = level if days == FULL_RETENTION else f"Customized{level}"
        found["recoverableDays"] = days
    return found | {"exportable": False, "hsmPlatform": "2" if key.kty_of(version).endswith("-HSM") else "0"}


def bundle(world: World, vault: Json, host: str, key: Key, version: KeyVersion) -> Json:
    """Return a version as GET shows it. The numbers in it look right and belong to no private key."""
    material: Json = {"kid": kid(host, key, version), "kty": key.kty_of(version), "key_ops": list(version.operations)}
    if key.kty_of(version).startswith("EC"):
        bits = key.bits_of(version)
        size = (bits + 7) // 8
        point = _modulus(world, version, size * 16)
        material |= {"crv": CURVES[bits], "x": base64url(point[:size]), "y": base64url(point[size:])}
    else:
        material |= {"n": base64url(_modulus(world, version, key.bits_of(version))), "e": "AQAB"}
    return {"key": material, **_rest(vault, key, version)}


def item(vault: Json, host: str, key: Key, version: KeyVersion | None = None) -> Json:
    """Return a line of a list: of a version, or of a key with its latest version's attributes. No type, no size."""
    return {"kid": kid(host, key, version), **_rest(vault, key, version or key.latest)}


def deleted(vault: Json, host: str, key: Key) -> Json:
    """Return what a deleted key carries beside its bundle or list item; raises ValueError for a key that is not."""
    if key.deleted is None:
        raise ValueError(f"{key.name} is not deleted")
    end = key.deleted + timedelta(days=retention(vault))
    return {
        "recoveryId": f"https://{host}/deletedkeys/{key.name}",
        "deletedDate": seconds(key.deleted),
        "scheduledPurgeDate": seconds(end),
    }


def _rest(vault: Json, key: Key, version: KeyVersion) -> Json:
    found: Json = {"attributes": attributes(vault, key, version), "tags": dict(version.tags)}
    return found | {"managed": True} if key.managed else found


def _modulus(world: World, version: KeyVersion, bits: int) -> bytes:
    if len(version.modulus) * 8 != bits:
        # By seed and version, not from the world's sequence: reading a key must not change what comes next.
        drawn = bytearray(random.Random(f"{world.seed}: {version.version}").randbytes(bits // 8))
        drawn[0] |= 0x80
        drawn[-1] |= 0x01
        version.modulus = bytes(drawn)
    return version.modulus
