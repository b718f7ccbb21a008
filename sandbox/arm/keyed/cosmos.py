"""Microsoft.DocumentDB/databaseAccounts [services.md 1.8].

A URI with a version is refused [azure-docs issue 70179]; another vault is UNVERIFIED and refused here. A second write
meanwhile is 412, not 409: the account's operations take an exclusive lock (Azure/azure-service-operator and others
report the code and its words).
"""

from __future__ import annotations

from typing import Final

from sandbox.arm import identities
from sandbox.arm.keyed.rules import DAY, Keyed, Place, Use, application, at, refuse
from sandbox.arm.operations import Style
from sandbox.arm.store import merged
from sandbox.keyring import Key, KeyVersion
from sandbox.wire import Json
from sandbox.world import World

APPLICATION: Final = "a232010e-820c-4083-83bb-3ace5fc29d0b"  # Azure Cosmos DB; its object id is the tenant's own
_FIRST_PARTY = "firstpartyidentity"
_CANNOT = {"EnableCassandra": "Cassandra accounts", "EnableNoSQLVectorSearch": "accounts with vector search"}


def _default(world: World, owner: Json, holder: Json) -> str | None:
    kind, _, id_ = str(at(owner, "properties.defaultIdentity") or _FIRST_PARTY).partition("=")
    if kind.lower() == _FIRST_PARTY:
        return application(APPLICATION)(world, owner, holder)
    return identities.principal(owner.get("identity"), id_ or None) or ""


def _may_begin(_world: World, old: Json | None, new: Json) -> None:
    """Refuse a first key for accounts that cannot get one once they exist."""
    if old is None or at(old, "properties.keyVaultKeyUri") or not at(new, "properties.keyVaultKeyUri"):
        return
    for one in at(new, "properties.capabilities") or ():
        if one.get("name") in _CANNOT:
            raise refuse(ACCOUNTS, f"Customer-managed keys cannot be enabled on existing {_CANNOT[one['name']]}.")
    lasting = str(at(new, "properties.backupPolicy.type")).lower() == "continuous"
    first = str(at(new, "properties.defaultIdentity") or _FIRST_PARTY).lower() == _FIRST_PARTY
    if first and (lasting or at(new, "properties.enableAnalyticalStorage")):
        raise refuse(ACCOUNTS, "Continuous backup and analytical storage need a managed identity as defaultIdentity.")


def _completed(_world: World, new: Json) -> Json:
    """Fill in what every account has: az reads it before it updates one."""
    level = {"defaultConsistencyLevel": "Session", "maxIntervalInSeconds": 5, "maxStalenessPrefix": 100}
    return merged({"properties": {"consistencyPolicy": level}}, new)


def _shows(_body: Json, _use: Use, _key: Key, version: KeyVersion, _when: str) -> Json:
    status = "Access to your account is currently active"
    return {"properties": {"keyVaultKeyUriVersion": version.version, "customerManagedKeyStatus": status}}


ACCOUNTS = Keyed(
    places=(Place("properties", uri="keyVaultKeyUri", who=(_default,)),),
    version="none",
    same=("vault",),
    access="Forbidden",
    busy=(412, "PreconditionFailed"),
    style=Style.ECHO,
    word="Dequeued",
    owned=tuple(
        f"properties.{name}" for name in ("keyVaultKeyUriVersion", "customerManagedKeyStatus", "documentEndpoint")
    ),
    off=False,
    follows=DAY,
    shows=_shows,
    shown="properties.keyVaultKeyUriVersion",
    also=(_may_begin,),
    derive=_completed,
    made=200,
)
