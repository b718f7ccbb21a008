"""Microsoft.Resources/tags/default: the tags of a resource or a group as a resource of their own (az, Custodian)."""

from __future__ import annotations

from sandbox.arm import generic
from sandbox.arm.request import Request
from sandbox.arm.store import copied, save
from sandbox.arm.target import parse
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World


def get(world: World, request: Request) -> Answer:
    """GET of tags/default."""
    return _shown(request, _owner(world, request))


def put(world: World, request: Request) -> Answer:
    """PUT: these tags and no others."""
    return _changed(world, request, _sent(request))


def patch(world: World, request: Request) -> Answer:
    """PATCH: merges, replaces or deletes, as `operation` says; Delete looks at names and values."""
    tags, sent = _tags(_owner(world, request)), _sent(request)
    match str(request.body().get("operation", "")).lower():
        case "merge":
            sent = {**tags, **sent}
        case "delete":
            sent = {name: value for name, value in tags.items() if sent.get(name) != value}
        case "replace":
            pass
        case other:
            raise Refused(400, "InvalidTagsOperation", f"The operation '{other}' is none of Merge, Replace, Delete.")
    return _changed(world, request, sent)


def delete(world: World, request: Request) -> Answer:
    """DELETE: no tags at all."""
    _changed(world, request, {})
    return Answer(200)


def _owner(world: World, request: Request) -> Json:
    """Return the body that has the tags; a subscription's are not kept: 501."""
    target = request.target
    if target.name.lower() != "default":
        raise Refused(400, "InvalidTagsName", f"The tags are named 'default', not '{target.name}'.")
    if len(target.scope.strip("/").split("/")) <= len(("subscriptions", "id")):
        raise Refused(501, "NotInSandbox", "The sandbox keeps tags of resources and groups, not of subscriptions.")
    return generic.read(world, parse(target.scope))


def _changed(world: World, request: Request, tags: Json) -> Answer:
    return _shown(request, save(world, {**copied(_owner(world, request)), "tags": tags}))


def _shown(request: Request, owner: Json) -> Answer:
    named = {"id": request.target.id, "name": "default", "type": "Microsoft.Resources/tags"}
    return Answer.of({**named, "properties": {"tags": _tags(owner)}})


def _tags(owner: Json) -> Json:
    tags: Json = owner.get("tags") or {}
    return tags


def _sent(request: Request) -> Json:
    tags = request.properties().get("tags") or {}
    if not isinstance(tags, dict):
        raise Refused(400, "InvalidRequestContent", "The request content was invalid: tags is no object.")
    return {str(name): str(value) for name, value in tags.items()}
