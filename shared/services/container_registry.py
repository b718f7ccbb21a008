"""Container registries. Facts: services.md 2 (docs/sources.md)."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request
from shared.domain.service import Can, Service, Verb
from shared.services.pointers import aimed, client_id_of, forward, identifier_as_written, patch, version_of
from shared.services.taken_for_granted import FOLLOWING

API_VERSION = "2025-11-01"  # [SDK azure-mgmt-containerregistry 15.0.0]
SLOT = "encryption"
_READ_ONLY = ("versionedKeyIdentifier", "keyRotationEnabled", "lastKeyRotationTimestamp")


def _read(body: Json) -> tuple[KeyUse, ...]:
    encryption = lookup(body, "properties", "encryption")
    if text(lookup(encryption, "status")).lower() != "enabled":
        return ()
    configured = parse_key_url(text(lookup(encryption, "keyVaultProperties", "keyIdentifier")))
    effective = version_of(text(lookup(encryption, "keyVaultProperties", "versionedKeyIdentifier")))
    return (KeyUse(SLOT, configured, configured.version is None, effective),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = forward(edits)
    before = lookup(body, "properties", "encryption", "keyVaultProperties")
    key = without(before if isinstance(before, dict) else {}, *_READ_ONLY)
    key = replaced(key, "keyIdentifier", identifier_as_written(text(lookup(key, "keyIdentifier")), aimed(change)))
    if change.identity is not None:  # "system" is the service's own word [azure-cli acr/custom.py, rotate_key]
        key = replaced(key, "identity", client_id_of(body, change.identity) if change.identity else "system")
    return (patch(body, API_VERSION, {"properties": {"encryption": {"keyVaultProperties": key}}}),)


SERVICES = (
    Service(
        type="Microsoft.ContainerRegistry/registries",
        api_version=API_VERSION,
        traits=replace(
            FOLLOWING,
            reports_effective=True,
            picks_up_within=timedelta(hours=1),
            keep_old_for=timedelta(hours=1),
            actions=(
                "Microsoft.ContainerRegistry/registries/read",
                "Microsoft.ContainerRegistry/registries/write",
            ),
            sources=(
                "SDK azure-mgmt-containerregistry 15.0.0 (names, verbs, api-version, versionedKeyIdentifier)",
                "learn cli/azure/acr/encryption (rotate-key: with a version by hand, without one by itself)",
                "azure-docs container-registry/tutorial-rotate-revoke-customer-managed-keys (within the hour)",
            ),
            can={
                Verb.REPOINT: Can.YES,
                Verb.SWITCH_KEY: Can.YES,
                Verb.SWITCH_VAULT: Can.YES,
                Verb.FOLLOW: Can.YES,
                Verb.PIN: Can.YES,
                Verb.ENABLE: Reason.CHOSEN_AT_CREATION,
                Verb.REVERT: Reason.NO_WAY_BACK,
            },
            notes=("Premium registries only. Which key sizes are taken is not documented.",),
        ),
        read=_read,
        write=_write,
    ),
)
