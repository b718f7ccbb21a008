"""POST /providers/Microsoft.ResourceGraph/resources: scope, pages, formats, quota [services.md 5]."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from math import ceil
from typing import Any, Final

from sandbox.arm.store import graph_memory
from sandbox.graph import rows
from sandbox.graph.pipeline import Query, compiled
from sandbox.graph.values import Row
from sandbox.identity import Claims
from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import World

PAGE: Final = 100  # rows, where the caller names no $top
LARGEST: Final = 1000
QUERIES: Final = 15  # of one user in one window
WINDOW: Final = 5.0  # seconds

_TYPES: Final = ((bool, "boolean"), (str, "string"), ((int, float), "number"), ((dict, list), "object"))


def answer(world: World, call: Call, claims: Claims) -> Answer:
    """Answer a query. Wrong requests raise Refused 400, unknown KQL 501, too many queries 429."""
    if call.method != "POST":
        raise Refused(405, "MethodNotAllowed", f"Resource Graph does not support the http method '{call.method}'.")
    headers = _quota(world, claims)
    sent: Any = call.json()
    if not isinstance(sent, dict) or not isinstance(sent.get("query"), str):
        raise _bad("The query is missing.")
    if sent.get("facets"):
        raise Refused(501, "NotInSandbox", "The sandbox's Resource Graph does not do facets.")
    options = sent.get("options") or {}
    query = compiled(sent["query"])
    found = query.run(_rows(world, query, _scope(world, sent)))
    return Answer.of(_paged(found, query, options), headers=headers)


def _rows(world: World, query: Query, subscriptions: frozenset[str]) -> Iterable[Row]:
    if query.table == "resourcecontainers":
        return rows.containers(world, subscriptions)
    return rows.resources(world, subscriptions, query.types)


def _scope(world: World, sent: Json) -> frozenset[str]:
    named = {str(one).lower() for one in sent.get("subscriptions") or []}
    groups = {str(one).lower() for one in sent.get("managementGroups") or []}
    if named and groups:
        raise _bad("Either subscriptions or managementGroups can be given, not both.")
    if named:
        return frozenset(named & world.subscriptions.keys())
    return frozenset(
        id_
        for id_, known in world.subscriptions.items()
        if not groups or str(known.get("managementGroup", "")).lower() in groups or world.tenant_id.lower() in groups
    )


def _paged(found: list[Row], query: Query, options: Json) -> Json:
    size = min(_whole(options, "$top", PAGE), LARGEST)
    start = _start(str(options["$skipToken"])) if options.get("$skipToken") else _whole(options, "$skip", 0)
    if size < 1:
        raise _bad("The option $top must be at least 1.")
    data = found[start : start + size]
    more = start + size < len(found)
    answer_: Json = {
        "totalRecords": len(found),
        "count": len(data),
        "data": data if options.get("resultFormat", "objectArray") == "objectArray" else _table(data),
        "facets": [],
        "resultTruncated": "true" if more else "false",
    }
    # No token with take or limit, nor where rows have no id [paging large data sets].
    if more and not query.limited and "id" in data[-1]:
        answer_["$skipToken"] = base64.urlsafe_b64encode(
            json.dumps({"$id": "1", "skip": start + size}).encode()
        ).decode()
    return answer_


def _start(token: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["skip"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise _bad("The option $skipToken is invalid.") from error


def _whole(options: Json, name: str, default: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _bad(f"The option {name} must be a whole number.")
    return value


def _table(data: list[Row]) -> Json:
    names = list(data[0]) if data else []
    return {
        "columns": [{"name": name, "type": _type([row.get(name) for row in data])} for name in names],
        "rows": [[row.get(name) for name in names] for row in data],
    }


def _type(values: list[Any]) -> str:
    first = next((value for value in values if value is not None), None)
    return next((name for classes, name in _TYPES if isinstance(first, classes)), "object")


def _quota(world: World, claims: Claims) -> dict[str, str]:
    """Count the query and return the quota headers; one too many raises Refused 429."""
    if world.memory.get("throttling", True) is False:
        return {}
    windows: dict[str, tuple[float, int]] = graph_memory(world).setdefault("quota", {})
    now, user = world.clock.time(), claims.oid or claims.appid
    begin, used = windows.get(user, (now, 0))
    if now - begin >= WINDOW:
        begin, used = now, 0
    wait = max(1, ceil(begin + WINDOW - now - 1e-9))
    headers = {
        "x-ms-user-quota-remaining": str(max(QUERIES - used - 1, 0)),
        "x-ms-user-quota-resets-after": f"00:00:{wait:02d}",
    }
    if used >= QUERIES:
        raise Refused(
            429,
            "RateLimiting",
            "Client application has been throttled and should not continue to repeat the request until an amount of "
            "time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.",
            {**headers, "Retry-After": str(wait)},
        )
    windows[user] = (begin, used + 1)
    return headers


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)
