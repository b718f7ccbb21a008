"""Azure Machine Learning workspaces of every kind. Facts: services.md 1.4 (docs/sources.md)."""

from __future__ import annotations

from types import MappingProxyType

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, text
from shared.domain.keys import KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Naming, Service, Verb, by_kind
from shared.services.applications import COSMOS_DB
from shared.services.connections import named_in
from shared.services.pointers import identifier_as_written, patch
from shared.services.taken_for_granted import PINNED

API_VERSION = "2025-12-01"  # [azure-ai-ml 1.35.2]
SLOT = "encryption"
_SERVICE_SIDE = "service side"


def _read(body: Json) -> tuple[KeyUse, ...]:
    encryption = lookup(body, "properties", "encryption")
    written = text(lookup(encryption, "keyVaultProperties", "keyIdentifier"))
    status = text(lookup(encryption, "status")).lower()
    if status == "disabled" or (not written and status != "enabled"):
        return ()
    configured = parse_key_url(written)
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # The one member that an update takes; the rest of the object is refused [azure-ai-ml, EncryptionUpdateProperties].
    (change,) = edits
    if isinstance(change, Revert):
        return ()  # there is no way back
    written = text(lookup(body, "properties", "encryption", "keyVaultProperties", "keyIdentifier"))
    to = change.to.key.at(None) if change.follow else change.to
    key = {"keyVaultProperties": {"keyIdentifier": identifier_as_written(written, to)}}
    return (patch(body, API_VERSION, {"properties": {"encryption": key}}),)


def _hub_of(body: Json) -> tuple[str, ...]:
    found = text(lookup(body, "properties", "hubResourceId"))
    return (found,) if found else ()


def _dependents(body: Json) -> tuple[str, ...]:
    """Return what the workspace stands on: keys do not pass down, each of these has one of its own."""
    names = ("storageAccount", "containerRegistry", "keyVault", "applicationInsights")
    return tuple(found for name in names if (found := text(lookup(body, "properties", name))))


def _naming(_body: Json) -> tuple[Naming, ...]:
    return (Naming("connections", named_in),)


def _told(body: Json) -> tuple[str, ...]:
    """Return the identity that a workspace names for its key; without one it may be Azure Cosmos DB's application."""
    named = text(lookup(body, "properties", "encryption", "identity", "userAssignedIdentity"))
    return (named,) if named else ()


def _kind(body: Json) -> str:
    return _SERVICE_SIDE if lookup(body, "properties", "enableServiceSideCMKEncryption") is True else by_kind(body)


_TRAITS = replace(
    PINNED,
    actions=(
        "Microsoft.MachineLearningServices/workspaces/read",
        "Microsoft.MachineLearningServices/workspaces/write",
        "Microsoft.MachineLearningServices/workspaces/connections/read",
    ),
    acts=Acting(told=_told, rechosen=False),
    sources=(
        "azure-ai-ml 1.35.2 (models of 2025-12-01: the update takes the key identifier and nothing else)",
        "azure-rest-api-specs machinelearningservices 2025-06-01, examples Workspace/get and update (Location)",
        "azure-docs machine-learning/how-to-setup-customer-managed-keys (same vault; nothing is enabled later)",
    ),
    can={
        Verb.REPOINT: Can.YES,
        Verb.ENABLE: Reason.CHOSEN_AT_CREATION,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Reason.SAME_VAULT_ONLY,
        Verb.FOLLOW: Reason.NEVER_FOLLOWS,
        Verb.PIN: Can.UNVERIFIED,
        Verb.REVERT: Reason.NO_WAY_BACK,
    },
    applications=(COSMOS_DB,),
    notes=(
        (
            "The article of 2023-09-12 says that the key of the resources a workspace depends on cannot be updated "
            "after creation; the update model of 2025-12-01 takes a new key identifier. Hence `may: unproven`."
        ),
        (
            "The Cosmos DB, Search and Storage in the workspace's managed group use the same key: they move with the "
            "workspace and are never written by themselves. Azure Cosmos DB's own application needs the rights "
            "too, unless the workspace encrypts on the service's side."
        ),
        "In Azure Government the application of Azure Cosmos DB is 57506a73-e302-42a9-b869-6f12d9ec29e9.",
        "The workspace's storage account and registry have keys of their own.",
        (
            "Key sizes are not documented beyond the advice of RSA 3072; nor is a key identifier without a version, "
            "nor how long the old version is needed (a day is assumed)."
        ),
    ),
)
_HUB = replace(
    _TRAITS,
    accepts=KeyRules(frozenset({("RSA", 2048), ("RSA-HSM", 2048)})),
    notes=("Articles of 2025 limit hubs to RSA 2048 in vaults with access policies.",),
)
_PROJECT = replace(
    _TRAITS,
    can=dict.fromkeys(Verb, Reason.MANAGED_BY_AZURE),
    elsewhere=Reason.MANAGED_BY_AZURE,
    notes=("A project uses the key of its hub: change it there.",),
)
_UNSETTLED = replace(
    _TRAITS,
    can={**_TRAITS.can, Verb.REPOINT: Can.UNVERIFIED, Verb.SWITCH_KEY: Can.UNVERIFIED},
    notes=("What holds for this kind is in no source that was read; it is taken for a workspace like others.",),
)
_ON_SERVICE_SIDE = replace(
    _TRAITS,
    can={**_TRAITS.can, Verb.REPOINT: Can.UNVERIFIED, Verb.SWITCH_KEY: Can.UNVERIFIED},
    notes=(
        (
            "Service-side encryption (enableServiceSideCMKEncryption): articles of 2024 say that its key is not "
            "rotated, the copy of 2025-01 no longer says so."
        ),
    ),
)

WORKSPACES = Service(
    type="Microsoft.MachineLearningServices/workspaces",
    api_version=API_VERSION,
    traits=_TRAITS,
    read=_read,
    write=_write,
    dependents=_dependents,
    naming=_naming,
    main_slot=SLOT,
    kinds=MappingProxyType(
        {"hub": _HUB, "project": _PROJECT, "featurestore": _UNSETTLED, _SERVICE_SIDE: _ON_SERVICE_SIDE}
    ),
    kind_of=_kind,
    through=_hub_of,
)

SERVICES = (WORKSPACES,)
