"""What holds for a resource of any type: read, replace, merge, delete, list."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.arm import following, identities
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import copied, drop, merged, not_found, require_place, save, stamp
from sandbox.arm.target import Target
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

_KEPT = ("id", "name", "type", "systemData")


def read(world: World, target: Target) -> Json:
    """Return the body as it is now; raises Refused 404 when the resource, or where it lies, is not there."""
    body = world.resources.get(target.id)
    if body is None:
        require_place(world, target)
        raise not_found(target)
    return following.current(world, body)


def get(world: World, request: Request) -> Answer:
    """GET: the body; HEAD: 204 without one."""
    body = read(world, request.target)
    return Answer(204) if request.call.method == "HEAD" else Answer.of(body)


def list_(world: World, request: Request) -> Answer:
    """GET of a collection."""
    return page(request.call, bodies(world, request.target))


def bodies(world: World, target: Target) -> Iterator[Json]:
    """Yield the collection's bodies in order of id; raises Refused 404 when the place is not there."""
    require_place(world, target)
    return _bodies(world, target)


def _bodies(world: World, target: Target) -> Iterator[Json]:
    wanted = target.type.lower()
    flat = target.child or target.group or not target.subscription
    inside = target.scope.lower() + "/"
    for body in world.resources.under(target.id) if flat else world.resources.of_type(target.type):
        if str(body.get("type", "")).lower() == wanted and str(body["id"]).lower().startswith(inside):
            yield following.current(world, body)


def put(world: World, request: Request) -> Answer:
    """PUT: replace or create; 201 when it was not there."""
    require_place(world, request.target)
    old = world.resources.get(request.target.id)
    body = replaced(world, request, old, request.body())
    save(world, body)
    return Answer.of(body, 200 if old is not None else 201)


def replaced(world: World, request: Request, old: Json | None, sent: Json) -> Json:
    """Return what a PUT makes: what was sent, under the id it has; a move to another location raises Refused 409."""
    target = request.target
    if old is not None:
        kept = {name: old[name] for name in _KEPT if name in old}
        if old.get("location"):
            require_same_location(old, sent)
            kept["location"] = old["location"]
    else:
        kept = {"id": target.id, "name": target.name, "type": target.type, "systemData": _system_data(world, request)}
    body = {**{name: value for name, value in sent.items() if value is not None}, **kept}
    if isinstance(sent.get("identity"), dict):
        body["identity"] = identities.replaced(world, (old or {}).get("identity"), sent["identity"])
    return copied(body)


def patch(world: World, request: Request) -> Answer:
    """PATCH: a JSON merge; the identity is replaced by what is sent."""
    old = read(world, request.target)
    body = patched(world, old, request.body())
    save(world, body)
    return Answer.of(body)


def patched(world: World, old: Json, sent: Json) -> Json:
    """Return what a PATCH makes of a body; read-only members that were sent are ignored."""
    changes = {name: value for name, value in sent.items() if name not in {*_KEPT, "location", "identity", "tags"}}
    body: Json = copied(merged(old, changes))
    if isinstance(sent.get("identity"), dict):
        body["identity"] = identities.replaced(world, old.get("identity"), sent["identity"])
    if isinstance(sent.get("tags"), dict):  # the whole set, for every provider [ARM RPC: tags are replaced]
        body["tags"] = copied(sent["tags"])
    return body


def delete(world: World, request: Request) -> Answer:
    """DELETE: 200, or 204 when there was nothing."""
    require_place(world, request.target)
    return Answer(200 if drop(world, request.target.id) is not None else 204)


def require_same_location(old: Json, sent: Json) -> None:
    """Raise Refused 409 (InvalidResourceLocation) when a PUT names another location than the resource has."""
    wanted = str(sent.get("location") or "").lower().replace(" ", "")
    if wanted and wanted != str(old["location"]).lower().replace(" ", ""):
        raise Refused(
            409,
            "InvalidResourceLocation",
            f"The resource '{old['name']}' already exists in location '{old['location']}'. A resource with the same "
            f"name cannot be created in location '{sent['location']}'. Please select a new resource name.",
        )


def _system_data(world: World, request: Request) -> Json:
    now = stamp(world.now())
    who = {"createdBy": request.claims.appid, "createdByType": "Application", "createdAt": now}
    return who | {"lastModifiedBy": request.claims.appid, "lastModifiedByType": "Application", "lastModifiedAt": now}
