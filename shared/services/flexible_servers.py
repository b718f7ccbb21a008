"""PostgreSQL and MySQL flexible servers: a key for the data and perhaps one for geo-redundant backups. Facts:
services.md 2 (docs/sources.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request
from shared.domain.service import Can, Service, Settled, Traits, Verb
from shared.domain.vault import ENCRYPTION_USER, Access
from shared.services.pointers import aimed, forward, identifier_as_written, patch
from shared.services.taken_for_granted import FOLLOWING

POSTGRESQL_VERSION = "2026-10-01"  # [SDK azure-mgmt-postgresqlflexibleservers 3.0.0]
MYSQL_VERSION = "2024-12-30"  # [SDK azure-mgmt-mysqlflexibleservers 1.0.0]

PRIMARY, GEO = "primary", "geoBackup"
_MEMBERS = {  # by slot: the key, the identity, and whether the key lies in another tenant
    PRIMARY: ("primaryKeyURI", "primaryUserAssignedIdentityId", "primaryFederatedIdentityClientId"),
    GEO: ("geoBackupKeyURI", "geoBackupUserAssignedIdentityId", ""),
}
_READ_ONLY = ("primaryEncryptionKeyStatus", "geoBackupEncryptionKeyStatus")
_STOPPED = {"disabled", "dropping", "inaccessible", "stopped"}  # nothing can be changed until somebody acts

_POSTGRESQL = (
    "SDK azure-mgmt-postgresqlflexibleservers 3.0.0 (names, verbs, api-version)",
    "learn postgresql/flexible-server/concepts-data-encryption (chosen at creation, key types, identities)",
    "techcommunity adforpostgresql 2025-05-19, automatic key version updates (an identifier without a version follows)",
)


def _read(body: Json) -> tuple[KeyUse, ...]:
    data = lookup(body, "properties", "dataEncryption")
    if text(lookup(data, "type")).lower() != "azurekeyvault":
        return ()
    found = []
    for slot, (key, _, tenant) in _MEMBERS.items():
        written = text(lookup(data, key))
        if written or slot == PRIMARY:
            configured = parse_key_url(written)
            foreign = bool(tenant and text(lookup(data, tenant)))
            found.append(KeyUse(slot, configured, configured.version is None, tenant_is_foreign=foreign))
    return tuple(found)


def _writer(api_version: str) -> Callable[[Json, tuple[Edit, ...]], tuple[Request, ...]]:
    def write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
        before = lookup(body, "properties", "dataEncryption")
        data = without(before if isinstance(before, dict) else {}, *_READ_ONLY)
        for change in forward(edits):
            key, identity, _ = _MEMBERS[change.slot]
            data = replaced(data, key, identifier_as_written(text(lookup(data, key)), aimed(change)))
            if change.identity:
                data = replaced(data, identity, change.identity)
        return (patch(body, api_version, {"properties": {"dataEncryption": data}}),)

    return write


def _settled(body: Json) -> Settled:
    state = text(lookup(body, "properties", "state")).lower()
    if state in {"", "ready"}:
        return Settled.READY
    return Settled.FAILED if state in _STOPPED else Settled.BUSY


_CHOSEN = {Verb.ENABLE: Reason.CHOSEN_AT_CREATION, Verb.REVERT: Reason.NO_WAY_BACK}
_PAIRED = "The key for geo-redundant backups lies in the paired region and has an identity of its own."


def _servers(type_: str, api_version: str, traits: Traits) -> Service:
    actions = (f"{type_}/read", f"{type_}/write")
    traits = replace(traits, actions=actions)
    return Service(type_, api_version, traits, _read, _writer(api_version), settled=_settled)


_TRAITS = replace(
    FOLLOWING,
    picks_up_within=timedelta(hours=2),
    keep_old_for=timedelta(hours=2),
    sources=_POSTGRESQL,
    can={**dict.fromkeys(Verb, Can.YES), **_CHOSEN},
    notes=(
        (
            "New versions are in use after 30 minutes at most places, after two hours everywhere: keep the old version "
            "as long."
        ),
        _PAIRED,
        (
            "A server that is stopped or cannot reach its key takes no change. Start it, or repair its access and have "
            "the key revalidated."
        ),
    ),
)

_MYSQL_TRAITS = replace(
    _TRAITS,
    picks_up_within=timedelta(hours=24),
    keep_old_for=timedelta(hours=24),
    sources=(
        "SDK azure-mgmt-mysqlflexibleservers 1.0.0 (names, verbs, api-version)",
        "learn mysql/flexible-server/concepts-customer-managed-key (identities; get, list, wrapKey, unwrapKey)",
    ),
    can={
        **dict.fromkeys(Verb, Can.YES),
        Verb.FOLLOW: Can.UNVERIFIED,
        Verb.ENABLE: Reason.CANNOT,
        Verb.REVERT: Reason.CANNOT,
    },
    access=Access(ENCRYPTION_USER, ("get", "list", "wrapKey", "unwrapKey")),
    notes=(
        "That an identifier without a version follows is not documented; how soon, and key sizes, neither.",
        "A server may begin and end to use a key (type SystemManaged), by a request that is not documented: by hand.",
        _PAIRED,
    ),
)

SERVICES = (
    _servers("Microsoft.DBforPostgreSQL/flexibleServers", POSTGRESQL_VERSION, _TRAITS),
    _servers("Microsoft.DBforMySQL/flexibleServers", MYSQL_VERSION, _MYSQL_TRAITS),
)
