"""Storage accounts and their encryption scopes. Facts: services.md 1.1 and 1.2 (docs/sources.md)."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import RSA_2048_TO_4096, KeyRules, key_ref, parse_key_url
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, ChildList, Follow, Proven, Rate, Service, Traits, Verb
from shared.services.pointers import identifier_as_written, name_as_written, patch, vault_as_written, version_of

API_VERSION = "2026-09-01"  # [SDK azure-mgmt-storage 25.3.0]
SLOT = "encryption"
_READ_ONLY = ("currentVersionedKeyIdentifier", "lastKeyRotationTimestamp", "currentVersionedKeyExpirationTimestamp")

# Per subscription and region: 10 writes a second, 100 lists in five minutes; a little is left to others
# [azure-docs includes/azure-storage-limits-azure-resource-manager.md]. ARM adds 25 reads a second, two for each write.
_WRITES = Rate(burst=9, per_second=9)
_LISTS = Rate(burst=90, per_second=0.3)

_ITSELF = Acting()

_SOURCES = (
    "SDK azure-mgmt-storage 25.3.0 (names, verbs, api-version)",
    "learn storage/common/customer-managed-keys-overview (key types, daily check, keep the old version 24 hours)",
    "azure-rest-api-specs storage 2025-06-01 examples StorageAccountEnableCMK, StorageAccountPatchEncryptionScope",
    "azure-cli recordings test_customer_managed_key, test_storage_account_encryption_scope (PATCH answers 200 at once)",
)


def _read_account(body: Json) -> tuple[KeyUse, ...]:
    encryption = lookup(body, "properties", "encryption")
    if text(lookup(encryption, "keySource")).lower() != "microsoft.keyvault":
        return ()
    properties = lookup(encryption, "keyvaultproperties")
    configured = key_ref(
        text(lookup(properties, "keyvaulturi")),
        text(lookup(properties, "keyname")),
        text(lookup(properties, "keyversion")),
    )
    in_effect = version_of(text(lookup(properties, "currentVersionedKeyIdentifier")))
    foreign = bool(text(lookup(encryption, "identity", "federatedIdentityClientId")))
    return (KeyUse(SLOT, configured, configured.version is None, in_effect, foreign),)


def _write_account(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # The whole encryption object as read: whether parts left out of a PATCH survive is not documented.
    (change,) = edits
    encryption = lookup(body, "properties", "encryption") or {}
    if isinstance(change, Revert):
        reverted = {"keySource": "Microsoft.Storage", "services": _services(encryption)}
        return (patch(body, API_VERSION, {"properties": {"encryption": reverted}}),)
    properties = without(lookup(encryption, "keyvaultproperties") or {}, *_READ_ONLY)
    properties = replaced(
        properties, "keyvaulturi", vault_as_written(text(lookup(properties, "keyvaulturi")), change.to)
    )
    properties = replaced(properties, "keyname", name_as_written(text(lookup(properties, "keyname")), change.to))
    # Leaving a pinned version asks for "" in so many words [docs storage CMK configure].
    properties = replaced(properties, "keyversion", "" if change.follow else change.to.version or "")
    encryption = replaced(encryption, "keyvaultproperties", properties)
    if text(lookup(encryption, "keySource")).lower() != "microsoft.keyvault":
        encryption = replaced(encryption, "keySource", "Microsoft.Keyvault")
    if isinstance(lookup(encryption, "services"), dict):
        encryption = replaced(encryption, "services", _services(encryption))
    sent: Json = {"properties": {"encryption": encryption}}
    if change.identity is not None:
        chosen = lookup(encryption, "identity") or {}
        chosen = replaced(chosen, "userAssignedIdentity", change.identity) if change.identity else {}
        sent = {"properties": {"encryption": replaced(encryption, "identity", chosen)}}
    return (patch(body, API_VERSION, sent),)


def _services(encryption: Json) -> Json:
    """Return the services as read, without what is read-only. Leaving them out of a revert is not documented to work
    [azurerm_storage_account_customer_managed_key sends them].
    """
    services = lookup(encryption, "services")
    if not isinstance(services, dict):
        return {"blob": {"enabled": True}, "file": {"enabled": True}}
    return {name: without(one, "lastEnabledTime") if isinstance(one, dict) else one for name, one in services.items()}


def _read_scope(body: Json) -> tuple[KeyUse, ...]:
    properties = lookup(body, "properties")
    if text(lookup(properties, "source")).lower() != "microsoft.keyvault":
        return ()
    configured = parse_key_url(text(lookup(properties, "keyVaultProperties", "keyUri")))
    in_effect = version_of(text(lookup(properties, "keyVaultProperties", "currentVersionedKeyIdentifier")))
    return (KeyUse(SLOT, configured, configured.version is None, in_effect),)


def _write_scope(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = edits
    properties = lookup(body, "properties")
    if isinstance(change, Revert):
        return (patch(body, API_VERSION, {"properties": {"source": "Microsoft.Storage"}}),)
    key = without(lookup(properties, "keyVaultProperties") or {}, *_READ_ONLY)
    to = change.to.key.at(None) if change.follow else change.to
    key = replaced(key, "keyUri", identifier_as_written(text(lookup(key, "keyUri")), to))
    source = text(lookup(properties, "source"))
    source = source if source.lower() == "microsoft.keyvault" else "Microsoft.KeyVault"
    return (patch(body, API_VERSION, {"properties": {"source": source, "keyVaultProperties": key}}),)


def _identity_of(account: Json) -> str:
    """Return the user-assigned identity by which an account reaches its keys; its scopes have none of their own."""
    return text(lookup(account, "properties", "encryption", "identity", "userAssignedIdentity"))


def _traits(proven: Proven, *actions: str, acts: Acting = _ITSELF) -> Traits:
    return Traits(
        follow=Follow.WITHOUT_VERSION,
        reports_effective=True,
        accepts=KeyRules(RSA_2048_TO_4096),
        picks_up_within=timedelta(hours=24),
        keep_old_for=timedelta(hours=24),
        pace=_WRITES,
        actions=actions,
        proven=proven,
        sources=_SOURCES,
        can=dict.fromkeys(Verb, Can.YES),
        acts=acts,
    )


ENCRYPTION_SCOPES = Service(
    type="Microsoft.Storage/storageAccounts/encryptionScopes",
    api_version=API_VERSION,
    traits=_traits(
        Proven.RECORDED,
        "Microsoft.Storage/storageAccounts/encryptionScopes/read",
        "Microsoft.Storage/storageAccounts/encryptionScopes/write",
        acts=Acting(above=_identity_of, named=False),
    ),
    read=_read_scope,
    write=_write_scope,
    main_slot=SLOT,
    in_graph=False,
)

STORAGE_ACCOUNTS = Service(
    type="Microsoft.Storage/storageAccounts",
    api_version=API_VERSION,
    traits=_traits(
        Proven.RECORDED, "Microsoft.Storage/storageAccounts/read", "Microsoft.Storage/storageAccounts/write"
    ),
    read=_read_account,
    write=_write_account,
    main_slot=SLOT,
    children=(ChildList(ENCRYPTION_SCOPES.type, "encryptionScopes", _LISTS),),
)

SERVICES = (STORAGE_ACCOUNTS, ENCRYPTION_SCOPES)
