"""The services of a storage account (blobServices/default and its kind): every account has them, nobody makes them."""

from __future__ import annotations

from sandbox.arm import generic
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import copied, merged, require_place, save
from sandbox.arm.target import Target, parse
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

ACCOUNT = "Microsoft.Storage/storageAccounts"
NAMES = ("blobServices", "fileServices", "queueServices", "tableServices")

_OFF = {"enabled": False}
_OWN: dict[str, Json] = {
    "blobservices": {"deleteRetentionPolicy": {**_OFF, "allowPermanentDelete": False}},
    "fileservices": {"shareDeleteRetentionPolicy": {"enabled": True, "days": 7}},
}


def get(world: World, request: Request) -> Answer:
    """GET: what was put, or what every account begins with."""
    return Answer.of(_body(world, request.target))


def list_(world: World, request: Request) -> Answer:
    """GET of the collection: the one that is named default."""
    return page(request.call, [_body(world, parse(f"{request.target.id}/default"))])


def put(world: World, request: Request) -> Answer:
    """PUT: 200, for the service was there before."""
    body = _body(world, request.target)
    changed = merged(copied(body["properties"]), request.properties())
    return Answer.of(save(world, {**body, "properties": changed}))


def _body(world: World, target: Target) -> Json:
    require_place(world, target)
    if target.name.lower() != "default":
        raise Refused(400, "InvalidResourceName", f"The service is named 'default', not '{target.name}'.")
    stored = world.resources.get(target.id)
    if stored is not None:
        return stored
    account = generic.read(world, parse(target.parent))
    own = _OWN.get(target.type.rpartition("/")[2].lower(), {})
    named = {"id": target.id, "name": "default", "type": target.type}
    return copied({"sku": account.get("sku"), **named, "properties": {"cors": {"corsRules": []}, **own}})
