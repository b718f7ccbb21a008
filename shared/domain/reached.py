"""Who reaches the keys of a vault for a resource, read from what the resource says of its identities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from shared.domain.jsonpath import lookup, text
from shared.domain.resource import Json, fold
from shared.domain.vault import Grant, Vault


class Holder(Struct, frozen=True):
    """A principal that a resource may reach keys as, and the roles it holds at, above and below a vault."""

    principal: str
    grants: tuple[Grant, ...] = ()


class Reach(Struct, frozen=True):
    """A vault as it is now, and whom a resource reaches it as; no holder: nobody can tell."""

    vault: Vault
    holders: tuple[Holder, ...] = ()


def principals_of(body: Json) -> tuple[str, ...]:
    """Return the object ids that a resource may reach its keys as.

    Those of the user-assigned identities that its settings name, by id or client id; where they name none, the
    system-assigned one; without that the only identity there is. () where the body does not tell.
    """
    attached = lookup(body, "identity", "userAssignedIdentities")
    users: Json = attached if isinstance(attached, dict) else {}
    said = frozenset(_words({name: value for name, value in body.items() if name.lower() != "identity"}))
    named = [
        text(lookup(one, "principalId")).lower()
        for id_, one in users.items()
        if said & {fold(id_), text(lookup(one, "clientId")).lower() or fold(id_)}
    ]
    own = text(lookup(body, "identity", "principalId")).lower()
    only = [text(lookup(one, "principalId")).lower() for one in users.values()]
    found = named or ([own] if own else only if len(only) == 1 else [])
    return tuple(one for one in found if one)


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
