"""Rotation policies as the data plane has them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import isodate  # type: ignore[import-untyped]  # the package carries no types

from sandbox.keyring import Key
from sandbox.vault.bundles import kid, seconds
from sandbox.vault.refusals import bad
from sandbox.wire import Json
from sandbox.world import World

NEAR = "P30D"  # before expiry, unless the policy says otherwise [events.md 1]
SHORTEST_LIFE = timedelta(days=28)  # of expiryTime [services.md 1.11]
SHORTEST_TRIGGER = timedelta(days=7)


def add(moment: datetime, duration: str, sign: int = 1) -> datetime:
    """Return the moment an ISO 8601 duration (P18M, P30D) later, or earlier with sign -1."""
    parsed = isodate.parse_duration(duration)
    found: datetime = moment + parsed if sign > 0 else moment - parsed
    return found


def show(host: str, key: Key) -> Json:
    """Return the key's rotation policy as GET does; without one, what Key Vault does by default, which has no id."""
    default: Json = {"lifetimeActions": [{"trigger": {"timeBeforeExpiry": NEAR}, "action": {"type": "Notify"}}]}
    named = {"id": f"{kid(host, key)}/rotationpolicy"} if key.rotation_policy is not None else {}
    return {**named, "attributes": {}, **default, **(key.rotation_policy or {})}


def put(world: World, key: Key, body: Json) -> None:
    """Replace the key's rotation policy. Raises Refused 400 BadParameter for what Key Vault does not take."""
    now = world.now()
    expiry = (body.get("attributes") or {}).get("expiryTime")
    if expiry is not None and add(now, _duration(expiry)) < now + SHORTEST_LIFE:
        raise bad("The property attributes.expiryTime must be at least 28 days.")
    actions = list(body.get("lifetimeActions") or [])
    for one in actions:
        trigger = one.get("trigger") or {}
        kind = str((one.get("action") or {}).get("type", "")).lower()
        given = [trigger[name] for name in ("timeAfterCreate", "timeBeforeExpiry") if trigger.get(name)]
        if kind not in {"rotate", "notify"} or len(given) != 1:
            raise bad("A lifetime action needs a type, Rotate or Notify, and one trigger.")
        if add(now, _duration(given[0])) < now + SHORTEST_TRIGGER:
            raise bad("The trigger of a lifetime action must be at least 7 days.")
        if kind == "rotate" and trigger.get("timeBeforeExpiry") and expiry is None:
            raise bad("A rotation before expiry needs attributes.expiryTime.")
    before = (key.rotation_policy or {}).get("attributes") or {}
    stamps = {"created": before.get("created", seconds(now)), "updated": seconds(now)}
    key.rotation_policy = {"lifetimeActions": actions, "attributes": {"expiryTime": expiry, **stamps}}


def expiry_of(key: Key, created: datetime) -> datetime | None:
    """Return when a version made now by rotation expires, by the policy's expiryTime."""
    expiry = ((key.rotation_policy or {}).get("attributes") or {}).get("expiryTime")
    return add(created, str(expiry)) if expiry else None


def _duration(value: Any) -> str:
    try:
        isodate.parse_duration(value)
    except (isodate.ISO8601Error, TypeError) as error:
        raise bad(f"'{value}' is not an ISO 8601 duration.") from error
    return str(value)
