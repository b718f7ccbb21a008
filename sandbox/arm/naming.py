"""Names of members: services take them in any case and show them as their model spells them.

A provider's own people say that their endpoints tell no case apart [azure-sdk-for-python pull request 1805], and the
servers take what differs from the specification [azure-rest-api-specs pull request 581]. What people name themselves
stays as it is: entries of a dictionary are told apart by case [azure-powershell issue 1221].
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sandbox.arm.keyed.table import TABLE
from sandbox.wire import Json

_FREE: Final = frozenset({"tags", "userassignedidentities"})
_ENVELOPE: Final = (
    *("id", "name", "type", "location", "kind", "managedBy", "tags", "sku.name", "properties.provisioningState"),
    *(f"identity.{name}" for name in ("type", "principalId", "tenantId", "userAssignedIdentities")),
)
_SHOWN: Final = ("currentVersionedKeyIdentifier", "lastKeyRotationTimestamp", "currentVersionedKeyExpirationTimestamp")
_OTHERS: Final = {
    "microsoft.storage/storageaccounts": (
        "properties.encryption.keySource",
        *(
            f"properties.encryption.keyvaultproperties.{name}"
            for name in ("keyvaulturi", "keyname", "keyversion", *_SHOWN)
        ),
        *(f"properties.encryption.identity.{name}" for name in ("userAssignedIdentity", "federatedIdentityClientId")),
        *(f"properties.encryption.services.{name}" for name in ("blob", "file", "queue", "table")),
    ),
    "microsoft.storage/storageaccounts/encryptionscopes": (
        *("properties.source", "properties.state"),
        *(f"properties.keyVaultProperties.{name}" for name in ("keyUri", *_SHOWN[:2])),
    ),
    "microsoft.keyvault/vaults": (
        *(f"properties.accessPolicies[].{name}" for name in ("tenantId", "objectId", "applicationId", "permissions")),
        *(f"properties.networkAcls.{name}" for name in ("bypass", "defaultAction", "ipRules", "virtualNetworkRules")),
        *(f"properties.enable{name}" for name in ("PurgeProtection", "RbacAuthorization", "SoftDelete")),
        *("properties.publicNetworkAccess", "properties.softDeleteRetentionInDays", "properties.tenantId"),
        *("properties.sku.name", "properties.sku.family", "properties.vaultUri"),
    ),
}


@cache
def model(type_: str) -> Json:
    """Return an object with the members of a type that the sandbox knows, as the service spells them."""
    found: Json = {}
    for path in (*_ENVELOPE, *_paths(type_.lower())):
        _put(found, path.split("."))
    return found


def spelled(sent: Any, *likes: Any) -> Any:
    """Return JSON with its members named as the first of these has them; what none of them has stays as it is."""
    if isinstance(sent, list):
        inner = [one for like in likes if isinstance(like, list) for one in like[:1]]
        return [spelled(one, *inner) for one in sent]
    if not isinstance(sent, dict):
        return sent
    objects: list[Json] = [like for like in likes if isinstance(like, dict)]
    known = {one.lower(): one for like in reversed(objects) for one in like}
    found: Json = {}
    for written, value in sent.items():
        name: str = known.get(written.lower()) or written
        inner = [like.get(name) for like in objects]
        found[name] = value if name.lower() in _FREE else spelled(value, *inner)
    return found


def _paths(type_: str) -> tuple[str, ...]:
    rule = TABLE.get(type_)
    if rule is None:
        return _OTHERS.get(type_, ())
    held = [
        f"{place.at}.{name}"
        for place in rule.places
        for name in ((place.uri,) if place.uri else (*place.split, "identityClientId"))
    ]
    switches = [place.when[0] for place in rule.places]
    return tuple(path for path in (*held, *switches, rule.state, rule.shown, *rule.owned, *rule.fixed) if path)


def _put(found: Json, path: list[str]) -> None:
    name, *rest = path
    listed = name.endswith("[]")
    inner = found.setdefault(name.removesuffix("[]"), [{}] if listed else {})
    if rest:
        _put(inner[0] if isinstance(inner, list) else inner, rest)
