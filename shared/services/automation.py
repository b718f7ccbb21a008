"""Automation accounts. Facts: services.md 2 (docs/sources.md)."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Service, Verb
from shared.domain.vault import ENCRYPTION_USER, WRAPPING, Access
from shared.services.pointers import Split, nested, patch
from shared.services.taken_for_granted import PINNED

API_VERSION = "2024-10-23"  # [SDK azure-mgmt-automation 2.0.0]
SLOT = "encryption"
_KEY = Split("keyvaultUri")
_SOURCE = "Microsoft.Keyvault"
# The article adds recover to the access policy; no role of so little has it, and none is named.
_ACCESS = Access(ENCRYPTION_USER, (*WRAPPING.permissions, "recover"), WRAPPING.permissions)


def _read(body: Json) -> tuple[KeyUse, ...]:
    encryption = lookup(body, "properties", "encryption")
    if text(lookup(encryption, "keySource")).lower() != _SOURCE.lower():
        return ()
    return (KeyUse(SLOT, _KEY.read(lookup(encryption, "keyVaultProperties")), follows=False),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (edit,) = edits
    if isinstance(edit, Revert):
        return (patch(body, API_VERSION, {"properties": {"encryption": {"keySource": "Microsoft.Automation"}}}),)
    before = lookup(body, "properties", "encryption")
    encryption: Json = before if isinstance(before, dict) else {}
    key = _KEY.pointing(lookup(encryption, "keyVaultProperties"), edit.to)
    encryption = replaced(encryption, "keyVaultProperties", key)
    if text(lookup(encryption, "keySource")).lower() != _SOURCE.lower():
        encryption = replaced(encryption, "keySource", _SOURCE)
    if edit.identity is not None:
        encryption = nested(encryption, ("identity", "userAssignedIdentity"), edit.identity or None)
    return (patch(body, API_VERSION, {"properties": {"encryption": encryption}}),)


SERVICES = (
    Service(
        type="Microsoft.Automation/automationAccounts",
        api_version=API_VERSION,
        traits=replace(
            PINNED,
            actions=(
                "Microsoft.Automation/automationAccounts/read",
                "Microsoft.Automation/automationAccounts/write",
            ),
            sources=(
                "SDK azure-mgmt-automation 2.0.0 (names, verbs, api-version)",
                "azure-docs automation/automation-secure-asset-encryption (both ways, a version is moved by hand)",
            ),
            can={**dict.fromkeys(Verb, Can.YES), Verb.FOLLOW: Reason.NEVER_FOLLOWS},
            access=_ACCESS,
            acts=Acting(trusted=None),
            notes=(
                "Where access policies decide, the account's identity needs recover besides.",
                "Key sizes, and how long an old version is used, are not documented: keep it a day.",
            ),
        ),
        read=_read,
        write=_write,
        main_slot=SLOT,
    ),
)
