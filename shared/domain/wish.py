"""What an authorised caller wishes for one resource: it travels with the work, since nothing else remembers it."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.keys import KeyRef
from shared.domain.policy import Version


class Wish(Struct, frozen=True):
    """Use this key, follow it or stay pinned, or go back to the platform's key. `slot` "": every slot.

    `key` None keeps the key that is used. A version in it must be the newest usable one: another would be undone by the
    next sweep. `identity` is the id of the user-assigned identity that shall reach the key, "" the system-assigned one,
    None the one that does. `through`: the key to move to and back from, where a new version of `key` is not taken up
    otherwise.
    """

    key: KeyRef | None = None
    version: Version = Version.KEEP
    revert: bool = False
    slot: str = ""
    identity: str | None = None
    through: KeyRef | None = None
