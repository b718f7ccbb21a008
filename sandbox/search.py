"""A search service's data plane: indexes, synonym maps, indexers, data sources and skillsets, as definitions only.

[services.md 1.9]. Secrets are kept and never shown; sent back as null or "<unchanged>" they stay what they were.
"""

from __future__ import annotations

import re
from typing import Final

from sandbox.arm.keyed import uses
from sandbox.arm.keyed.rules import at, nested, refuse
from sandbox.arm.searchservices import COLLECTIONS, OBJECTS, admin_keys, as_resource, judged, objects, service_named
from sandbox.arm.store import copied, merged, save
from sandbox.identity import bearer
from sandbox.wire import Answer, Call, Json, Refused, Unreachable
from sandbox.world import World

AUDIENCES: Final = ("https://search.azure.com",)
_SECRETS: Final = ("credentials.connectionString", "encryptionKey.accessCredentials.applicationSecret")
_KEPT: Final = (None, "<unchanged>")
_PATH: Final = re.compile(r"/(\w+)(?:/([^/()']+)|\('([^']+)'\))?")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,126}[a-z0-9])?", re.IGNORECASE)


def answer(world: World, call: Call) -> Answer:
    """Answer for a service's host. Raises Unreachable for a service that does not exist: its name does not resolve."""
    service = service_named(world, call.host.partition(".")[0])
    if service is None:
        raise Unreachable(f"no search service at {call.host}")
    _admit(world, call, service)
    if not call.query.get("api-version"):
        raise Refused(400, "MissingApiVersion", "The query parameter api-version is missing.")
    found = _PATH.fullmatch(call.path)
    if found is None or found[1].lower() not in COLLECTIONS:
        raise Refused(501, "NotInSandbox", f"The sandbox's search service does not do {call.method} {call.path}.")
    return _carried_out(world, call, service, found[1].lower(), found[2] or found[3] or "")


def _admit(world: World, call: Call, service: Json) -> None:
    """Raise Refused 401 or 403 for callers whom the service does not let in: by an admin key, or by a token."""
    if str(at(service, "properties.publicNetworkAccess")).lower() == "disabled":
        raise Refused(403, "Forbidden", "Public access is disabled.")
    key = call.headers.get("api-key")
    if key is not None:
        if key not in admin_keys(world, service) or at(service, "properties.disableLocalAuth"):
            raise Refused(403, "Forbidden", "The api-key is wrong, or keys are not allowed.")
    elif bearer(world, call, AUDIENCES) is None:
        raise Refused(401, "Unauthorized", "The access token is missing or not for this audience.")
    elif at(service, "properties.authOptions.apiKeyOnly") is not None and not at(
        service, "properties.disableLocalAuth"
    ):
        raise Refused(403, "Forbidden", "This service takes api-keys only.")


def _carried_out(world: World, call: Call, service: Json, collection: str, name: str) -> Answer:
    known = objects(world, str(service["name"]), collection)
    match call.method, bool(name):
        case "GET", False:
            return Answer.of({"value": [_shown(one) for _, one in sorted(known.items())]})
        case "GET", True:
            return Answer.of(_shown(_followed(world, service, collection, _one(known, name))))
        case ("PUT", True) | ("POST", False):
            return _put(world, call, service, collection, name)
        case "DELETE", True:
            _match(call, known.get(name.lower()))
            there = known.pop(name.lower(), None)
            save(world, judged(world, service))
            return Answer(204 if there is not None else 404)
    raise Refused(405, "MethodNotAllowed", f"{call.method} is not allowed here.")


def _put(world: World, call: Call, service: Json, collection: str, name: str) -> Answer:
    sent = call.json()
    if not isinstance(sent, dict) or not _NAME.fullmatch(str(sent.get("name") or name)):
        raise refuse(OBJECTS, "The definition is no object, or its name is not allowed.")
    name = name or str(sent["name"])
    known = objects(world, str(service["name"]), collection)
    old = known.get(name.lower())
    if old is not None and call.method == "POST":
        raise Refused(409, "ResourceNameAlreadyInUse", f"'{name}' exists already.")
    _match(call, old)
    new = _with_secrets(old, {**copied(sent), "name": (old or {}).get("name", name)})
    _encrypted(world, service, collection, old, new)
    new["@odata.etag"] = f'"0x{world.new_version()[:15].upper()}"'
    known[name.lower()] = new
    save(world, judged(world, service))
    return Answer.of(_shown(new), 200 if old is not None else 201, {"ETag": new["@odata.etag"]})


def _encrypted(world: World, service: Json, collection: str, old: Json | None, new: Json) -> None:
    """Bring a key in effect; Refused 400 for one that cannot be, is added later, taken away, or missing."""
    had, has = bool((old or {}).get("encryptionKey")), bool(new.get("encryptionKey"))
    if old is not None and had != has:
        raise Refused(400, "OperationNotAllowed", "A key cannot be added to an object that exists, nor taken from it.")
    enforced = str(at(service, "properties.encryptionWithCmk.enforcement")).lower() == "enabled"
    if enforced and not has and old is None:
        raise Refused(400, "OperationNotAllowed", "This service takes objects with a customer-managed key only.")
    if not has:
        return
    if str(at(service, "sku.name")).lower() == "free":
        raise refuse(OBJECTS, "Customer-managed keys need a billable tier.")
    body = as_resource(service, collection, new)
    if not any(OBJECTS.uses(body)):
        raise refuse(OBJECTS, "The encryptionKey does not name a key.")
    for use in OBJECTS.uses(body):
        key, version = uses.check(world, OBJECTS, body, use)
        uses.effected(world, OBJECTS, body, use, key, version, world.now())
        uses.looked_now(world, OBJECTS, body, use)


def _followed(world: World, service: Json, collection: str, one: Json) -> Json:
    """Return an object after its looks, which nothing in it shows."""
    uses.followed(world, OBJECTS, as_resource(service, collection, one))
    return one


def _with_secrets(old: Json | None, new: Json) -> Json:
    for path in _SECRETS:
        holder = at(new, path.rpartition(".")[0])
        if isinstance(holder, dict) and at(new, path) in _KEPT:
            kept = at(old, path)
            if kept is None:
                raise refuse(OBJECTS, f"'{path}' is needed.")
            new = merged(new, nested(path, kept))
    return new


def _shown(object_: Json) -> Json:
    shown: Json = copied(object_)
    for path in _SECRETS:
        *above, last = path.split(".")
        holder = at(shown, ".".join(above))
        if isinstance(holder, dict):
            holder[last] = None
    return shown


def _one(known: dict[str, Json], name: str) -> Json:
    if name.lower() not in known:
        raise Refused(404, "ResourceNotFound", f"No object was found with the name '{name}'.")
    return known[name.lower()]


def _match(call: Call, there: Json | None) -> None:
    wanted = call.headers.get("if-match")
    if wanted is not None and (there is None or wanted not in {"*", there["@odata.etag"]}):
        raise Refused(412, "PreconditionFailed", "The object's etag is another one.")
    if call.headers.get("if-none-match") == "*" and there is not None:
        raise Refused(412, "PreconditionFailed", "The object exists already.")
