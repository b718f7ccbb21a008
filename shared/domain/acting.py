"""As whom the resources of a service reach their key."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from shared.domain.identity import identities_told
from shared.domain.resource import Json


def untold(_body: Json) -> tuple[str, ...]:
    """Say that a body does not tell as whom its keys are reached."""
    return ()


class Acting(Struct, frozen=True):
    """Which identity reaches the key: what a rule can choose, and what a body tells.

    `told` reads from a body the identities by which its keys are reached, "" for the system-assigned one; () where
    nobody can tell. `shown` reads the object id of one that is not among the resource's own. `above`: a child acts as
    the resource above it does; this reads from that one's body which user-assigned identity that is, "" for the
    system-assigned one. `application`: the id of an application of Azure's own that acts instead.
    """

    system: bool = True  # the identity that Azure assigns
    user: bool = True  # a user-assigned one
    named: bool = True  # the request says which one; else it is the only one that the resource has
    rechosen: bool = True  # also one that comes later, with another key
    assigned: bool = True  # a PATCH gives the resource one more
    by_roles: bool = True  # also in vaults where roles decide
    trusted: bool | None = True  # vaults whose firewall lets trusted services through let it through; None: unverified
    told: Callable[[Json], tuple[str, ...]] = identities_told
    shown: Callable[[Json], str] | None = None
    above: Callable[[Json], str] | None = None
    application: str = ""

    @property
    def own(self) -> bool:
        """Return whether a resource reaches its key by its own identities and by nothing else."""
        return self.told is identities_told and not self.application and self.shown is None and self.above is None
