"""The way of every ARM call: token, api-version, quota, lock, rules, events."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from sandbox import graph
from sandbox.arm import denials, events, latency, locks, naming, permissions, providers, throttle
from sandbox.arm.request import Request
from sandbox.arm.routes import not_here, rules_for
from sandbox.arm.target import action, parse
from sandbox.identity import bearer
from sandbox.wire import Answer, Call, Refused
from sandbox.world import World

AUDIENCES: Final = ("https://management.azure.com", "https://management.core.windows.net")
GRAPH: Final = "/providers/microsoft.resourcegraph/resources"

_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z0-9.]+)?", re.IGNORECASE)


def kind(call: Call) -> str:
    """Name the call for the call log: graph, write, childList, list or read."""
    path = call.path
    if path.lower() == GRAPH:
        return "graph"
    if call.method not in {"GET", "HEAD"}:
        return "write"
    target = parse(path)
    if target.type and target.collection:
        return "childList" if target.child else "list"
    return "read"


def answer(world: World, call: Call) -> Answer:
    """Answer for management.azure.com; never raises Refused."""
    told: dict[str, str] = {"x-ms-correlation-request-id": call.headers.get("x-ms-correlation-request-id", "")}
    what = kind(call)
    try:
        found = _carried_out(world, call, what, told)
    except Refused as refusal:
        found = refusal.answer()
    told = {name: value for name, value in told.items() if value}
    return replace(found, headers={**told, **found.headers}, latency=latency.draw(world, what))


def _carried_out(world: World, call: Call, what: str, told: dict[str, str]) -> Answer:
    claims = bearer(world, call, AUDIENCES)
    if claims is None:
        raise _unauthenticated(world, call)
    version = call.query.get("api-version", "")
    if not version:
        raise Refused(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _VERSION.fullmatch(version):
        raise Refused(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    request = Request(call, parse(call.path), claims)
    told.update(throttle.take(world, request, what))
    if what == "graph":
        return graph.answer(world, call, claims)
    if not request.target.type:
        return not_here(world, request)
    permissions.check(world, call.method, request.target)
    denials.check(world, call.method, request.target)
    locks.check(world, call.method, request.target)
    providers.require(world, call.method, request.target)
    if call.method == "POST":
        return _acted(world, request)
    return _done(world, request)


def _acted(world: World, request: Request) -> Answer:
    resource, verb = action(request.target)
    request = replace(request, target=resource)
    answer_ = rules_for(resource.type).actions.get(verb.lower(), not_here)(world, request)
    if _succeeded(answer_) and resource.group:
        events.acted(world, request, verb)
    return answer_


def _done(world: World, request: Request) -> Answer:
    method, target = request.call.method, request.target
    before = world.resources.get(target.id)
    request = replace(request, names=lambda sent: naming.spelled(sent, naming.model(target.type), before))
    answer_ = rules_for(target.type).of(method, collection=target.collection)(world, request)
    under_way = "Location" in answer_.headers  # an operation tells of its own end
    if method in {"PUT", "PATCH"} and _succeeded(answer_) and not under_way:
        events.written(world, request, existed=before is not None)
    if method == "DELETE" and before is not None and _succeeded(answer_):
        events.deleted(world, request, before)
    return answer_


def _succeeded(found: Answer) -> bool:
    return 200 <= found.status < 300  # noqa: PLR2004


def _unauthenticated(world: World, call: Call) -> Refused:
    missing = not call.headers.get("authorization")
    authority = f"https://login.microsoftonline.com/{world.tenant_id}"
    error = 'error="invalid_token", error_description="Could not find identity for access token."'
    return Refused(
        401,
        "AuthenticationFailed" if missing else "InvalidAuthenticationToken",
        "Authentication failed. The 'Authorization' header is missing." if missing else "The access token is invalid.",
        {"WWW-Authenticate": f'Bearer authorization_uri="{authority}", {error}'},
    )
