"""HTTP routes as the host matches them: literals, {name}, {name:int}, {name?}, {*rest}."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from sandbox.host.functions import Function
from sandbox.host.hostjson import HostError

_PART = re.compile(r"\{(?P<rest>\*)?(?P<name>\w+)(?::(?P<kind>\w+))?(?P<optional>\?)?\}")
_KINDS = {
    None: r"[^/]+",
    "int": r"-?\d+",
    "alpha": r"[A-Za-z]+",
    "guid": r"[0-9A-Fa-f-]{36}",
    "bool": r"(?i:true|false)",
}
_ALL = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")


class Routes:
    """The table of HTTP functions: a literal segment wins over a parameter, as in ASP.NET's routing."""

    def __init__(self, prefix: str, functions: Iterable[Function]) -> None:
        table = [
            (self._order(route), self._pattern(prefix, route, function), self._methods(function), function)
            for function in functions
            if function.kind == "httpTrigger"
            for route in [str(function.trigger.get("route") or function.name).strip("/")]
        ]
        self._table = sorted(table, key=lambda row: row[0])

    def find(self, method: str, path: str) -> tuple[Function, dict[str, str]] | None:
        """Return the function for a request and its route parameters, or None (a wrong method is no match either)."""
        for _order, pattern, methods, function in self._table:
            match = pattern.fullmatch(path) if method.upper() in methods else None
            if match:
                return function, {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
        return None

    @staticmethod
    def _order(route: str) -> tuple[int, ...]:
        return tuple(2 if "{*" in part else 1 if "{" in part else 0 for part in route.split("/"))

    @staticmethod
    def _methods(function: Function) -> frozenset[str]:
        return frozenset(str(one).upper() for one in function.trigger.get("methods") or _ALL)

    @staticmethod
    def _pattern(prefix: str, route: str, function: Function) -> re.Pattern[str]:
        pattern = f"/(?i:{re.escape(prefix)})" if prefix else ""
        for part in route.split("/"):
            match = _PART.fullmatch(part)
            if match is None and "{" in part:
                raise HostError(f"function {function.name}: the sandbox's host cannot match the route part {part!r}")
            if match is None:
                pattern += f"/(?i:{re.escape(part)})"
            elif match["rest"]:
                pattern += f"(?:/(?P<{match['name']}>.*))?"
            elif match["kind"] not in _KINDS:
                raise HostError(f"function {function.name}: the sandbox's host has no route constraint {match['kind']}")
            else:
                piece = f"/(?P<{match['name']}>{_KINDS[match['kind']]})"
                pattern += f"(?:{piece})?" if match["optional"] else piece
        return re.compile(pattern + "/?")
