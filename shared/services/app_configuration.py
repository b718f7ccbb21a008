"""App Configuration stores. Facts: services.md 2 (docs/sources.md)."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import parse_key_url
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Service, Verb
from shared.services.pointers import aimed, client_id_of, identifier_as_written, patch
from shared.services.taken_for_granted import FOLLOWING

API_VERSION = "2024-06-01"  # [SDK azure-mgmt-appconfiguration 5.0.0]
SLOT = "encryption"
_WITHOUT_KEYS = {"free", "developer"}  # [learn azure-app-configuration/faq, tiers]
_KEY = ("properties", "encryption", "keyVaultProperties")


def _read(body: Json) -> tuple[KeyUse, ...]:
    written = text(lookup(body, *_KEY, "keyIdentifier"))
    if not written:
        return ()
    configured = parse_key_url(written)
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (edit,) = edits
    if isinstance(edit, Revert):
        return (patch(body, API_VERSION, {"properties": {"encryption": {"keyVaultProperties": None}}}),)
    before = lookup(body, *_KEY)
    key: Json = before if isinstance(before, dict) else {}
    key = replaced(key, "keyIdentifier", identifier_as_written(text(lookup(key, "keyIdentifier")), aimed(edit)))
    if edit.identity is not None:
        key = replaced(key, "identityClientId", client_id_of(body, edit.identity) if edit.identity else None)
    return (patch(body, API_VERSION, {"properties": {"encryption": {"keyVaultProperties": key}}}),)


def _tier(body: Json) -> str:
    sku = text(lookup(body, "sku", "name"))
    return f"its tier is {sku}; a key takes Standard or Premium" if sku.lower() in _WITHOUT_KEYS else ""


SERVICES = (
    Service(
        type="Microsoft.AppConfiguration/configurationStores",
        api_version=API_VERSION,
        traits=replace(
            FOLLOWING,
            picks_up_within=timedelta(hours=1),  # how long a key is kept in its cache
            keeps_access_for=timedelta(hours=1),  # and an hour to come back [the article below]
            actions=(
                "Microsoft.AppConfiguration/configurationStores/read",
                "Microsoft.AppConfiguration/configurationStores/write",
            ),
            sources=(
                "SDK azure-mgmt-appconfiguration 5.0.0 (names, verbs, api-version)",
                "azure-docs azure-app-configuration/concept-customer-managed-keys (RSA, Standard, cached for an hour)",
            ),
            can={**dict.fromkeys(Verb, Can.YES), Verb.REVERT: Can.UNVERIFIED},
            acts=Acting(trusted=None),
            notes=(
                "Standard stores only. Which RSA sizes are taken is not documented.",
                "That a null takes the key away is not documented; the app sends it only where a rule says unproven.",
            ),
        ),
        read=_read,
        write=_write,
        main_slot=SLOT,
        incapable=_tier,
    ),
)
