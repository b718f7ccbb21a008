"""What travels between a face (HTTPS server or in-process transport) and the state machine: Call in, Answer out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One HTTP request. Header names are lower case; the url is absolute."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def host(self) -> str:
        """Host name in lower case, without a port."""
        return (urlsplit(self.url).hostname or "").lower()

    @cached_property
    def path(self) -> str:
        """Decoded path, without a trailing slash (the root stays "/")."""
        return unquote(urlsplit(self.url).path).rstrip("/") or "/"

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, as written: ("subscriptions", "…", "resourceGroups", …)."""
        return tuple(part for part in self.path.split("/") if part)

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters with lower-case names."""
        return {name.lower(): value for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True)}

    def json(self) -> Any:
        """Return the body as JSON; a body that is none raises Refused 400 (InvalidRequestContent)."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(400, "InvalidRequestContent", f"The request content was invalid: {error}") from error


@dataclass(frozen=True)
class Answer:
    """One HTTP response; latency is what the face lets pass (in seconds) before it hands it over."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    latency: float = 0.0

    @classmethod
    def of(cls, payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """Answer with a JSON payload."""
        merged = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        return cls(status, merged, json.dumps(payload).encode())

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Refused(Exception):
    """Azure would refuse this call: becomes {"error": {"code", "message"}} with the status."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def answer(self) -> Answer:
        """Return the refusal as ARM and Key Vault both write it."""
        return Answer.of({"error": {"code": self.code, "message": self.message}}, self.status, self.headers)


class Unreachable(Exception):
    """The connection breaks instead of an answer: what a reset or a DNS failure looks like to the client."""
