"""Data factories: PATCH knows no encryption, so all of one is put back. Facts: services.md 2 (docs/sources.md)."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.jsonpath import lookup, text
from shared.domain.keys import KeyRules
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request
from shared.domain.service import Can, May, Service, Verb
from shared.services.pointers import Split, aimed, forward, nested, put, writable
from shared.services.taken_for_granted import FOLLOWING

API_VERSION = "2018-06-01"  # [SDK azure-mgmt-datafactory 10.0.0]
SLOT = "encryption"
_KEY = Split("vaultBaseUrl")
_PATH = ("properties", "encryption")
_READ_ONLY = (
    "id",
    "name",
    "type",
    "eTag",
    "systemData",
    "properties.createTime",
    "properties.provisioningState",
    "properties.version",
)


def _read(body: Json) -> tuple[KeyUse, ...]:
    key = lookup(body, *_PATH)
    if not any(text(lookup(key, one)) for one in (_KEY.vault, _KEY.name)):
        return ()
    configured = _KEY.read(key)
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = forward(edits)
    whole = nested(writable(body, _READ_ONLY), _PATH, _KEY.pointing(lookup(body, *_PATH), aimed(change)))
    if change.identity is not None:
        whole = nested(whole, (*_PATH, "identity", "userAssignedIdentity"), change.identity or None)
    return (put(body, API_VERSION, whole, text(lookup(body, "eTag"))),)


SERVICES = (
    Service(
        type="Microsoft.DataFactory/factories",
        api_version=API_VERSION,
        traits=replace(
            FOLLOWING,
            accepts=KeyRules(frozenset((kty, 2048) for kty in ("RSA", "RSA-HSM"))),
            actions=("Microsoft.DataFactory/factories/read", "Microsoft.DataFactory/factories/write"),
            sources=(
                "SDK azure-mgmt-datafactory 10.0.0 (names, verbs, api-version, If-Match; PATCH has no encryption)",
                "azure-rest-api-specs datafactory 2018-06-01 (PATCH: tags, identity and public network access)",
                "azure-docs data-factory/enable-customer-managed-key (RSA 2048, same region, empty factories only)",
            ),
            can={
                Verb.REPOINT: Can.YES,
                Verb.SWITCH_KEY: Can.YES,
                Verb.SWITCH_VAULT: Can.UNVERIFIED,
                Verb.FOLLOW: Can.YES,
                Verb.PIN: Can.YES,
                Verb.ENABLE: Can.YES,
                Verb.REVERT: Reason.NO_WAY_BACK,
            },
            needs=frozenset({May.PUT}),
            irreversible=frozenset({Verb.ENABLE}),
            same_region=True,
            notes=(
                "A first key only while the factory is empty: Azure refuses the rest.",
                "How soon a follower takes a new version up is not documented: the app gives it a day.",
            ),
        ),
        read=_read,
        write=_write,
        main_slot=SLOT,
    ),
)
