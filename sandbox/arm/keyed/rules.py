"""What a type's rule may say about its keys. Members left out are what most services do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.arm import identities
from sandbox.arm.encryption import Pointer
from sandbox.arm.operations import Style
from sandbox.identity import principal_of
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import WRAPPING
from sandbox.wire import Json, Refused
from sandbox.world import World

HOUR: Final = 3600  # seconds
DAY: Final = 24 * HOUR

# Whose principal reaches the key: of the resource that has the identity, by the object that points. None: this says
# nothing, ask the next; "": an identity is named that the resource does not have.
Finder = Callable[[World, Json, Json], str | None]


@dataclass(frozen=True)
class Place:
    """Where a body points at a key: an object ("[]" behind it: a list of them), and its members' names."""

    at: str
    split: tuple[str, str, str] = ("keyVaultUri", "keyName", "keyVersion")
    uri: str = ""  # one member holds the key's URI, in place of the three
    who: tuple[Finder, ...] = ()
    when: tuple[str, str] = ("", "")  # a path and its value in lower case; anything else: this place is off
    off: bool = False  # it may go back to the platform's key even where the others may not

    def spoken_of(self, sent: Json) -> bool:
        """Return whether a request's body names this key or a part of it."""
        found = at(sent, self.at.removesuffix("[]"))
        return isinstance(found, list) or any(one in (found or {}) for one in (self.uri, *self.split))

    def wrong(self, body: Json) -> bool:
        """Return whether the place is on, or holds a URI, and names no key."""
        holder = at(body, self.at.removesuffix("[]"))
        several = [one if isinstance(one, dict) else {} for one in (holder if isinstance(holder, list) else [holder])]
        path, wanted = self.when
        on = bool(path) and str(at(body, path)).lower() == wanted
        return any(self.pointer(one) is None and (on or bool(self.uri and one.get(self.uri))) for one in several)

    def pointer(self, holder: Json) -> Pointer | None:
        """Return where an object points; None for one that names no key."""
        if self.uri:
            return identifier(str(holder.get(self.uri) or ""))
        vault, name, version = (str(holder.get(one) or "") for one in self.split)
        host = (urlsplit(vault).hostname or "").lower()
        return Pointer(host, name, version) if host and name else None


@dataclass(frozen=True)
class Use:
    """One key that a body points at."""

    slot: str  # the place, with a number where there are several
    place: Place
    holder: Json
    pointer: Pointer


Derive = Callable[[World, Json], Json]
Taken = Callable[[World, Json, Use, Key, KeyVersion], None]
Shows = Callable[[Json, Use, Key, KeyVersion, str], Json]
Also = Callable[[World, Json | None, Json], None]


