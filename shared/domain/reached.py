"""A vault that a resource's key lies in, and whom the resource reaches it as."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.vault import Grant, Vault


class Holder(Struct, frozen=True):
    """A principal that a resource may reach keys as, and the roles it holds at, above and below a vault."""

    principal: str
    grants: tuple[Grant, ...] = ()


class Reach(Struct, frozen=True):
    """A vault as it is now, and whom a resource reaches it as; no holder: nobody can tell. `gone`: in words, that the
    identity by which it was reached is not there any more; whoever else it has was never meant to reach it.
    """

    vault: Vault
    holders: tuple[Holder, ...] = ()
    gone: str = ""
