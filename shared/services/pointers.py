"""How services point at their keys, and the requests that change it: what several of them share."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.domain.jsonpath import lookup, member, replaced, text
from shared.domain.keys import BadKeyUrl, KeyRef, key_ref, parse_key_url
from shared.domain.resource import Change, Edit, Json, Request, address_of

_EVERY = "*"


def version_of(identifier: str) -> str | None:
    """Return the version that a key identifier names, or None."""
    try:
        return parse_key_url(identifier).version
    except BadKeyUrl:
        return None


def vault_as_written(written: str, to: KeyRef) -> str:
    """Return the vault's URI as the resource spells it (a trailing slash or not) when the vault stays the same."""
    same = written.lower().rstrip("/").removesuffix(":443") == f"https://{to.key.host}"
    return written if same else f"https://{to.key.host}"


def name_as_written(written: str, to: KeyRef) -> str:
    """Return the key's name as the resource spells it when the key stays the same."""
    return written if written.lower() == to.key.name else to.key.name


def identifier_as_written(written: str, to: KeyRef) -> str:
    """Return the identifier of `to`, the key spelled as the resource spells it when it stays the same."""
    stem = written.rstrip("/").rpartition("/")[0] if version_of(written) else written.rstrip("/")
    try:
        same = parse_key_url(stem).key == to.key
    except BadKeyUrl:
        same = False
    stem = stem if same else to.key.url
    return f"{stem}/{to.version}" if to.version else stem


class Split(Struct, frozen=True):
    """A key named by three members of one object."""

    vault: str = "keyVaultUri"
    name: str = "keyName"
    version: str = "keyVersion"

    def read(self, holder: Any) -> KeyRef:
        """Return the key that the object names. Raises BadKeyUrl."""
        return key_ref(*(text(lookup(holder, one)) for one in (self.vault, self.name, self.version)))

    def pointing(self, holder: Any, to: KeyRef) -> Json:
        """Return the object with another key in it. What stays the same stays as it is spelled, and no version in the
        form that it has; where there was one and shall be none, "" says so.
        """
        known: Json = holder if isinstance(holder, dict) else {}
        known = replaced(known, self.vault, vault_as_written(text(lookup(known, self.vault)), to))
        known = replaced(known, self.name, name_as_written(text(lookup(known, self.name)), to))
        left_out = not to.version and not text(lookup(known, self.version))
        return known if left_out else replaced(known, self.version, to.version or "")


class NoWayBack(TypeError):
    """A bug: a plan reverts what the service's traits say never goes back."""


def forward(edits: tuple[Edit, ...]) -> tuple[Change, ...]:
    """Return the edits of a service that never goes back to the platform's key. Raises NoWayBack."""
    changes = tuple(edit for edit in edits if isinstance(edit, Change))
    if len(changes) != len(edits):
        raise NoWayBack
    return changes


def aimed(change: Change) -> KeyRef:
    """Return what to name where following means to name no version."""
    return change.to.key.at(None) if change.follow else change.to


def client_id_of(body: Json, identity: str) -> str:
    """Return the client id of a user-assigned identity that is attached to the resource, or ""."""
    attached = lookup(body, "identity", "userAssignedIdentities")
    return text(lookup(attached, identity.strip().rstrip("/"), "clientId"))


def patch(body: Json, api_version: str, changed: Json) -> Request:
    """Return a PATCH of the resource. A null that was read is not sent back: to a merge it says "take this away"."""
    return Request("PATCH", address_of(str(body["id"])), api_version, _without_nulls_of(body, changed))


def _without_nulls_of(read: Any, sent: Json) -> Json:
    """Return what is sent without the nulls that were read at the same place. Lists are replaced, so they stay."""
    return {
        name: _without_nulls_of(lookup(read, name), value) if isinstance(value, dict) else value
        for name, value in sent.items()
        if value is not None or not _is_null(read, name)
    }


def _is_null(read: Any, name: str) -> bool:
    found = member(read, name) if isinstance(read, dict) else None
    return found is not None and read[found] is None


def put(body: Json, api_version: str, whole: Json, if_match: str = "") -> Request:
    """Return a PUT of the whole resource."""
    return Request("PUT", address_of(str(body["id"])), api_version, whole, if_match=if_match)


def nothing_to_send(_body: Json, _edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    """Return no request: the `write` of a service whose traits refuse every verb."""
    return ()


def writable(body: Json, read_only: tuple[str, ...]) -> Json:
    """Return a copy of the body without these dotted paths; "*" stands for every member of an object or a list."""
    for path in read_only:
        body = _without(body, path.split("."))
    return body


def _without(value: Any, path: list[str]) -> Any:
    name, *rest = path
    if isinstance(value, list):
        return [_without(one, rest) for one in value] if name == _EVERY and rest else value
    if not isinstance(value, dict):
        return value
    fits = (lambda _key: True) if name == _EVERY else (lambda key: key.lower() == name.lower())
    if not rest:
        return {key: one for key, one in value.items() if not fits(key)}
    return {key: _without(one, rest) if fits(key) else one for key, one in value.items()}


def nested(body: Json, path: tuple[str, ...], value: Any) -> Json:
    """Return a copy of the body with one value replaced, the objects on the way copied or made."""
    name, *rest = path
    if not rest:
        return replaced(body, name, value)
    inner = lookup(body, name)
    return replaced(body, name, nested(inner if isinstance(inner, dict) else {}, tuple(rest), value))
