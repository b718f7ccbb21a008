"""Connections of AI hubs, projects and accounts: what they connect to, and never the secret but by listsecrets.

[azure-rest-api-specs machinelearningservices, workspaceRP: WorkspaceConnections_List, _Get, _Create, _ListSecrets;
cognitiveservices 2025-06-01: AccountConnections, ProjectConnections.]
"""

from __future__ import annotations

from typing import Final

from sandbox.arm import generic
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

TYPES: Final = (
    "Microsoft.MachineLearningServices/workspaces/connections",
    "Microsoft.CognitiveServices/accounts/connections",
    "Microsoft.CognitiveServices/accounts/projects/connections",
)


def get(world: World, request: Request) -> Answer:
    """GET: the connection without its secret."""
    return Answer.of(_shown(generic.read(world, request.target)))


def list_(world: World, request: Request) -> Answer:
    """GET of the list, `?category=` picks some."""
    wanted = str(request.call.query.get("category", "")).lower()
    shown = (_shown(body) for body in generic.bodies(world, request.target))
    return page(request.call, (one for one in shown if wanted in {"", str(one["properties"]["category"]).lower()}))


def put(world: World, request: Request) -> Answer:
    """PUT: a connection needs to say how it signs in, what kind it is and where it leads."""
    properties = request.body().get("properties") or {}
    missing = [name for name in ("authType", "category", "target") if not properties.get(name)]
    if missing:
        raise Refused(400, "ValidationError", f"The connection lacks {', '.join(missing)}.")
    answer = generic.put(world, request)
    return Answer.of(_shown(answer.json()), answer.status)


def list_secrets(world: World, request: Request) -> Answer:
    """POST listsecrets: the connection with its secret."""
    return Answer.of(generic.read(world, request.target))


def _shown(body: Json) -> Json:
    properties = body.get("properties") or {}
    return {**body, "properties": {"category": "", **properties, "credentials": None}}
