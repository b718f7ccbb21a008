"""What a line of evidence says before something is written: what it is, and which keys it is about."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from shared.domain.keys import KeyRef
from shared.domain.preparation import CreateKey, RecoverKey
from shared.domain.report import Begun
from shared.domain.resource import Json
from shared.domain.revocation import Taking, place_taken


class Taken(Struct, frozen=True, omit_defaults=True):
    """What is about to be written, such as a grant that goes: its kind, the id of what changes, and what it is."""

    step: str
    place: str
    said: Json = {}


def taken_of(step: Taking) -> Taken:
    """Return what is said of a grant that is about to go."""
    said: Json = msgspec.to_builtins(step)
    return Taken(said.pop("type"), place_taken(step), said)


def begun_of(begun: Begun) -> Taken:
    """Return what is said of a step that is about to be taken."""
    if begun.step is not None:
        said: Json = msgspec.to_builtins(begun.step)
        return Taken(said.pop("type"), begun.place, said)
    if not begun.changes:
        return Taken("NewVersion", begun.place)
    before = {use.slot: use.configured for use in begun.uses}
    changes = [
        {"slot": one.slot, "fromKey": url_of(before.get(one.slot)), "toKey": url_of(one.to)} for one in begun.changes
    ]
    return Taken("SetKeys", begun.place, {"changes": changes})


def keys_begun(begun: Begun) -> Iterator[KeyRef]:
    """Yield the keys that it is about."""
    slots = {one.slot for one in begun.changes}
    yield from (use.configured for use in begun.uses if use.slot in slots)
    yield from (one.to for one in begun.changes if one.to)
    if isinstance(begun.step, CreateKey | RecoverKey):
        yield begun.step.key.at(None)


def url_of(key: KeyRef | None) -> str:
    """Return the key identifier; "" stands for the platform's key."""
    return key.url if key else ""
