"""Registries, Automation, Batch, App Configuration, Data Explorer, Log Analytics and Data Factory [services.md 2].

How soon followers look is UNVERIFIED but for registries and stores (within the hour); so are the codes of refusals.
"""

from __future__ import annotations

from typing import Final

from sandbox.arm.keyed.rules import DAY, HOUR, Keyed, Place, Use, attached, client, named, nested, system
from sandbox.arm.operations import Style
from sandbox.arm.store import merged
from sandbox.keyring import Key, KeyVersion
from sandbox.wire import Json
from sandbox.world import World

_ENCRYPTION: Final = "properties.encryption"
_KEY: Final = f"{_ENCRYPTION}.keyVaultProperties"


def _registrys(world: World, owner: Json, holder: Json) -> str | None:
    """Find the identity by its client id, or by the word for the system-assigned one [azure-cli acr/custom.py]."""
    return None if str(holder.get("identity")).lower() == "system" else client("identity")(world, owner, holder)


def _shows(_body: Json, use: Use, key: Key, version: KeyVersion, when: str) -> Json:
    shown: Json = {"versionedKeyIdentifier": use.pointer.identifier(key, version), "lastKeyRotationTimestamp": when}
    return {"properties": {"encryption": {"keyVaultProperties": shown}}}


def _endpoint(_world: World, new: Json) -> Json:
    return merged(new, {"properties": {"endpoint": f"https://{str(new['name']).lower()}.azconfig.io"}})


def _rotating(_world: World, new: Json) -> Json:
    rotates = [not use.pointer.version for use in REGISTRIES.uses(new)]
    return merged(new, nested(f"{_KEY}.keyRotationEnabled", rotates[0])) if rotates else new


REGISTRIES: Final = Keyed(
    places=(Place(_KEY, uri="keyIdentifier", who=(_registrys, system), when=(f"{_ENCRYPTION}.status", "enabled")),),
    style=Style.MADE,
    owned=tuple(f"{_KEY}.{name}" for name in ("versionedKeyIdentifier", "lastKeyRotationTimestamp")),
    on_later=False,
    off=False,
    follows=HOUR,
    shows=_shows,
    shown=f"{_KEY}.versionedKeyIdentifier",
    derive=_rotating,
)

AUTOMATION: Final = Keyed(
    places=(
        Place(
            _KEY,
            split=("keyvaultUri", "keyName", "keyVersion"),
            who=(named(f"{_ENCRYPTION}.identity.userAssignedIdentity"), system),
            when=(f"{_ENCRYPTION}.keySource", "microsoft.keyvault"),
        ),
    ),
    version="pinned",
    state="",
)

BATCH: Final = Keyed(
    places=(Place(_KEY, uri="keyIdentifier", who=(system,), when=(f"{_ENCRYPTION}.keySource", "microsoft.keyvault")),),
    on_later=False,
    follows=DAY,
    made=200,
)

STORES: Final = Keyed(
    places=(Place(_KEY, uri="keyIdentifier", who=(client("identityClientId"), system)),),
    style=Style.MADE,
    follows=HOUR,
    derive=_endpoint,
)

_CLUSTER: Final = "properties.keyVaultProperties"
KUSTO: Final = Keyed(
    places=(Place(_CLUSTER, who=(named(".userIdentity"), system)),),
    bits=(2048,),
    same=("region",),
    style=Style.ASYNC,
    follows=DAY,
)
# A cluster has one identity or the other, never both [azure-docs azure-monitor/logs/customer-managed-keys].
LOGS: Final = Keyed(places=(Place(_CLUSTER, who=(attached, system)),), same=("region",), style=Style.ASYNC, follows=DAY)

FACTORIES: Final = Keyed(
    places=(
        Place(
            _ENCRYPTION,
            split=("vaultBaseUrl", "keyName", "keyVersion"),
            who=(named(".identity.userAssignedIdentity"), system),
        ),
    ),
    bits=(2048,),
    same=("region",),
    patch=("properties", ()),
    made=200,
    owned=("properties.createTime", "properties.version"),
    off=False,
    follows=DAY,
    etag=True,
)
