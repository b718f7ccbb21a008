"""Event Hubs and Service Bus namespaces: up to three keys in one list. Facts: services.md 2 (docs/sources.md).

The keys stand in for each other: if one cannot be used, the next one is. A write replaces the list, so all is sent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import BadKeyUrl
from shared.domain.reasons import Reason
from shared.domain.resource import Change, Edit, Json, KeyUse, Request
from shared.domain.service import Can, Service, Verb
from shared.domain.vault import ENCRYPTION_USER, Access
from shared.services.pointers import Split, aimed, forward, patch
from shared.services.taken_for_granted import FOLLOWING

API_VERSION = "2026-01-01"  # [SDK azure-mgmt-eventhub 12.0.0, azure-mgmt-servicebus 10.0.0]

_KEY = Split()
_LISTING = Access(ENCRYPTION_USER, ("get", "list", "wrapKey", "unwrapKey"))
_LIST = "keyVaultProperties"
_IDENTITY = "userAssignedIdentity"
_SOURCE = "Microsoft.KeyVault"

_SOURCES = (
    "SDK azure-mgmt-eventhub 12.0.0, azure-mgmt-servicebus 10.0.0 (names, verbs, api-version)",
    "azure-docs event-hubs/configure-customer-managed-key 2021-08 and later (three keys, empty namespaces, Premium)",
    "azure-docs service-bus-messaging/configure-customer-managed-key (the same for Service Bus)",
)


def slot(number: int) -> str:
    """Return the slot of an entry of the list."""
    return f"{_LIST}[{number}]"


def _entries(body: Json) -> list[Any]:
    encryption = lookup(body, "properties", "encryption")
    if text(lookup(encryption, "keySource")).lower() != _SOURCE.lower():
        return []
    found = lookup(encryption, _LIST)
    if found is not None and not isinstance(found, list):
        raise BadKeyUrl(f"{_LIST} is no list")
    return found or []


def _read(body: Json) -> tuple[KeyUse, ...]:
    entries = {slot(number): entry for number, entry in enumerate(_entries(body)) if _names_a_key(entry)}
    found = {name: (_KEY.read(entry), text(lookup(entry, "identity", _IDENTITY))) for name, entry in entries.items()}
    apart = len({who for _, who in found.values()}) > 1  # one that names none acts by the system-assigned identity
    return tuple(
        KeyUse(name, configured, configured.version is None, identity=who if apart else None)
        for name, (configured, who) in found.items()
    )


def _names_a_key(entry: Any) -> bool:
    """Return whether an entry says anything of a key: one that is empty stays where it is, and is none."""
    return bool(entry) and (
        not isinstance(entry, dict) or any(text(lookup(entry, one)) for one in (_KEY.vault, _KEY.name))
    )


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    wanted = {change.slot: change for change in forward(edits)}
    known = _entries(body)
    entries = [_pointing(entry, wanted.pop(slot(number), None)) for number, entry in enumerate(known)] + [
        _pointing({}, change) for change in wanted.values()
    ]
    before = lookup(body, "properties", "encryption")
    encryption = replaced(before if isinstance(before, dict) else {}, _LIST, entries)
    if not known:
        encryption = replaced(encryption, "keySource", _SOURCE)
    return (patch(body, API_VERSION, {"properties": {"encryption": encryption}}),)


def _pointing(entry: Any, change: Change | None) -> Any:
    if change is None:
        return entry
    entry = _KEY.pointing(entry, aimed(change))
    if change.identity is None:
        return entry
    return replaced(entry, "identity", {_IDENTITY: change.identity} if change.identity else None)


def _tier(body: Json) -> str:
    """Say which tier takes no key; a namespace of a dedicated cluster is called Standard, and takes one."""
    sku = text(lookup(body, "sku", "name"))
    takes = sku.lower() in {"", "premium"} or text(lookup(body, "properties", "clusterArmId"))
    return "" if takes else f"its tier is {sku}; a key takes Premium, or a dedicated cluster"


def _namespaces(type_: str) -> Service:
    return Service(
        type=type_,
        api_version=API_VERSION,
        traits=replace(
            FOLLOWING,
            picks_up_within=timedelta(hours=1),
            keep_old_for=timedelta(hours=1),
            actions=(f"{type_}/read", f"{type_}/write"),
            sources=_SOURCES,
            can={
                Verb.REPOINT: Can.YES,
                Verb.SWITCH_KEY: Can.YES,
                Verb.SWITCH_VAULT: Can.YES,
                Verb.FOLLOW: Can.YES,
                Verb.PIN: Can.YES,
                Verb.ENABLE: Can.YES,
                Verb.REVERT: Reason.NO_WAY_BACK,
            },
            irreversible=frozenset({Verb.ENABLE}),
            access=_LISTING,
            notes=(
                (
                    "Premium namespaces and those of dedicated clusters only, and a first key only while the namespace "
                    "is empty: Azure refuses the rest."
                ),
                (
                    "The namespace looks at its keys every five minutes; how soon it takes a new version up is not "
                    "documented, so the app gives it an hour. Key sizes are not documented either."
                ),
            ),
        ),
        read=_read,
        write=_write,
        main_slot=slot(0),
        incapable=_tier,
    )


SERVICES = (_namespaces("Microsoft.EventHub/namespaces"), _namespaces("Microsoft.ServiceBus/namespaces"))
