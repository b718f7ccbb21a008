"""PostgreSQL flexible servers, Synapse and Databricks workspaces [services.md 2].

UNVERIFIED and refused here: leaving Databricks' keys but that of DBFS, a PATCH of theirs, Synapse's key by a PATCH of
the workspace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.arm.keyed.rules import HOUR, Finder, Keyed, Place, Use, application, at, named, refuse, system
from sandbox.arm.operations import Style
from sandbox.arm.store import merged, save
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import WRAPPING
from sandbox.wire import Json, Refused
from sandbox.world import World

_DATA = "properties.dataEncryption"
_STATUS = {"primaryKeyURI": "primaryEncryptionKeyStatus", "geoBackupKeyURI": "geoBackupEncryptionKeyStatus"}
_CMK = "properties.encryption.cmk"
SETTLED: Final = 900  # seconds that Synapse needs from one change of its active key to the next
DATABRICKS: Final = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"  # AzureDatabricks, the same application in every tenant
_ENTITIES = "properties.encryption.entities"
_DBFS = "properties.parameters.encryption.value"


def _valid(_body: Json, use: Use, _key: Key, _version: KeyVersion, _when: str) -> Json:
    return {"properties": {"dataEncryption": {_STATUS[use.place.uri]: "Valid"}}}


SERVERS = Keyed(
    places=(
        Place(
            _DATA,
            uri="primaryKeyURI",
            who=(named(".primaryUserAssignedIdentityId"),),
            when=(f"{_DATA}.type", "azurekeyvault"),
        ),
        Place(_DATA, uri="geoBackupKeyURI", who=(named(".geoBackupUserAssignedIdentityId"),)),
    ),
    busy=(409, "ServerIsBusy"),
    style=Style.ASYNC,
    state="properties.state",
    done="Ready",
    failed="Ready",
    owned=tuple(f"{_DATA}.{name}" for name in _STATUS.values()),
    on_later=False,
    off=False,
    follows=HOUR // 2,
    shows=_valid,
)


def _cleared(_world: World, new: Json) -> Json:
    """Return a server without the keys that it had, once the service's own key is asked for."""
    gone = str(at(new, f"{_DATA}.type")).lower() == "systemmanaged"
    cleared = {"type": "SystemManaged"}
    return {**new, "properties": {**new["properties"], "dataEncryption": cleared}} if gone else new


# A server that is there gets a key [azure-rest-api-specs, ServerUpdateWithBYOK] and leaves it [azure-cli, which sends
# SystemManaged]; how soon it follows is UNVERIFIED.
MYSQL = replace(
    SERVERS,
    style=Style.LOCATION,
    follows=HOUR,
    needs=(*WRAPPING, "list"),
    on_later=True,
    off=True,
    derive=_cleared,
)


def _settled(world: World, _old: Json | None, new: Json) -> None:
    """Refuse another active key before the last change of it has reached all of the workspace."""
    id_ = str(new["id"]).rsplit("/", 2)[0]
    workspace = world.resources.get(id_) or {}
    if not at(workspace, f"{_CMK}.key"):
        raise refuse(SYNAPSE_KEYS, "The workspace was not created with a customer-managed key.")
    changed = world.memory.setdefault("synapse", {}).get(id_.lower(), float("-inf"))
    other = at(new, "properties.isActiveCMK") and at(workspace, f"{_CMK}.key.name") != new["name"]
    if other and world.clock.time() < changed + SETTLED:
        raise Refused(409, "Conflict", "The active key of the workspace is being changed.")


def _activated(world: World, body: Json, use: Use, key: Key, version: KeyVersion) -> None:
    """Make a key the workspace's active one; one that is active already takes up no new version."""
    id_ = str(body["id"]).rsplit("/", 2)[0]
    workspace = world.resources.get(id_)
    active = {"name": body["name"], "keyVaultUrl": at(body, "properties.keyVaultUrl")}
    if workspace is None or not at(body, "properties.isActiveCMK") or at(workspace, f"{_CMK}.key") == active:
        return
    world.memory.setdefault("synapse", {})[id_.lower()] = world.clock.time()
    effects = world.memory.setdefault("inEffect", {}).setdefault(id_.lower(), {})
    effects[f"{_CMK}.key.keyVaultUrl"] = use.pointer.identifier(key, version)
    for child in tuple(world.resources.under(f"{id_}/keys")):
        if child["name"] != body["name"] and at(child, "properties.isActiveCMK"):
            save(world, merged(child, {"properties": {"isActiveCMK": False}}))
    save(world, merged(workspace, {"properties": {"encryption": {"cmk": {"key": active}}}}))


_KEK: Final[tuple[Finder, ...]] = (named(f"{_CMK}.kekIdentity.userAssignedIdentity"), system)

SYNAPSE = Keyed(
    places=(Place(f"{_CMK}.key", uri="keyVaultUrl", who=_KEK),),
    version="none",
    bits=(2048, 3072),
    same=("region",),
    fixed=(f"{_CMK}.key",),
    on_later=False,
    off=False,
)
SYNAPSE_KEYS = Keyed(
    places=(Place("properties", uri="keyVaultUrl", who=_KEK),),
    version="none",
    bits=(2048, 3072),
    same=("region",),
    off=False,
    state="",
    taken=_activated,
    also=(_settled,),
    above=1,
)


def _principal(path: str) -> Finder:
    return lambda _world, owner, _holder: str(at(owner, f"properties.{path}.principalId") or "") or None


def _prepared(_world: World, _old: Json | None, new: Json) -> None:
    on = tuple(use.place.at for use in BRICKS.uses(new))
    if on and str(at(new, "sku.name")).lower() != "premium":
        raise refuse(BRICKS, "Customer-managed keys need a premium workspace.")
    if _DBFS in on and at(new, "properties.parameters.prepareEncryption.value") is not True:
        raise refuse(BRICKS, "A key for DBFS needs prepareEncryption.")


def _entity(name: str, who: Finder) -> Place:
    return Place(
        f"{_ENTITIES}.{name}.keyVaultProperties",
        who=(who,),
        when=(f"{_ENTITIES}.{name}.keySource", "microsoft.keyvault"),
    )


BRICKS = Keyed(
    places=(
        _entity("managedServices", application(DATABRICKS)),
        _entity("managedDisk", _principal("managedDiskIdentity")),
        Place(
            _DBFS,
            split=("keyvaulturi", "KeyName", "keyversion"),
            who=(_principal("storageAccountIdentity"),),
            when=(f"{_DBFS}.keySource", "microsoft.keyvault"),
            off=True,  # [azure-rest-api-specs databricks 2024-05-01, example DisableEncryption]
        ),
    ),
    version="pinned",
    style=Style.ASYNC,
    patch=("properties", ()),
    owned=tuple(
        f"properties.{name}"
        for name in (
            *("workspaceId", "workspaceUrl", "createdDateTime", "isUcEnabled", "diskEncryptionSetId"),
            *("managedDiskIdentity", "storageAccountIdentity", "privateEndpointConnections"),
        )
    ),
    fixed=("properties.managedResourceGroupId",),
    off=False,
    follows=HOUR,
    auto=lambda body, use: (
        "managedDisk" in use.slot and at(body, f"{_ENTITIES}.managedDisk.rotationToLatestKeyVersionEnabled") is True
    ),
    also=(_prepared,),
)
