"""Resources: where they are, which keys they use, and what can be asked of them."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any

from msgspec import Struct

from shared.domain.keys import KeyRef

Json = dict[str, Any]
LONGEST_ID = 2048
_TOP = 9  # parts of the id of a top-level resource


class BadAddress(ValueError):
    """The text is not the id of an Azure resource."""


class ArmId(Struct, frozen=True):
    """The parts of a resource id. `names` holds one name for each level of `type`."""

    subscription: str
    group: str
    type: str  # "Microsoft.Storage/storageAccounts/encryptionScopes", as written
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the resource's own name."""
        return self.names[-1]


@lru_cache(4096)  # what is asked for again and again; ids that cannot be read are not kept
def parse_arm_id(text: str) -> ArmId:
    """Read a resource id of any case, with or without a trailing slash.

    Only resources in a resource group are meant: everything that holds a key lives in one. Raises BadAddress.
    """
    if len(text) > LONGEST_ID:
        raise BadAddress(f"a resource id of {len(text)} characters; {LONGEST_ID} are allowed")
    parts = text.strip().rstrip("/").split("/")
    lowered = [part.lower() for part in parts]
    fits = len(parts) >= 9 and len(parts) % 2 == 1 and parts[0] == "" and all(parts[1:])  # noqa: PLR2004
    if not fits or (lowered[1], lowered[3], lowered[5]) != ("subscriptions", "resourcegroups", "providers"):
        raise BadAddress(f"not the id of a resource in a resource group: {text[:200]!r}")
    if "providers" in lowered[7::2]:
        raise BadAddress(f"an extension of a resource, not a resource: {text[:200]!r}")
    if not all(_is_plain(part) for part in parts[1:]):
        raise BadAddress(f"a resource id with characters that Azure does not allow: {text[:200]!r}")
    return ArmId(parts[2], parts[4], "/".join([parts[6], *parts[7::2]]), tuple(parts[8::2]))


def _is_plain(part: str) -> bool:
    return part not in {".", ".."} and part.isprintable() and not set(part) & set("?#%\\ ")


class Address(Struct, frozen=True):
    """Where a resource is: its ARM type and its id. Compare `folded`: Azure changes the case of ids at will."""

    type: str
    url: str

    @property
    def folded(self) -> str:
        """Return the id in the one form that may be compared."""
        return fold(self.url)

    @property
    def arm(self) -> ArmId:
        """Return the id's parts."""
        return parse_arm_id(self.url)

    @property
    def group_id(self) -> str:
        """Return the id of the resource group, folded."""
        return "/".join(self.folded.split("/")[:5])

    @property
    def parent(self) -> str:
        """Return the id of the resource this one is a child of ("" for a top-level resource)."""
        pieces = self.url.rstrip("/").split("/")
        return "/".join(pieces[:-2]) if len(self.arm.names) > 1 else ""

    @property
    def top(self) -> Address:
        """Return the resource at the top, which is the resource itself unless it is a child."""
        return address_of("/".join(self.url.split("/")[:_TOP]))


def fold(id_: str) -> str:
    """Return an id in the one form that may be compared."""
    return id_.rstrip("/").lower()


def address_of(text: str) -> Address:
    """Return the address a resource id names. Raises BadAddress."""
    return Address(parse_arm_id(text).type, text.strip().rstrip("/"))


class KeyUse(Struct, frozen=True):
    """One key that a resource uses. A resource has none, one or several of these, told apart by `slot`."""

    slot: str
    configured: KeyRef
    follows: bool  # the service takes up new versions by itself
    effective: str | None = None  # the version in effect as the service reports it; None if it does not say
    tenant_is_foreign: bool = False
    trouble: str = ""  # why the service takes up no new version, in its own words; "" if it does not say
    # Which identity reaches it, where each of several keys has its own: as Change has it; None: the resource tells.
    identity: str | None = None


class Change(Struct, frozen=True, tag="change"):
    """What one slot shall point at.

    `follow`: the service shall take up new versions by itself, in the way that is its own; `to` names the version all
    the same, for services that want one even then. `identity` is the id of the user-assigned identity that reaches the
    key, "" the system-assigned one, None the one that is there.
    """

    slot: str
    to: KeyRef
    follow: bool
    identity: str | None = None


class Revert(Struct, frozen=True, tag="revert"):
    """One slot shall go back to the platform's key."""

    slot: str

    @property
    def to(self) -> None:
        """Return no key."""
        return None


Edit = Change | Revert


class Audience(Enum):
    """Whom a request is for, which decides the token it carries and the host it goes to."""

    ARM = "arm"
    SEARCH = "search"  # the data plane of a search service: what lies below the service in the address


class Request(Struct, frozen=True):
    """A write to Azure as plain data: wire JSON in, to be sent exactly so."""

    method: str
    address: Address
    api_version: str
    body: Json | None = None
    audience: Audience = Audience.ARM
    if_match: str = ""  # the ETag that the body was read with; "" where the service knows none
