"""Vaults that were deleted and can come back: Microsoft.KeyVault/deletedVaults."""

from __future__ import annotations

from datetime import datetime, timedelta

from sandbox.arm import generic
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import drop, stamp
from sandbox.arm.target import subscription_of
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

RETENTION = 90  # days, where the vault says nothing


def delete(world: World, request: Request) -> Answer:
    """DELETE of a vault: it can be recovered, with its keys, until its retention is over; 204 if it was not there."""
    body = world.resources.get(request.target.id)
    if body is None:
        return generic.delete(world, request)
    if body["properties"].get("enableSoftDelete") is False:
        _forget_keys(world, str(body["name"]))
    else:
        _graves(world)[str(body["name"]).lower()] = (body, world.now())
    drop(world, request.target.id)
    return Answer(200)


def recoverable(world: World, name: str) -> Json | None:
    """Return the body of a deleted vault of that name (any case) that still holds the name, or None."""
    found = _graves(world).get(name.lower())
    if found is None:
        return None
    body, deleted = found
    if deleted + timedelta(days=_days(body)) <= world.now():
        _forget(world, name)
        return None
    return body


def recovered(world: World, name: str) -> Json:
    """Take a deleted vault back and return its body; raises Refused 404 when there is none."""
    body = recoverable(world, name)
    if body is None:
        raise _absent(name)
    del _graves(world)[name.lower()]
    return body


def list_(world: World, request: Request) -> Answer:
    """GET deletedVaults of a subscription."""
    wanted = request.target.subscription
    found = [recoverable(world, name) for name in sorted(_graves(world))]
    return page(
        request.call, [_shown(world, body) for body in found if body and subscription_of(str(body["id"])) == wanted]
    )


def get(world: World, request: Request) -> Answer:
    """GET locations/{location}/deletedVaults/{name}."""
    body = recoverable(world, request.target.name)
    if body is None:
        raise _absent(request.target.name)
    return Answer.of(_shown(world, body))


def purge(world: World, request: Request) -> Answer:
    """POST purge: the vault and its keys are gone; purge protection refuses it."""
    name = request.target.name
    body = recoverable(world, name)
    if body is None:
        raise _absent(name)
    if body["properties"].get("enablePurgeProtection"):
        raise Refused(405, "MethodNotAllowed", 'Operation "DeletedVaultPurge" is not allowed.')
    _forget(world, name)
    return Answer(200)


def _graves(world: World) -> dict[str, tuple[Json, datetime]]:
    graves: dict[str, tuple[Json, datetime]] = world.memory.setdefault("arm", {}).setdefault("deletedVaults", {})
    return graves


def _days(body: Json) -> int:
    return int(body["properties"].get("softDeleteRetentionInDays") or RETENTION)


def _shown(world: World, body: Json) -> Json:
    deleted = _graves(world)[str(body["name"]).lower()][1]
    location = str(body.get("location", ""))
    properties: Json = {
        "vaultId": body["id"],
        "location": location,
        "deletionDate": stamp(deleted),
        "scheduledPurgeDate": stamp(deleted + timedelta(days=_days(body))),
        "tags": body.get("tags") or {},
    }
    if body["properties"].get("enablePurgeProtection"):
        properties["purgeProtectionEnabled"] = True
    home = f"/subscriptions/{subscription_of(str(body['id']))}/providers/Microsoft.KeyVault/locations/{location}"
    return {
        "id": f"{home}/deletedVaults/{body['name']}",
        "name": body["name"],
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": properties,
    }


def _forget(world: World, name: str) -> None:
    del _graves(world)[name.lower()]
    _forget_keys(world, name)


def _forget_keys(world: World, name: str) -> None:
    for key in world.keyring.of(name):
        world.keyring.remove(key.vault, key.name)


def _absent(name: str) -> Refused:
    return Refused(404, "DeletedVaultNotFound", f"The specified deleted vault '{name}' does not exist.")
