"""PostgreSQL and MySQL flexible servers: a key for the data and perhaps one for geo-redundant backups. Facts:
services.md 2 (docs/sources.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Service, Settled, Verb
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
_BY_VAULT = "AzureKeyVault"
_READ_ONLY = ("primaryEncryptionKeyStatus", "geoBackupEncryptionKeyStatus")
_STOPPED = {"disabled", "dropping", "inaccessible", "stopped"}  # nothing can be changed until somebody acts

_POSTGRESQL = (
    "SDK azure-mgmt-postgresqlflexibleservers 3.0.0 (names, verbs, api-version)",
    "learn postgresql/flexible-server/concepts-data-encryption (chosen at creation, key types, identities)",
    "techcommunity adforpostgresql 2025-05-19, automatic key version updates (an identifier without a version follows)",
)


def _read(body: Json) -> tuple[KeyUse, ...]:
    data = lookup(body, "properties", "dataEncryption")
    if text(lookup(data, "type")).lower() != _BY_VAULT.lower():
        return ()
    found = []
    for slot, (key, identity, tenant) in _MEMBERS.items():
        written = text(lookup(data, key))
        if written or slot == PRIMARY:
            configured = parse_key_url(written)
            foreign = bool(tenant and text(lookup(data, tenant)))
            who = text(lookup(data, identity)) or None
            found.append(KeyUse(slot, configured, configured.version is None, None, foreign, identity=who))
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
        if text(lookup(data, "type")).lower() != _BY_VAULT.lower():
            data = replaced(data, "type", _BY_VAULT)
        return (patch(body, api_version, {"properties": {"dataEncryption": data}}),)

    return write


def _write_mysql(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    if any(isinstance(edit, Revert) for edit in edits):
        return (patch(body, MYSQL_VERSION, {"properties": {"dataEncryption": {"type": "SystemManaged"}}}),)
    return _writer(MYSQL_VERSION)(body, edits)


def _settled(body: Json) -> Settled:
    state = text(lookup(body, "properties", "state")).lower()
    if state in {"", "ready"}:
        return Settled.READY
    return Settled.FAILED if state in _STOPPED else Settled.BUSY


_CHOSEN = {Verb.ENABLE: Reason.CHOSEN_AT_CREATION, Verb.REVERT: Reason.NO_WAY_BACK}
_PAIRED = "The key for geo-redundant backups lies in the paired region and has an identity of its own."


_POSTGRES = "Microsoft.DBforPostgreSQL/flexibleServers"
_TRAITS = replace(
    FOLLOWING,
    actions=(f"{_POSTGRES}/read", f"{_POSTGRES}/write"),
    picks_up_within=timedelta(hours=2),
    keep_old_for=timedelta(hours=2),
    sources=_POSTGRESQL,
    can={**dict.fromkeys(Verb, Can.YES), **_CHOSEN},
    acts=Acting(system=False),
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

_MYSQL = "Microsoft.DBforMySQL/flexibleServers"
_MYSQL_TRAITS = replace(
    _TRAITS,
    actions=(f"{_MYSQL}/read", f"{_MYSQL}/write"),
    picks_up_within=timedelta(hours=24),
    keep_old_for=timedelta(hours=24),
    sources=(
        "SDK azure-mgmt-mysqlflexibleservers 1.0.0 (names, verbs, api-version)",
        "learn mysql/flexible-server/concepts-customer-managed-key (identities; get, list, wrapKey, unwrapKey)",
        "azure-rest-api-specs mysql 2023-12-30, example ServerUpdateWithBYOK (a server that is there gets a key)",
        "azure-cli rdbms/flexible_server_custom_mysql.py (SystemManaged takes it away; replicas before their source)",
    ),
    can={**dict.fromkeys(Verb, Can.YES), Verb.FOLLOW: Can.UNVERIFIED},
    access=Access(ENCRYPTION_USER, ("get", "list", "wrapKey", "unwrapKey")),
    notes=(
        "That an identifier without a version follows is not documented; how soon, and key sizes, neither.",
        (
            "A server may begin and end to use a key. Azure's own tool changes its replicas first: give those their "
            "key, or take it away, before their source. Going back is of both keys at once."
        ),
        _PAIRED,
    ),
)
_MYSQL_GEO = replace(_MYSQL_TRAITS, can={**_MYSQL_TRAITS.can, Verb.ENABLE: Reason.CANNOT, Verb.REVERT: Reason.CANNOT})

SERVICES = (
    Service(
        type=_POSTGRES,
        api_version=POSTGRESQL_VERSION,
        traits=_TRAITS,
        read=_read,
        write=_writer(POSTGRESQL_VERSION),
        settled=_settled,
    ),
    Service(
        type=_MYSQL,
        api_version=MYSQL_VERSION,
        traits=_MYSQL_TRAITS,
        read=_read,
        write=_write_mysql,
        settled=_settled,
        slots={PRIMARY: _MYSQL_TRAITS, GEO: _MYSQL_GEO},
        main_slot=PRIMARY,
    ),
)
