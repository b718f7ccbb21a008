"""Synapse workspaces: one key, named without a version, whose new versions are never taken up. Facts: services.md 2
(docs/sources.md).
"""

from __future__ import annotations

from datetime import timedelta

from shared.domain.jsonpath import lookup, text
from shared.domain.keys import KeyId, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Edit, Json, KeyUse, Request, address_of
from shared.domain.service import Can, Follow, Proven, Service, Traits, Verb
from shared.services.pace import WORK
from shared.services.pointers import forward, identifier_as_written

API_VERSION = "2021-03-01"  # [SDK azure-mgmt-synapse 2.0.0]
SLOT = "cmk"

_TYPE = "Microsoft.Synapse/workspaces"
_KEY = ("properties", "encryption", "cmk", "key")
_RSA = frozenset((kty, bits) for kty in ("RSA", "RSA-HSM") for bits in (2048, 3072))

_SOURCES = (
    "SDK azure-mgmt-synapse 2.0.0 (names, verbs, api-version)",
    (
        "azure-docs synapse-analytics/security/workspaces-encryption 2022-01 (key types, same region, no double "
        "encryption later, a new version only by a temporary key and back)"
    ),
    "azure-docs commit 2157bf48 of 2025 (all dedicated SQL pools online before a change; old versions stay)",
)


def _read(body: Json) -> tuple[KeyUse, ...]:
    url = text(lookup(body, *_KEY, "keyVaultUrl"))
    return (KeyUse(SLOT, parse_key_url(url), follows=False),) if url else ()


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # The workspace's key is the one of its keys that is active; making another one active switches.
    (change,) = forward(edits)
    workspace = address_of(str(body["id"]))
    url = identifier_as_written(text(lookup(body, *_KEY, "keyVaultUrl")), change.to.key.at(None))
    sent = {"properties": {"isActiveCMK": True, "keyVaultUrl": url}}
    return (
        Request(
            "PUT", Address(f"{_TYPE}/keys", f"{workspace.url}/keys/{_name(body, change.to.key)}"), API_VERSION, sent
        ),
    )


def _name(body: Json, key: KeyId) -> str:
    """Return the name for a key among the workspace's: its own in the vault, unless the active key is another one of
    that name.
    """
    active = text(lookup(body, *_KEY, "name"))
    if parse_key_url(text(lookup(body, *_KEY, "keyVaultUrl"))).key == key:
        return active
    return f"{key.host.partition('.')[0]}-{key.name}" if active.lower() == key.name else key.name


SERVICES = (
    Service(
        type=_TYPE,
        api_version=API_VERSION,
        traits=Traits(
            follow=Follow.NEVER,
            reports_effective=False,
            accepts=KeyRules(_RSA),
            picks_up_within=None,
            keep_old_for=timedelta(hours=24),
            pace=WORK,
            actions=(f"{_TYPE}/read", f"{_TYPE}/keys/read", f"{_TYPE}/keys/write"),
            proven=Proven.DOCUMENTED,
            sources=_SOURCES,
            can={
                Verb.REPOINT: Reason.HOP_ONLY,
                Verb.SWITCH_KEY: Can.YES,
                Verb.SWITCH_VAULT: Can.YES,
                Verb.FOLLOW: Reason.NEVER_FOLLOWS,
                Verb.PIN: Reason.HOP_ONLY,
                Verb.ENABLE: Reason.CHOSEN_AT_CREATION,
                Verb.REVERT: Reason.NO_WAY_BACK,
            },
            same_region=True,
            notes=(
                (
                    "Nothing says which version a workspace holds. As soon as its key has a second one, the app "
                    "reports hop_only, also after the hop was made by hand."
                ),
                (
                    "Before a change all dedicated SQL pools must be online: one that is paused keeps the old version, "
                    "and cannot resume once that is gone."
                ),
            ),
        ),
        read=_read,
        write=_write,
    ),
)
