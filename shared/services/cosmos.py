"""Azure Cosmos DB accounts. Facts: services.md 1.8 (docs/sources.md)."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, text
from shared.domain.keys import RSA_2048_TO_4096, BadKeyUrl, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Follow, Proven, Service, Traits, Verb
from shared.services.applications import COSMOS_DB
from shared.services.pace import WORK
from shared.services.pointers import identifier_as_written, patch

API_VERSION = "2026-03-15"  # [SDK azure-mgmt-cosmosdb 10.0.0]
SLOT = "keyVaultKeyUri"
_FROM_THE_BEGINNING = {"enablecassandra", "enablenosqlvectorsearch"}  # [how-to-setup-...-existing-accounts]
_VERSIONED = "URI with a version"


def _read(body: Json) -> tuple[KeyUse, ...]:
    properties = lookup(body, "properties")
    written = text(lookup(properties, "keyVaultKeyUri"))
    if not written:
        return ()
    effective = text(lookup(properties, "keyVaultKeyUriVersion")).rstrip("/").rpartition("/")[2].lower()
    foreign = "federatedclientid=" in text(lookup(properties, "defaultIdentity")).lower()
    configured = parse_key_url(written)
    # Whoever names one version and has another one in effect follows all the same.
    follows = configured.version is None or effective not in {"", configured.version}
    return (KeyUse(SLOT, configured, follows, effective or None, foreign, _trouble(properties)),)


def _form(body: Json) -> str:
    """Return what matters about an account: whether its key is named in the one form that the service takes."""
    try:
        uses = _read(body)
    except BadKeyUrl:
        return ""
    return _VERSIONED if uses and not uses[0].follows else ""


def _trouble(properties: object) -> str:
    """Return the status of the key if it is one of those that tell of lost access: they all say "revoked"."""
    status = text(lookup(properties, "customerManagedKeyStatus"))
    return status if "revoked" in status.lower() else ""


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = edits
    if isinstance(change, Revert):
        return ()  # there is no way back
    written = text(lookup(body, "properties", "keyVaultKeyUri"))
    changed: Json = {"keyVaultKeyUri": identifier_as_written(written, change.to.key.at(None))}
    if change.identity is not None:
        chosen = f"UserAssignedIdentity={change.identity}" if change.identity else "SystemAssignedIdentity"
        changed["defaultIdentity"] = chosen
    return (patch(body, API_VERSION, {"properties": changed}),)


def _made_for(body: Json) -> str:
    """Return what an account was made for that takes a key only at its creation."""
    known = lookup(body, "properties", "capabilities")
    names = [text(lookup(one, "name")) for one in (known if isinstance(known, list) else [])]
    found = next((one for one in names if one.lower() in _FROM_THE_BEGINNING), "")
    return f"an account with {found} takes a key only when it is made" if found else ""


def _told(body: Json) -> tuple[str, ...]:
    """Return the identity that the account names for its key; by default it is Azure Cosmos DB's own application."""
    kind, _, identity = text(lookup(body, "properties", "defaultIdentity")).partition("=")
    if kind.lower() == "systemassignedidentity":
        return ("",)
    return (identity.partition("&")[0],) if kind.lower() == "userassignedidentity" else ()


_TRAITS = Traits(
    follow=Follow.ALWAYS,
    reports_effective=True,
    accepts=KeyRules(RSA_2048_TO_4096),
    picks_up_within=timedelta(hours=24),
    keep_old_for=timedelta(hours=24),
    pace=WORK,
    actions=("Microsoft.DocumentDB/databaseAccounts/read", "Microsoft.DocumentDB/databaseAccounts/write"),
    proven=Proven.RECORDED,
    acts=Acting(told=_told),
    sources=(
        "SDK azure-mgmt-cosmosdb 10.0.0 (names, verbs, api-version, keyVaultKeyUriVersion)",
        "azure-cli recording test_cosmosdb_key_vault_key_uri (PATCH answers 200 and has still to be polled)",
        "azure-docs cosmos-db/how-to-setup-customer-managed-keys and -existing-accounts",
        "azure-docs cosmos-db/how-to-setup-cross-tenant-customer-managed-keys (FederatedClientId)",
        "azure-docs issue 70179 (BadRequest: a key URI without version is asked for, the latest is used)",
    ),
    can={
        Verb.REPOINT: Reason.ALWAYS_FOLLOWS,
        Verb.ENABLE: Can.YES,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Can.UNVERIFIED,
        Verb.FOLLOW: Can.YES,
        Verb.PIN: Reason.ALWAYS_FOLLOWS,
        Verb.REVERT: Reason.NO_WAY_BACK,
    },
    irreversible=frozenset({Verb.ENABLE}),
    applications=(COSMOS_DB,),
    notes=(
        "In Azure Government the application of Azure Cosmos DB is 57506a73-e302-42a9-b869-6f12d9ec29e9.",
        (
            "How long an account takes to follow is not documented; its article asks to keep the old version for a "
            "day, and that is what is waited for."
        ),
        (
            "A key can be enabled later for NoSQL, MongoDB, Gremlin and Table; not for Cassandra, not with vector "
            "search, and with continuous backup or analytical store only under a managed identity."
        ),
        (
            "Azure's own application reaches the key while defaultIdentity is FirstPartyIdentity; an account that "
            "the app gives a first key names one of its own identities instead."
        ),
        "Key sizes are not documented beyond the advice of RSA 3072.",
    ),
)

_NAMING_A_VERSION = replace(
    _TRAITS,
    can={**_TRAITS.can, Verb.REPOINT: Reason.VERSION_NOT_TAKEN, Verb.PIN: Reason.VERSION_NOT_TAKEN},
    notes=(
        (
            "Azure refuses key URIs with a version and says that it uses the latest (azure-docs issue 70179). An "
            "account that has one all the same is taken for pinned to it until it shows another version as in effect; "
            "`version: follow` takes the version away."
        ),
    ),
)

ACCOUNTS = Service(
    type="Microsoft.DocumentDB/databaseAccounts",
    api_version=API_VERSION,
    traits=_TRAITS,
    read=_read,
    write=_write,
    main_slot=SLOT,
    incapable=_made_for,
    kinds=MappingProxyType({_VERSIONED.lower(): _NAMING_A_VERSION}),
    kind_of=_form,
)

SERVICES = (ACCOUNTS,)
