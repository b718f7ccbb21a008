"""Disk encryption sets, and the disks and snapshots that use them. Facts: services.md 1.5 (docs/sources.md)."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text, without
from shared.domain.keys import RSA_2048_TO_4096, BadKeyUrl, KeyRef, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Follow, Proven, Rate, Service, Traits, Verb
from shared.services.pace import WORK
from shared.services.pointers import identifier_as_written, nothing_to_send, patch

API_VERSION = "2026-03-02"  # [SDK azure-mgmt-compute 39.0.0]
SLOT = "activeKey"
_FLAG = "rotationToLatestKeyVersionEnabled"
_NOBODY = "none"  # how a federated client id is written that was taken away [SDK docstring]

# Compute counts by subscription: a recording showed 94 left of what looks like 100 in three minutes, and 279 of 300 in
# thirty [azure-cli recording test_disk_encryption_set_update]. This stays below both.
_PACE = Rate(burst=30, per_second=0.14)

_SOURCES = (
    "SDK azure-mgmt-compute 39.0.0 (names, verbs, api-version; the key is named with its version, always)",
    "azure-cli recording test_disk_encryption_set_update (a long-running operation; from one vault to another)",
    "azure-compute-docs disk-encryption.md (2026-04) and its restrictions (key types, region, within one hour)",
)


def _read(body: Json) -> tuple[KeyUse, ...]:
    properties = lookup(body, "properties")
    written = text(lookup(properties, "activeKey", "keyUrl"))
    if not written:
        return ()
    configured = parse_key_url(written)
    follows = lookup(properties, _FLAG) is True
    foreign = text(lookup(properties, "federatedClientId")).lower() not in {"", _NOBODY}
    effective = _in_effect(configured, lookup(properties, "previousKeys"))
    return (KeyUse(SLOT, configured, follows, effective, foreign, _trouble(properties)),)


def _in_effect(configured: KeyRef, previous: object) -> str | None:
    """Return the version in effect: while a rotation is under way, which is when previous keys are listed, the old."""
    if not isinstance(previous, list) or not previous:
        return configured.version
    try:
        before = parse_key_url(text(lookup(previous[0], "keyUrl")))
    except BadKeyUrl:
        return None
    return before.version if before.key == configured.key else None


def _trouble(properties: object) -> str:
    """Return why rotation is paused, as the service says."""
    error = lookup(properties, "autoKeyRotationError")
    return ": ".join(part for part in (text(lookup(error, "code")), text(lookup(error, "message"))) if part)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = edits
    if isinstance(change, Revert):
        return ()  # a set never holds the platform's key
    properties = lookup(body, "properties")
    active = lookup(properties, "activeKey") or {}
    written = text(lookup(active, "keyUrl"))
    # Whoever only says "follow" leaves the version that is there: a set always names one.
    named = change.to.version or not _same_key(written, change.to)
    sent = replaced(active, "keyUrl", identifier_as_written(written, change.to) if named else written)
    if not _same_host(written, change.to):
        sent = replaced(without(sent, "sourceVault"), "sourceVault", None)  # the old vault's; a set may do without
    changed: Json = {"activeKey": sent}
    if change.follow != (lookup(properties, _FLAG) is True):
        changed[_FLAG] = change.follow
    return (patch(body, API_VERSION, {"properties": changed}),)


def _same_key(written: str, to: KeyRef) -> bool:
    try:
        return parse_key_url(written).key == to.key
    except BadKeyUrl:
        return False


def _same_host(written: str, to: KeyRef) -> bool:
    try:
        return parse_key_url(written).key.host == to.key.host
    except BadKeyUrl:
        return False


def _kind(body: Json) -> str:
    return text(lookup(body, "properties", "encryptionType"))


_TRAITS = Traits(
    follow=Follow.BY_FLAG,
    reports_effective=True,
    accepts=KeyRules(RSA_2048_TO_4096),
    picks_up_within=timedelta(hours=1),
    keep_old_for=timedelta(hours=1),
    keeps_access_for=timedelta(hours=1),  # then machines' reads and writes fail [the article on server-side encryption]
    pace=_PACE,
    actions=("Microsoft.Compute/diskEncryptionSets/read", "Microsoft.Compute/diskEncryptionSets/write"),
    proven=Proven.RECORDED,
    sources=_SOURCES,
    can={
        Verb.REPOINT: Can.YES,
        Verb.ENABLE: Reason.CHOSEN_AT_CREATION,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Can.UNVERIFIED,
        Verb.FOLLOW: Can.YES,
        Verb.PIN: Can.YES,
        Verb.REVERT: Reason.CANNOT,
    },
    acts=Acting(named=False),
    same_region=True,
    notes=(
        "The active key's URL has a version even when the set follows: the service rewrites it.",
        (
            "The vault may be in another subscription, and then there is no sourceVault. The recording moves to "
            "another vault by a PUT with sourceVault; a PATCH that takes it away was not seen."
        ),
        "A set that reports autoKeyRotationError takes up no version until its access to the key is put right.",
        "How fast Compute lets go is inferred from the counters of one recording.",
    ),
)

SETS = Service(
    type="Microsoft.Compute/diskEncryptionSets",
    api_version=API_VERSION,
    traits=_TRAITS,
    read=_read,
    write=_write,
    main_slot=SLOT,
    kinds=MappingProxyType(
        {
            "confidentialvmencryptedwithcustomerkey": replace(
                _TRAITS,
                follow=Follow.NEVER,
                picks_up_within=None,
                sources=(
                    *_SOURCES,
                    "azure-docs confidential-computing/key-rotation-offline (machines are stopped first)",
                ),
                can={
                    **_TRAITS.can,
                    Verb.REPOINT: Can.UNVERIFIED,
                    Verb.SWITCH_KEY: Can.UNVERIFIED,
                    Verb.PIN: Can.UNVERIFIED,
                    Verb.FOLLOW: Reason.NEVER_FOLLOWS,
                },
                notes=(
                    (
                        "Stop all confidential virtual machines of the set before its key is changed, and allow "
                        "`unproven` for such a set only then: while one runs none of them gets the new key, and some "
                        "may be left on the old one. Sets of machines with ephemeral disks take no new key."
                    ),
                    "Confidential virtual machines do not follow by themselves.",
                ),
            )
        }
    ),
    kind_of=_kind,
)


def _uses_nothing(_body: Json) -> tuple[KeyUse, ...]:
    return ()


def _set_of(body: Json) -> tuple[str, ...]:
    found = text(lookup(body, "properties", "encryption", "diskEncryptionSetId"))
    return (found,) if found else ()


def _at_the_set(type_: str) -> Service:
    """Return a service that names no key of its own: moving the set's key moves it along."""
    traits = replace(
        _TRAITS,
        follow=Follow.ALWAYS,
        pace=WORK,
        actions=(f"{type_}/read",),
        proven=Proven.DOCUMENTED,
        same_region=False,
        sources=(
            "azure-compute-docs disk-encryption.md (2026-04): a set's key is that of all its disks",
            "azure-cli pull request 11805 (an existing disk or snapshot is given a set), 22484 (and goes back)",
            "terraform-provider-azurerm pull request 6207 (not while its virtual machine runs)",
        ),
        can=dict.fromkeys(Verb, Reason.KEY_IS_AT_ENCRYPTION_SET),
        elsewhere=Reason.KEY_IS_AT_ENCRYPTION_SET,
        notes=(
            (
                "A sweep counts those on the platform's key by what the index shows, and reads none. Which of them use "
                "a key through a set is told by a dry run of converge with that key."
            ),
            (
                "One on the platform's key can be given a set later, by PATCH of properties.encryption (type and "
                "diskEncryptionSetId), while it is unattached or its virtual machine is deallocated; and back while it "
                "has no incremental snapshots. The app does neither: no rule names a set, and machines would have to "
                "stop."
            ),
        ),
    )
    return Service(
        type=type_,
        api_version=API_VERSION,
        traits=traits,
        read=_uses_nothing,
        write=nothing_to_send,
        in_graph=False,  # there are many, and none names a key
        only_counted=True,
        through=_set_of,
    )


DISKS = _at_the_set("Microsoft.Compute/disks")
SNAPSHOTS = _at_the_set("Microsoft.Compute/snapshots")

SERVICES = (SETS, DISKS, SNAPSHOTS)
