"""Azure AI services: accounts of every kind and their encryption scopes. Facts: services.md 1.3 (docs/sources.md)."""

from __future__ import annotations

import re
from datetime import timedelta
from types import MappingProxyType

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import RSA_2048_TO_4096, KeyRules, key_ref
from shared.domain.reasons import Reason
from shared.domain.resource import Change, Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, ChildList, Follow, May, Naming, Proven, Service, Traits, Verb, by_kind
from shared.domain.vault import CRYPTO_USER, WRAPPING, Access
from shared.services.connections import named_in
from shared.services.pace import LISTS, WORK
from shared.services.pointers import client_id_of, name_as_written, patch, put, vault_as_written, writable

API_VERSION = "2025-09-01"  # [SDK azure-mgmt-cognitiveservices 14.1.0]
SLOT = "encryption"
_VAULT = "microsoft.keyvault"
_OPENAI_KIND = "openai"
_CAPABLE = "CustomerManagedKey"
_WITH_PROJECTS = "aiservices"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}")  # of a project [bicep-types-az cognitiveservices 2025-06-01]
_RSA_2048 = KeyRules(frozenset({("RSA", 2048), ("RSA-HSM", 2048)}))

_SOURCES = (
    "SDK azure-mgmt-cognitiveservices 14.1.0 (names, verbs, api-version; no field for the version in effect)",
    "azure-cli recording test_cognitiveservices_encryption (PATCH is a long-running operation)",
    "azure-docs includes/configure-customer-managed-keys.md (enable, change and disable at any time)",
    "azurerm_cognitive_account_customer_managed_key (the body that goes back to Microsoft's key)",
)


def _read(properties: object, *, follows: bool = True) -> tuple[KeyUse, ...]:
    """Return the key that is named; `follows`: whether new versions may be taken up where none is named."""
    if text(lookup(properties, "keySource")).lower() != _VAULT:
        return ()
    key = lookup(properties, "keyVaultProperties")
    version = text(lookup(key, "keyVersion"))
    configured = key_ref(text(lookup(key, "keyVaultUri")), text(lookup(key, "keyName")), version)
    return (KeyUse(SLOT, configured, follows and configured.version is None),)


def _pointed(properties: Json, change: Change, body: Json) -> Json:
    """Return the object that names the key, as read but for the key: an account's encryption, a scope's properties."""
    key = lookup(properties, "keyVaultProperties") or {}
    key = replaced(key, "keyVaultUri", vault_as_written(text(lookup(key, "keyVaultUri")), change.to))
    key = replaced(key, "keyName", name_as_written(text(lookup(key, "keyName")), change.to))
    key = replaced(key, "keyVersion", "" if change.follow else change.to.version or "")
    if change.identity is not None:  # by client id; without one it is the system-assigned identity
        client = client_id_of(body, change.identity) if change.identity else ""
        if client or text(lookup(key, "identityClientId")):  # a merge keeps what is left out
            key = replaced(key, "identityClientId", client or None)
    properties = replaced(properties, "keyVaultProperties", key)
    if text(lookup(properties, "keySource")).lower() != _VAULT:
        properties = replaced(properties, "keySource", "Microsoft.KeyVault")
    return properties


def _read_account(body: Json) -> tuple[KeyUse, ...]:
    return _read(lookup(body, "properties", "encryption"), follows=by_kind(body).lower() != _OPENAI_KIND)


