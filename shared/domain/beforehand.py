"""What can be known of a row of writes before the first of them: whether Azure would refuse one that comes later."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import fold

EVERYBODY = "00000000-0000-0000-0000-000000000000"  # the principal of deny assignments that means all of them


class Need(Struct, frozen=True):
    """What one write takes: an action of the app's own, at the id that is written. `data`: within a vault, not on it.

    `there`: what exists already of the place, "" for nothing below the resource group.
    """

    place: str
    action: str
    there: str
    data: bool = False

    @property
    def group(self) -> str:
        """Return the id of the resource group that the place lies in."""
        return "/".join(self.place.split("/")[:5])


class Group(Struct, frozen=True):
    """A resource group that is there. `going`: it is being deleted."""

    location: str = ""
    going: bool = False


class Right(Struct, frozen=True):
    """What one of the app's roles allows where it was asked about; folded patterns. `tells`, `tells_data`: whether it
    says so, of writes and of data.
    """

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    tells_data: bool = True
    tells: bool = True


class Denial(Struct, frozen=True):
    """A deny assignment that counts for the app: where, and what it forbids; folded patterns."""

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    here_only: bool = False


def locked(need: Need, locks: Iterable[str]) -> Blocked | None:
    """Return why a lock is in the way, if one is. `locks`: the scopes of those that allow reading only. Whether one
    keeps a locked identity from being given to a resource, no source says: the write does.
    """
    written = need.action.lower().endswith("/write")
    found = next((one for one in locks if _holds(one, need.place)), None) if written and not need.data else None
    return Blocked(Reason.SCOPE_LOCKED, detail=f"{need.place}: {found} is locked against writing") if found else None


def denied(need: Need, denials: Iterable[Denial]) -> Blocked | None:
    """Return why a deny assignment is in the way, if one is."""
    for one in denials:
        here = fold(one.scope) == fold(need.place) if one.here_only else _holds(one.scope, need.place)
        taken = (one.data_actions, one.not_data_actions) if need.data else (one.actions, one.not_actions)
        if here and _fits(need.action, *taken):
            return Blocked(Reason.DENY_ASSIGNMENT, detail=f"{need.action} on {need.place}: denied at {one.scope}")
    return None


def allowed(need: Need, rights: Iterable[Right]) -> bool:
    """Return whether the app may write, as far as its roles tell: it may where one of them tells nothing of that kind,
    or none is told of.
    """
    told = [
        (one.data_actions, one.not_data_actions, one.tells_data)
        if need.data
        else (one.actions, one.not_actions, one.tells)
        for one in rights
    ]
    return not told or any(not tells or _fits(need.action, these, but) for these, but, tells in told)


def _holds(scope: str, place: str) -> bool:
    return f"{fold(place)}/".startswith(f"{fold(scope)}/")


def _fits(action: str, patterns: tuple[str, ...], but: tuple[str, ...]) -> bool:
    wanted = action.lower()
    return any(fnmatchcase(wanted, one) for one in patterns) and not any(fnmatchcase(wanted, one) for one in but)