@dataclass(frozen=True)
class Keyed:
    """A type's rule."""

    places: tuple[Place, ...]
    version: str = "either"  # must be "pinned", must be "none", or either
    types: tuple[str, ...] = ("RSA", "RSA-HSM")
    bits: tuple[int, ...] = (2048, 3072, 4096)
    needs: tuple[str, ...] = WRAPPING
    same: tuple[str, ...] = ()  # region, subscription: the vault's; vault: as it was
    granted_later: bool = False  # made first, then its own new identity is given access: asked at the next write
    access: str = "KeyVaultAccessForbidden"  # the code for a key that cannot be reached or used
    invalid: str = "BadRequest"
    busy: tuple[int, str] = (409, "Conflict")
    style: Style | None = None  # None: at once
    made: int = 201  # the answer to a PUT that makes one
    word: str = "InProgress"  # of an operation that runs
    state: str = "properties.provisioningState"  # "": it has none
    changing: str = "Updating"  # the state meanwhile
    done: str = "Succeeded"
    failed: str = "Failed"
    patch: tuple[str, tuple[str, ...]] | None = None  # below this path PATCH takes these members only
    owned: tuple[str, ...] = ()  # read-only paths
    fixed: tuple[str, ...] = ()  # paths that never change after creation
    on_later: bool = True  # a resource on the platform's key may get one
    off: bool = True  # and may go back
    follows: int = 0  # seconds between two looks for a new version
    auto: Callable[[Json, Use], bool] = lambda _body, use: not use.pointer.version
    shows: Shows | None = None  # what a version in effect changes in the body, as a merge patch
    shown: str = ""  # the path at which the version in effect can be read
    during: Callable[[Json, Json], Json] | None = None  # old, new -> what GET shows meanwhile
    blind: Callable[[str], Json] | None = None  # what a follower shows that cannot look ("": can), as a merge patch
    also: tuple[Also, ...] = ()  # refusals of its own, at once
    derive: Derive | None = None  # fills in what the service works out from what was sent
    taken: Taken | None = None  # what a version in effect changes in other resources
    above: int = 0  # the identity is that of a resource so many levels up
    etag: bool = False  # If-Match is honoured
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by `kind` in lower case: what differs

    def of(self, body: Json) -> Keyed:
        """Return the rule as it is for the kind of a body."""
        differs = self.kinds.get(str(body.get("kind") or "").lower(), self.kinds.get("", {}))
        return replace(self, **differs, kinds={}) if differs else self

    def uses(self, body: Json) -> Iterator[Use]:
        """Yield the keys that a body points at."""
        for place in self.places:
            path, wanted = place.when
            if path and str(at(body, path)).lower() != wanted:
                continue
            found = at(body, place.at.removesuffix("[]"))
            several = found if place.at.endswith("[]") and isinstance(found, list) else [found]
            for number, holder in enumerate(several):
                pointer = place.pointer(holder) if isinstance(holder, dict) else None
                if pointer is not None:
                    yield Use(f"{place.at}.{place.uri}{number or ''}", place, holder, pointer)


def at(body: Any, path: str) -> Any:
    """Return what lies at a dotted path, or None."""
    for name in path.split(".") if path else ():
        body = body.get(name) if isinstance(body, dict) else None
    return body


def nested(path: str, value: Any) -> Json:
    """Return the object that has a value at a dotted path and nothing else."""
    for name in reversed(path.split(".")):
        value = {name: value}
    found: Json = value
    return found


def identifier(uri: str) -> Pointer | None:
    """Take a key's URI apart, versioned or not; None for anything else."""
    parts = urlsplit(uri)
    match [part for part in parts.path.split("/") if part]:
        case [keys, name, *version] if keys.lower() == "keys" and len(version) <= 1 and parts.hostname:
            return Pointer(parts.hostname.lower(), name, "".join(version))
        case _:
            return None


def refuse(rule: Keyed, message: str) -> Refused:
    """Return the refusal of a request that this service finds wrong."""
    return Refused(400, rule.invalid, message)


def system(_world: World, owner: Json, _holder: Json) -> str | None:
    """Find the system-assigned identity."""
    return identities.principal(owner.get("identity"), None)


def attached(_world: World, owner: Json, _holder: Json) -> str | None:
    """Find the one user-assigned identity that is attached, whichever it is."""
    for entry in ((owner.get("identity") or {}).get("userAssignedIdentities") or {}).values():
        return str((entry or {}).get("principalId") or "")
    return None


def named(path: str) -> Finder:
    """Find the identity whose ARM id is at a path of the owner, or (".member") of the object that points."""

    def find(_world: World, owner: Json, holder: Json) -> str | None:
        id_ = at(holder, path[1:]) if path.startswith(".") else at(owner, path)
        return None if not id_ else identities.principal(owner.get("identity"), str(id_)) or ""

    return find


def client(member: str) -> Finder:
    """Find the attached identity whose client id the object that points has in this member."""

    def find(_world: World, owner: Json, holder: Json) -> str | None:
        wanted = str(holder.get(member) or "").lower()
        entries = ((owner.get("identity") or {}).get("userAssignedIdentities") or {}).values()
        found = (one for one in entries if str((one or {}).get("clientId") or "").lower() == wanted)
        return None if not wanted else next((str(one.get("principalId") or "") for one in found), "")

    return find


def application(client_id: str) -> Finder:
    """Find a first-party application: its object id differs from tenant to tenant, here from seed to seed."""
    return lambda world, _owner, _holder: principal_of(world, client_id)
