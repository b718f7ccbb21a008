"""What a vault tells Event Grid about its keys."""

from __future__ import annotations

from sandbox.keyring import Key, KeyVersion
from sandbox.vault.bundles import kid, seconds
from sandbox.wire import Json
from sandbox.world import World

CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
NEAR_EXPIRY = "Microsoft.KeyVault.KeyNearExpiry"
EXPIRED = "Microsoft.KeyVault.KeyExpired"


def tell(world: World, vault: Json, host: str, key: Key, version: KeyVersion, *, type_: str) -> None:
    """Emit an event about a key version, in the casing of the wire [events.md 1]."""
    data = {
        "Id": kid(host, key, version),
        "VaultName": str(vault["name"]),
        "ObjectType": "Key",
        "ObjectName": key.name,
        "Version": version.version,
        "NBF": seconds(version.not_before) if version.not_before else None,
        "EXP": seconds(version.expires) if version.expires else None,
    }
    world.emit(str(vault["id"]), key.name, type_, data)
