"""Pages of a collection, with a nextLink while there is more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from urllib.parse import quote, urlsplit

from sandbox.wire import Answer, Call, Json, Refused

PAGE = 1000  # bodies; a choice of the sandbox, services differ


def page(
    call: Call,
    items: Iterable[Json],
    *,
    size: int = PAGE,
    show: Callable[[Json], Json] = lambda body: body,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer with one page: `$top` or `$maxpagesize` make it smaller, a nextLink's `$skipToken` says where it begins.

    Numbers that are none raise Refused 400 (InvalidQueryParameter).
    """
    query = call.query
    for name in ("$top", "$maxpagesize"):
        if name in query:
            size = min(size, max(_number(name, query[name]), 1))
    start = _number("$skiptoken", query.get("$skiptoken", "0"))
    found = list(islice(items, start, start + size + 1))
    payload: Json = {"value": [show(body) for body in found[:size]]}
    if len(found) > size:
        payload["nextLink"] = _next_link(call, start + size)
    return Answer.of(payload, headers=headers)


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refused(400, "InvalidQueryParameter", f"The value '{text}' of the query parameter {name} is not valid.")
    return int(text)


def _next_link(call: Call, start: int) -> str:
    parts = urlsplit(call.url)
    kept = [
        part
        for part in parts.query.split("&")
        if part and not part.lower().startswith(("$skiptoken=", "%24skiptoken="))
    ]
    query = "&".join([*kept, f"$skipToken={quote(str(start))}"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}"
