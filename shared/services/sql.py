"""SQL servers and managed instances: their encryption protector names one of the server's keys. Facts: services.md 2
(docs/sources.md).

A change takes two requests: the key version becomes one of the server's keys, named by vault, key and version; then the
protector names it. A partner server wants the key before; both ask for it, so the second one always finds it there.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import KeyRef, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Change, Edit, Json, KeyUse, Request, Revert, address_of
from shared.domain.service import Can, ChildList, Follow, May, Proven, Service, Traits, Verb
from shared.services.pace import LISTS, WORK
from shared.services.pointers import identifier_as_written, nothing_to_send, put
from shared.services.taken_for_granted import PINNED

API_VERSION = "2025-01-01"  # [SDK azure-mgmt-sql 4.0.0]
SLOT = "protector"

_BY_VAULT = "AzureKeyVault"
_BY_SERVICE = "ServiceManaged"
_READ_ONLY = ("id", "name", "type", "kind", "location", "systemData")
_READ_ONLY_PROPERTIES = ("uri", "thumbprint", "keyVersion", "subregion")
_RSA = frozenset((kty, bits) for kty in ("RSA", "RSA-HSM") for bits in (2048, 3072))

_SOURCES = (
    "SDK azure-mgmt-sql 4.0.0 (names, verbs, api-version; a server key's uri has its version)",
    "learn azure-sql/database/transparent-data-encryption-byok-overview (key types, get, wrapKey, unwrapKey)",
    "learn azure-sql/database/transparent-data-encryption-byok-key-rotation (old keys stay for backups and logs)",
    "terraform-provider-azurerm issue 25906 (partners need the key first: SameKeyMaterialNotFoundOnRemoteServer)",
)


def _protector_of(server: Json) -> tuple[str, ...]:
    """Return the server's encryption protector: there is always one, and only one."""
    return (f"{text(lookup(server, 'id'))}/encryptionProtector/current",)


def _read_nothing(_body: Json) -> tuple[KeyUse, ...]:
    return ()


def _read(body: Json) -> tuple[KeyUse, ...]:
    properties = lookup(body, "properties")
    if text(lookup(properties, "serverKeyType")).lower() != _BY_VAULT.lower():
        return ()
    # `uri` is read-only: the key that protects the databases now. With automatic rotation the service moves it.
    configured = parse_key_url(text(lookup(properties, "uri")))
    follows = lookup(properties, "autoRotationEnabled") is True or configured.version is None
    effective = configured.version or text(lookup(properties, "keyVersion")).lower() or None
    return (KeyUse(SLOT, configured, follows, effective),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (edit,) = edits
    address = address_of(str(body["id"]))
    before = lookup(body, "properties")
    properties = without(before if isinstance(before, dict) else {}, *_READ_ONLY_PROPERTIES)
    if isinstance(edit, Revert):
        properties = replaced(without(properties, "autoRotationEnabled"), "serverKeyName", _BY_SERVICE)
        return (_put(body, replaced(properties, "serverKeyType", _BY_SERVICE)),)
    uri = identifier_as_written(text(lookup(before, "uri")), _versioned(edit, before))
    name = _server_key(uri)
    key = {"properties": {"serverKeyType": _BY_VAULT, "uri": uri}}
    if text(lookup(properties, "serverKeyType")).lower() != _BY_VAULT.lower():
        properties = replaced(properties, "serverKeyType", _BY_VAULT)
    properties = replaced(properties, "serverKeyName", name)
    if edit.follow is not (lookup(properties, "autoRotationEnabled") is True):
        properties = replaced(properties, "autoRotationEnabled", edit.follow)
    server = address_of(address.parent)
    there = Address(f"{server.type}/keys", f"{server.url}/keys/{name}")
    return Request("PUT", there, API_VERSION, key), _put(body, properties)


def _put(body: Json, properties: Json) -> Request:
    return put(body, API_VERSION, replaced(without(body, *_READ_ONLY), "properties", properties))


def _versioned(change: Change, before: Json) -> KeyRef:
    """Return the version to point at. A server key always has one, even where the protector then moves on by itself."""
    if change.to.version:
        return change.to
    (use,) = _read({"properties": before})
    return change.to.key.at(use.effective)


def _server_key(uri: str) -> str:
    """Return the name that a server key must have: vault_key_version, as its identifier spells them."""
    scheme, _, rest = uri.partition("://")
    host, _, name, version = rest.split("/")
    return f"{host.partition('.')[0]}_{name}_{version}" if scheme else ""


def _identity_of(server: Json) -> str:
    """Return the user-assigned identity by which a server reaches its keys."""
    return text(lookup(server, "properties", "primaryUserAssignedIdentityId"))


def _traits(server: str) -> Traits:
    return Traits(
        follow=Follow.BY_FLAG,
        reports_effective=True,
        accepts=KeyRules(_RSA),
        picks_up_within=timedelta(hours=24),
        keep_old_for=timedelta(hours=24),
        # Databases turn connections away within 10 minutes; after 30 without the key they do not heal by themselves
        # [learn azure-sql/database/transparent-data-encryption-byok-overview, inaccessible TDE protector].
        keeps_access_for=timedelta(minutes=10),
        pace=WORK,
        actions=(
            f"{server}/encryptionProtector/read",
            f"{server}/encryptionProtector/write",
            f"{server}/keys/read",
            f"{server}/keys/write",
        ),
        proven=Proven.DOCUMENTED,
        sources=_SOURCES,
        can=dict.fromkeys(Verb, Can.YES),
        needs=frozenset({May.PUT}),
        acts=Acting(above=_identity_of, named=False),
        notes=(
            (
                "Backups and log files keep the key that they were written with: old versions must stay usable as long "
                "as a backup may be restored."
            ),
            (
                "Automatic rotation takes a new version up within 60 minutes (documentation of 2022 to 2024), within "
                "24 hours (newer copies): the app waits for the longer one."
            ),
            "Server keys without a version: SDK 4.0.0 asks for one, newer articles allow none. The app writes one.",
            "Two servers of one failover group that share a key: turn automatic rotation on for both, or for none.",
            "Keys of single databases (properties.keys of a database) are not read.",
        ),
    )


def _server(type_: str) -> tuple[Service, Service]:
    protector = Service(
        type=f"{type_}/encryptionProtector",
        api_version=API_VERSION,
        traits=_traits(type_),
        read=_read,
        write=_write,
        in_graph=False,
        main_slot=SLOT,
    )
    server = Service(
        type=type_,
        api_version=API_VERSION,
        traits=replace(
            PINNED,
            accepts=KeyRules(_RSA),
            actions=(f"{type_}/read",),
            sources=_SOURCES,
            can=dict.fromkeys(Verb, Reason.KEY_IS_BELOW),
            elsewhere=Reason.KEY_IS_BELOW,
            notes=("The key is at the server's encryption protector, encryptionProtector/current below it.",),
        ),
        read=_read_nothing,
        write=nothing_to_send,
        dependents=_protector_of,
        through=_protector_of,
        children=(ChildList(protector.type, "encryptionProtector", LISTS),),
    )
    return server, protector


SERVICES = (*_server("Microsoft.Sql/servers"), *_server("Microsoft.Sql/managedInstances"))
