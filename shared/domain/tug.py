"""A tug of war: what the app set was there, and somebody else set it back, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from shared.domain.resource import Json

WITHIN = timedelta(days=1)


class Tug(Struct, frozen=True):
    """When, within a day, a change that is due now was made and seen to be there."""

    moments: tuple[datetime, ...]


def grants_in(lines: Iterable[Json], resource: str, vault: str, principal: str) -> tuple[datetime, ...]:
    """Return when, by these lines of evidence, a principal was let use the keys of a vault for this resource."""
    return tuple(
        datetime.fromisoformat(str(one["at"]))
        for line in lines
        if str(line.get("resource", "")).rstrip("/").lower() == resource
        for one in line.get("did", ())
        if one.get("step") == "GrantAccess" and one.get("accepted")
        if str(one.get("place", "")).lower() == vault.lower() and _principal(one) == principal
    )


def _principal(done: Json) -> str:
    said = done.get("said")
    return str(said.get("principal", "")) if isinstance(said, dict) else ""


def wins_in(lines: Iterable[Json], resource: str, slot: str, key: str) -> tuple[datetime, ...]:
    """Return when, by these lines of evidence, the slot was set to the key and then found there.

    Found there, since a change that Azure takes and then fails is no tug of war. `resource` is a folded id.
    """
    found: list[datetime] = []
    sent = False
    for line in lines:
        if str(line.get("resource", "")).rstrip("/").lower() != resource:
            continue
        wrote = [one for one in line.get("wrote", ()) if one.get("slot") == slot and one.get("accepted")]
        sent = any(one.get("toKey") == key for one in wrote) if wrote else sent
        if sent and line.get("outcome") == "converged":
            found.append(datetime.fromisoformat(str(line["at"])))
            sent = False
    return tuple(found)
