"""Batch accounts. Facts: services.md 2 (docs/sources.md)."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Service, Verb
from shared.services.pointers import aimed, identifier_as_written, nested, patch
from shared.services.taken_for_granted import FOLLOWING

API_VERSION = "2025-06-01"  # [SDK azure-mgmt-batch 19.0.0]
SLOT = "encryption"
_SOURCE = "Microsoft.KeyVault"
_IDENTIFIER = ("keyVaultProperties", "keyIdentifier")


def _read(body: Json) -> tuple[KeyUse, ...]:
    encryption = lookup(body, "properties", "encryption")
    if text(lookup(encryption, "keySource")).lower() != _SOURCE.lower():
        return ()
    configured = parse_key_url(text(lookup(encryption, *_IDENTIFIER)))
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (edit,) = edits
    if isinstance(edit, Revert):
        return (patch(body, API_VERSION, {"properties": {"encryption": {"keySource": "Microsoft.Batch"}}}),)
    before = lookup(body, "properties", "encryption")
    encryption: Json = before if isinstance(before, dict) else {}
    identifier = identifier_as_written(text(lookup(encryption, *_IDENTIFIER)), aimed(edit))
    encryption = nested(encryption, _IDENTIFIER, identifier)
    if text(lookup(encryption, "keySource")).lower() != _SOURCE.lower():
        encryption = replaced(encryption, "keySource", _SOURCE)
    return (patch(body, API_VERSION, {"properties": {"encryption": encryption}}),)


SERVICES = (
    Service(
        type="Microsoft.Batch/batchAccounts",
        api_version=API_VERSION,
        traits=replace(
            FOLLOWING,
            actions=("Microsoft.Batch/batchAccounts/read", "Microsoft.Batch/batchAccounts/write"),
            sources=(
                "SDK azure-mgmt-batch 19.0.0 (names, verbs, api-version; with or without a version)",
                "azure-docs batch/batch-customer-managed-key (new accounts only; back to Microsoft's key)",
            ),
            can={**dict.fromkeys(Verb, Can.YES), Verb.ENABLE: Reason.CHOSEN_AT_CREATION},
            acts=Acting(named=False),
            notes=("How soon a follower takes a new version up is not documented: the app gives it a day.",),
        ),
        read=_read,
        write=_write,
    ),
)
