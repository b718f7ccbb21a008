"""Managed identities of a resource, read from its body and written so that none gets lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.domain.jsonpath import lookup, text
from shared.domain.resource import Json, fold

_SYSTEM, _USER = "SystemAssigned", "UserAssigned"
_USERS = "/providers/microsoft.managedidentity/userassignedidentities/"
_OF_KEYS = ("encryption", "dataEncryption", "keyVaultProperties")  # where bodies say who reaches their keys


def principal_in(body: Json, identity: str) -> str:
    """Return the object id that a resource acts under with an identity it has, "" when it has none such."""
    if not identity:
        has = _SYSTEM.lower() in text(lookup(body, "identity", "type")).lower()
        return text(lookup(body, "identity", "principalId")).lower() if has else ""
    for id_, one in _assigned(body).items():
        if fold(id_) == fold(identity):
            return text(lookup(one, "principalId")).lower()
    return ""


def identities_in(body: Json) -> tuple[str, ...]:
    """Return the identities that a resource has: "" for the system-assigned one, and the ids of the others."""
    system = ("",) if principal_in(body, "") else ()
    return (*system, *_assigned(body))


def identities_named(body: Json, owner: Json) -> tuple[str, ...]:
    """Return the user-assigned identities of `owner` that a body's settings name, by id or client id."""
    said = frozenset(_words({name: value for name, value in body.items() if name.lower() != "identity"}))
    clients = {id_: text(lookup(one, "clientId")).lower() for id_, one in _assigned(owner).items()}
    return tuple(id_ for id_, client in clients.items() if said & {fold(id_), client or fold(id_)})


def identities_told(body: Json) -> tuple[str, ...]:
    """Return the identities by which a resource says that it reaches its keys: those that its settings name; where they
    name none, the system-assigned one; without that the only one there is. () where it does not tell.
    """
    if named := identities_named(body, body):
        return named
    here = identities_in(body)
    return here[:1] if "" in here or len(here) == 1 else ()


def has_no_identity(body: Json) -> bool:
    """Return whether a resource has no identity at all, as it says itself."""
    return text(lookup(body, "identity", "type")).lower() in {"", "none"} and not _assigned(body)


def has_assigned(body: Json, identity: str) -> bool:
    """Return whether a resource has that user-assigned identity."""
    return fold(identity) in map(fold, _assigned(body))


def left_behind(body: Json) -> str:
    """Return the id, folded, of a user-assigned identity by which a body says that its keys are reached although the
    resource has it no more; "" where there is none. One that is named by its client id is not known by it.
    """
    said = (one for place in _OF_KEYS for one in _words(lookup(body, "properties", place)))
    named = (one for one in said if one.startswith("/subscriptions/") and _USERS in one)
    return next((one for one in named if not has_assigned(body, one)), "")


def _words(value: Any) -> Iterator[str]:
    """Yield every text in a body, folded; of `kind=value` the value too."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, str):
        yield fold(value)
        yield fold(value.rpartition("=")[2])


def tenant_in(body: Json) -> str:
    """Return the tenant of the resource's identities, "" when it does not say."""
    return text(lookup(body, "identity", "tenantId")).lower()


def other_identities(body: Json, identity: str) -> str:
    """Return the identities of a resource besides this one, in words; "" when there is none."""
    others = [id_ for id_ in _assigned(body) if fold(id_) != fold(identity)]
    has_system = _SYSTEM.lower() in text(lookup(body, "identity", "type")).lower()
    return ", ".join([*others, *(["a system-assigned one"] if has_system and identity else [])])


def with_identity(body: Json, identity: str) -> Json:
    """Return the `identity` to send so that the resource has one more. A write replaces what was there, so everything
    is named again; what Azure fills in is left to it.
    """
    assigned = dict.fromkeys(_assigned(body), None)
    if identity and fold(identity) not in {fold(id_) for id_ in assigned}:
        assigned[identity] = None
    has_system = _SYSTEM.lower() in text(lookup(body, "identity", "type")).lower()
    kinds = [_SYSTEM] * (has_system or not identity) + [_USER] * bool(assigned)
    sent: Json = {"type": ",".join(kinds)}
    return {**sent, "userAssignedIdentities": {id_: {} for id_ in assigned}} if assigned else sent


def _assigned(body: Json) -> Json:
    found = lookup(body, "identity", "userAssignedIdentities")
    return found if isinstance(found, dict) else {}
