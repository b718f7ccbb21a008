"""Synapse workspaces: one key, named without a version, whose new versions are never taken up. Facts: services.md 2
(docs/sources.md).

Nothing that Azure shows says which version a workspace holds. So the app writes down, in a tag, which one it moved the
workspace to; the tag counts as long as it is about the key that is active.
"""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import KeyId, KeyRules, is_key_name, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Edit, Json, KeyUse, Request, address_of
from shared.domain.service import Can, Service, Verb
from shared.services.pointers import forward, identifier_as_written, patch
from shared.services.taken_for_granted import PINNED

API_VERSION = "2021-03-01"  # [SDK azure-mgmt-synapse 2.0.0]
SLOT = "cmk"
VERSION = "cmk-autopilot-key-version"

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
    if not url:
        return ()
    key = parse_key_url(url).key
    stem, _, version = text(lookup(body, "tags", VERSION)).lower().rpartition("/")
    return (KeyUse(SLOT, key.at(version if stem == _stem(key) and is_key_name(version) else None), follows=False),)


def _stem(key: KeyId) -> str:
    return f"{key.host.partition('.')[0]}/{key.name}"


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # The workspace's key is the one of its keys that is active; making another one active switches.
    (change,) = forward(edits)
    workspace = address_of(str(body["id"]))
    url = identifier_as_written(text(lookup(body, *_KEY, "keyVaultUrl")), change.to.key.at(None))
    sent = {"properties": {"isActiveCMK": True, "keyVaultUrl": url}}
    there = Address(f"{_TYPE}/keys", f"{workspace.url}/keys/{_name(body, change.to.key)}")
    activate = Request("PUT", there, API_VERSION, sent)
    if not change.to.version:
        return (activate,)
    tags = lookup(body, "tags")
    told = replaced(tags if isinstance(tags, dict) else {}, VERSION, f"{_stem(change.to.key)}/{change.to.version}")
    return activate, patch(body, API_VERSION, {"tags": told})


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
        traits=replace(
            PINNED,
            accepts=KeyRules(_RSA),
            actions=(f"{_TYPE}/read", f"{_TYPE}/write", f"{_TYPE}/keys/read", f"{_TYPE}/keys/write"),
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
            acts=Acting(rechosen=False),
            same_region=True,
            notes=(
                (
                    f"Azure does not say which version a workspace holds; the app writes down in the tag {VERSION} "
                    "which one it moved the workspace to. Without that tag hop_only is reported as soon as the key has "
                    "a second version, also after a hop by hand."
                ),
                (
                    "A hop is made on a caller's wish only: POST use-key with the key and, in through, a temporary key "
                    "that the workspace's identity may use; the rule must allow hop. The two changes are half an hour "
                    "apart. A key that the app makes active is called, among the workspace's keys, as in its vault; "
                    "whether two of those may name one key is not documented."
                ),
                (
                    "Before a change all dedicated SQL pools must be online: one that is paused keeps the old version, "
                    "and cannot resume once that is gone."
                ),
            ),
            afterwards=(
                "Keep the old version, and after a hop the temporary key, until every dedicated SQL pool has been "
                "online since: only then is it encrypted anew."
            ),
        ),
        read=_read,
        write=_write,
    ),
)