def _write_account(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = edits
    if isinstance(change, Revert):
        encryption: Json = {"keySource": "Microsoft.CognitiveServices"}
    else:
        encryption = _pointed(lookup(body, "properties", "encryption") or {}, change, body)
    return (patch(body, API_VERSION, {"properties": {"encryption": encryption}}),)


def _storage_of(body: Json) -> tuple[str, ...]:
    found = lookup(body, "properties", "userOwnedStorage")
    ids = [text(lookup(one, "resourceId")) for one in found] if isinstance(found, list) else []
    return tuple(filter(None, ids))


def _naming(body: Json) -> tuple[Naming, ...]:
    """Return the connections of an account of Foundry, and of its projects, whose names it tells."""
    if by_kind(body).lower() != _WITH_PROJECTS:
        return ()
    told = lookup(body, "properties", "associatedProjects")
    projects = [one for one in told if isinstance(one, str) and _NAME.fullmatch(one)] if isinstance(told, list) else []
    paths = ("connections", *(f"projects/{one}/connections" for one in projects))
    return tuple(Naming(path, named_in) for path in paths)


def _without_keys(body: Json) -> str:
    """Return what an account lacks, where it tells what it has."""
    known = lookup(body, "properties", "capabilities")
    names = {text(lookup(one, "name")).lower() for one in (known if isinstance(known, list) else [])}
    sku = text(lookup(body, "sku", "name"))
    return f"sku {sku}: it has not the capability {_CAPABLE}" if names and _CAPABLE.lower() not in names else ""


def _read_scope(body: Json) -> tuple[KeyUse, ...]:
    return _read(lookup(body, "properties"))


def _write_scope(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # There is no PATCH of a scope [SDK: encryption_scopes has create_or_update only].
    (change,) = edits
    whole = writable(body, ("id", "name", "type", "etag", "systemData", "properties.provisioningState"))
    properties = lookup(whole, "properties") or {}
    if isinstance(change, Revert):
        properties = replaced(without(properties, "keyVaultProperties"), "keySource", "Microsoft.CognitiveServices")
    else:
        properties = _pointed(properties, change, body)
    return (put(body, API_VERSION, replaced(whole, "properties", properties)),)


def _by_default(_account: Json) -> str:
    """Say that a scope that names no client id acts as its account's system-assigned identity."""
    return ""


ANY_KIND = Traits(
    follow=Follow.WITHOUT_VERSION,
    reports_effective=False,
    accepts=_RSA_2048,
    picks_up_within=timedelta(hours=24),
    keep_old_for=timedelta(hours=24),
    pace=WORK,
    actions=("Microsoft.CognitiveServices/accounts/read", "Microsoft.CognitiveServices/accounts/write"),
    proven=Proven.RECORDED,
    sources=_SOURCES,
    can={
        Verb.REPOINT: Can.YES,
        Verb.ENABLE: Can.YES,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Can.UNVERIFIED,
        Verb.FOLLOW: Can.UNVERIFIED,
        Verb.PIN: Can.YES,
        Verb.REVERT: Can.YES,
    },
    same_region=True,
    notes=(
        (
            "How long a follower takes, and how long the old version is needed after a move, is not documented for any "
            "kind; a day is assumed. After that a follower's version counts as unknown."
        ),
        (
            "Whether an account that names no key version follows is documented for AIServices only; the article for "
            "the others (2020 to 2023) asks to update them after every rotation. One that is found without a version "
            "is left so and reported as effect_not_told: `version: pin` settles it."
        ),
        "RSA 2048 is what most kinds' documents name; kinds that name no size are taken for those.",
        (
            "The 2020 articles allow another key in another vault; the one of 2024-10-16 for Azure AI resources allows "
            "another key of the same vault only, and no way between Microsoft's key and yours."
        ),
        (
            "All articles, 2020 to 2026, want the vault in the account's region. Only accounts with the capability "
            "CustomerManagedKey take a key."
        ),
    ),
)

_OPENAI = replace(
    ANY_KIND,
    follow=Follow.NEVER,
    picks_up_within=None,
    sources=(*_SOURCES, "azure-ai-docs openai/encrypt-data-at-rest (2025-04)"),
    can={**ANY_KIND.can, Verb.FOLLOW: Reason.NEVER_FOLLOWS},
    acts=Acting(user=False, by_roles=False),
    notes=(
        "RSA 2048, in a vault with access policies, reached by the system-assigned identity only.",
        (
            "The article asks to update the account by hand after every rotation and knows no account without a key "
            "version. One that names none is taken for pinned to what was the latest when it was set: as soon as the "
            "key has a second version, the newest is named."
        ),
    ),
)
_FOUNDRY = replace(
    ANY_KIND,
    actions=(
        *ANY_KIND.actions,
        "Microsoft.CognitiveServices/accounts/connections/read",
        "Microsoft.CognitiveServices/accounts/projects/connections/read",
    ),
    accepts=KeyRules(RSA_2048_TO_4096),
    proven=Proven.DOCUMENTED,
    sources=(*_SOURCES, "azure-ai-docs foundry/includes/concepts-encryption-keys-portal-1.md (2026-08)"),
    can={
        **ANY_KIND.can,
        Verb.SWITCH_VAULT: Reason.SAME_VAULT_ONLY,
        Verb.FOLLOW: Can.YES,
        Verb.REVERT: Reason.NO_WAY_BACK,
    },
    irreversible=frozenset({Verb.ENABLE}),
    access=Access(CRYPTO_USER, WRAPPING.permissions),
    notes=(
        (
            "2026-08: a key may be enabled later, followed, and changed within its vault; there is no way back. "
            "Articles of 2024 and 2025 allow no change in either direction after creation."
        ),
        "How long a follower takes, and how long the old version is needed, is not documented; a day is assumed.",
    ),
)
_BY_STORAGE = replace(
    ANY_KIND,
    sources=(*_SOURCES, "azure-docs speech-service/speech-encryption-of-data-at-rest"),
    can=dict.fromkeys(Verb, Reason.KEY_IS_AT_STORAGE),
    elsewhere=Reason.KEY_IS_AT_STORAGE,
    notes=(
        "The key is that of a storage account of yours, which the account is given on request (aka.ms/cogsvc-cmk).",
    ),
)
_ON_REQUEST = replace(
    ANY_KIND,
    sources=(*_SOURCES, "azure-ai-docs customer-managed keys (2024-10-16): the request form is still required"),
    can={**ANY_KIND.can, Verb.ENABLE: Reason.REQUEST_FORM},
)
_CUSTOM_VISION = replace(
    ANY_KIND,
    sources=(*_SOURCES, "azure-docs custom-vision-service/encrypt-data-at-rest"),
    can={**ANY_KIND.can, Verb.ENABLE: Can.UNVERIFIED},
    notes=("Only resources made after 2020-05-11 take a key.",),
)

SCOPES = Service(
    type="Microsoft.CognitiveServices/accounts/encryptionScopes",
    api_version=API_VERSION,
    traits=replace(
        ANY_KIND,
        actions=(
            "Microsoft.CognitiveServices/accounts/encryptionScopes/read",
            "Microsoft.CognitiveServices/accounts/encryptionScopes/write",
        ),
        proven=Proven.DOCUMENTED,
        sources=(
            "SDK azure-mgmt-cognitiveservices 14.1.0 (names; a scope is put as a whole)",
            "azure-rest-api-specs cognitiveservices 2025-06-01, example PutEncryptionScope",
        ),
        can={**ANY_KIND.can, Verb.SWITCH_KEY: Can.UNVERIFIED, Verb.REVERT: Can.UNVERIFIED, Verb.ENABLE: Can.UNVERIFIED},
        needs=frozenset({May.PUT}),
        acts=Acting(above=_by_default),
        notes=("Which kinds have scopes, and what their keys may be, is not documented: taken for their account's.",),
    ),
    read=_read_scope,
    write=_write_scope,
    main_slot=SLOT,
    in_graph=False,
)

ACCOUNTS = Service(
    type="Microsoft.CognitiveServices/accounts",
    api_version=API_VERSION,
    traits=ANY_KIND,
    read=_read_account,
    write=_write_account,
    main_slot=SLOT,
    children=(ChildList(SCOPES.type, "encryptionScopes", LISTS),),
    through=_storage_of,
    naming=_naming,
    incapable=_without_keys,
    kinds=MappingProxyType(
        {
            _OPENAI_KIND: _OPENAI,
            "aiservices": _FOUNDRY,
            "speechservices": _BY_STORAGE,
            "contentmoderator": _ON_REQUEST,
            "customvision.training": _CUSTOM_VISION,
            "customvision.prediction": _CUSTOM_VISION,
        }
    ),
)

SERVICES = (ACCOUNTS, SCOPES)
