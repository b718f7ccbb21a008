"""Databricks workspaces: a key each for managed services, managed disks and the DBFS root, in two spellings. Facts:
services.md 2 (docs/sources.md).

PATCH changes tags only, so the whole workspace is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, text
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Follow, May, Service, Verb
from shared.services.applications import DATABRICKS
from shared.services.pointers import Split, forward, nested, put, writable
from shared.services.taken_for_granted import PINNED

API_VERSION = "2026-01-01"  # [SDK azure-mgmt-databricks 3.0.0]

SERVICES_KEY, DISK, DBFS = "managedServices", "managedDisk", "dbfs"
_FLAG = "rotationToLatestKeyVersionEnabled"
_READ_ONLY = (
    "id",
    "name",
    "type",
    "systemData",
    "properties.createdDateTime",
    "properties.diskEncryptionSetId",
    "properties.isUcEnabled",
    "properties.managedDiskIdentity",
    "properties.privateEndpointConnections",
    "properties.provisioningState",
    "properties.storageAccountIdentity",
    "properties.workspaceId",
    "properties.workspaceUrl",
)

_SOURCES = (
    "SDK azure-mgmt-databricks 3.0.0 (names, verbs, api-version, what is read-only; PATCH takes tags)",
    "learn databricks/security/keys/cmk-managed-services-azure (rotation; keep the old key 24 hours; Premium)",
    "learn databricks/security/keys/cmk-managed-disks-azure, cmk-dbfs-azure (the other two)",
    "azure-rest-api-specs databricks 2024-05-01, example DisableEncryption (the DBFS root goes back)",
    "azure-compute-docs disk-encryption 2026-04 (an encryption set rotates by itself within an hour)",
)


class _Place(Struct, frozen=True):
    """Where a key stands: the object with its source, and the object that names it."""

    source: tuple[str, ...]
    holder: tuple[str, ...]
    key: Split = Split()


def _entity(name: str) -> _Place:
    above = ("properties", "encryption", "entities", name)
    return _Place(above, (*above, "keyVaultProperties"))


_VALUE = ("properties", "parameters", "encryption", "value")
_PLACES = {
    SERVICES_KEY: _entity("managedServices"),
    DISK: _entity("managedDisk"),
    DBFS: _Place(_VALUE, _VALUE, Split("keyvaulturi", "KeyName", "keyversion")),
}


def _read(body: Json) -> tuple[KeyUse, ...]:
    found = []
    for slot, place in _PLACES.items():
        if text(lookup(body, *place.source, "keySource")).lower() == "microsoft.keyvault":
            configured = place.key.read(lookup(body, *place.holder))
            follows = slot == DISK and lookup(body, *place.source, _FLAG) is True
            found.append(KeyUse(slot, configured, follows))
    return tuple(found)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    sent = writable(body, _READ_ONLY)
    for edit in edits:
        place = _PLACES[edit.slot]
        if isinstance(edit, Revert) and edit.slot == DBFS:
            sent = nested(sent, place.holder, {"keySource": "Default"})  # [example DisableEncryption]
            continue
        (change,) = forward((edit,))
        sent = nested(sent, place.holder, place.key.pointing(lookup(sent, *place.holder), change.to))
        if text(lookup(sent, *place.source, "keySource")).lower() != "microsoft.keyvault":
            sent = nested(sent, (*place.source, "keySource"), "Microsoft.Keyvault")
        if change.slot == DISK and change.follow is not (lookup(sent, *place.source, _FLAG) is True):
            sent = nested(sent, (*place.source, _FLAG), change.follow)
    return (put(body, API_VERSION, sent),)


def _tier(body: Json) -> str:
    sku = text(lookup(body, "sku", "name"))
    return f"its tier is {sku}; a key takes Premium" if sku.lower() == "standard" else ""


def _shown(identity: str) -> Callable[[Json], str]:
    """Return what reads the object id of an identity of the workspace's managed resources."""
    return lambda body: text(lookup(body, "properties", identity, "principalId")).lower()


_TRAITS = replace(
    PINNED,
    actions=("Microsoft.Databricks/workspaces/read", "Microsoft.Databricks/workspaces/write"),
    sources=_SOURCES,
    can={
        Verb.REPOINT: Can.YES,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Can.UNVERIFIED,
        Verb.FOLLOW: Reason.NEVER_FOLLOWS,
        Verb.PIN: Can.YES,
        Verb.ENABLE: Can.YES,
        Verb.REVERT: Reason.CANNOT,
    },
    needs=frozenset({May.PUT}),
    acts=Acting(application=DATABRICKS.id),
    irreversible=frozenset({Verb.ENABLE}),  # whether it is: unverified
    applications=(DATABRICKS,),
    notes=(
        (
            "Azure's own application reaches the key of managed services; the keys of disks and the DBFS root are "
            "reached by identities that the workspace shows (managedDiskIdentity, storageAccountIdentity)."
        ),
        "Three slots: managedServices, managedDisk and dbfs. Only managedDisk can follow.",
        (
            "The whole workspace is sent, so disks that rotate by themselves get the newest version named with it: the "
            "one that the workspace names may be one that they have left."
        ),
        "Data that managed services hold is not encrypted anew: new writes use the new version.",
        (
            "A key for the DBFS root needs prepareEncryption first, and is the only one with a documented way back to "
            "the platform's key; for the other two the app has no request."
        ),
        "Running clusters keep the disk key that they started with until they are started again.",
    ),
)

_DISK_TRAITS = replace(
    _TRAITS,
    follow=Follow.BY_FLAG,
    picks_up_within=timedelta(hours=1),
    applications=(),
    acts=Acting(shown=_shown("managedDiskIdentity")),
    can={**_TRAITS.can, Verb.FOLLOW: Can.YES},
)

_DBFS_TRAITS = replace(
    _TRAITS,
    applications=(),
    acts=Acting(shown=_shown("storageAccountIdentity")),
    can={**_TRAITS.can, Verb.REVERT: Can.YES},
    irreversible=frozenset(),
)

SERVICES = (
    Service(
        type="Microsoft.Databricks/workspaces",
        api_version=API_VERSION,
        traits=_TRAITS,
        read=_read,
        write=_write,
        slots={SERVICES_KEY: _TRAITS, DISK: _DISK_TRAITS, DBFS: _DBFS_TRAITS},
        main_slot=SERVICES_KEY,
        incapable=_tier,
    ),
)
