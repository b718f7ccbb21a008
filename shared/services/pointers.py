"""How bodies point at keys: what services have in common, for their `read` and `write` to be made of."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import BadKeyUrl, KeyRef, key_ref, parse_key_url
from shared.domain.resource import Change, Edit, Json
from shared.domain.service import Rate

# Resource Manager takes 10 writes and 25 reads a second, after bursts of 200 and 250 [learn
# request-limits-and-throttling]. A change costs one write and two or three reads; a little is left to others.
ARM_PACE = Rate(burst=9, per_second=9)
ARM_LISTS = Rate(burst=20, per_second=20)


class NoWayBack(TypeError):
    """A bug: a plan reverts what the service's traits say never goes back."""


class Split(Struct, frozen=True):
    """A key named by three members of one object."""

    vault: str = "keyVaultUri"
    name: str = "keyName"
    version: str = "keyVersion"

    def read(self, holder: Any) -> KeyRef:
        """Return the key that the object names. Raises BadKeyUrl."""
        return key_ref(*(text(lookup(holder, one)) for one in (self.vault, self.name, self.version)))

    def pointing(self, holder: Json, to: KeyRef, *, version: str | None = None) -> Json:
        """Return the object with another key in it. What stays the same stays as it is spelled: a trailing slash, a
        port, upper case, and no version in the form that it has. `version` is what to write in place of the key's own
        ("": none).
        """
        vault, name = (text(lookup(holder, one)) for one in (self.vault, self.name))
        same_vault = vault.lower().rstrip("/").removesuffix(":443") == f"https://{to.key.host}"
        holder = replaced(holder, self.vault, vault if same_vault else f"https://{to.key.host}")
        holder = replaced(holder, self.name, name if name.lower() == to.key.name else to.key.name)
        version = to.version or "" if version is None else version
        return replaced(holder, self.version, version) if version or text(lookup(holder, self.version)) else holder


def identifier(written: str, to: KeyRef) -> str:
    """Return a key identifier to write in place of another one, whose spelling of the key stays if the key does."""
    try:
        before = parse_key_url(written)
    except BadKeyUrl:
        return to.url
    if before == to:
        return written
    if before.key != to.key:
        return to.url
    stem = written.strip().rstrip("/")
    stem = stem.rpartition("/")[0] if before.version else stem
    return f"{stem}/{to.version}" if to.version else stem


def version_of(written: str) -> str | None:
    """Return the version in an identifier that only tells; None where there is none to be read."""
    try:
        return parse_key_url(written).version
    except BadKeyUrl:
        return None


def nested(obj: Any, path: tuple[str, ...], value: Any) -> Json:
    """Return a copy of an object with the value at a path, under the names that are there already."""
    known: Json = obj if isinstance(obj, dict) else {}
    first, *rest = path
    return replaced(known, first, nested(lookup(known, first), tuple(rest), value) if rest else value)


def forward(edits: tuple[Edit, ...]) -> tuple[Change, ...]:
    """Return the edits of a service that never goes back to the platform's key. Raises NoWayBack."""
    changes = tuple(edit for edit in edits if isinstance(edit, Change))
    if len(changes) != len(edits):
        raise NoWayBack
    return changes
