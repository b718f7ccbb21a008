"""Watching the app from outside: what it sends, and what it writes to the log."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.cloud import Cloud
from sandbox.transport import InProcessTransport


@dataclass(frozen=True)
class Tried:
    """A request that the app made, whether or not anybody was there to answer."""

    method: str
    host: str
    url: str
    token_for: str  # the audience of the token that went along, or ""


@dataclass(frozen=True)
class Line:
    """One log line, of whoever wrote it."""

    logger: str
    level: int
    text: str


class Watched(InProcessTransport):
    """The app's way out, with a list of what went through it."""

    def __init__(self, cloud: Cloud, tried: list[Tried]) -> None:
        super().__init__(cloud)
        self._tried = tried

    async def send(self, request: Any, *, stream: bool = False, **config: Any) -> Any:
        parts = urlsplit(request.url)
        bearer = str(request.headers.get("Authorization", "")).partition(" ")[2]
        self._tried.append(Tried(request.method, parts.hostname or "", request.url, _audience(bearer)))
        return await super().send(request, stream=stream, **config)


def _audience(token: str) -> str:
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]) if payload else ""


class _Collector(logging.Handler):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__(logging.INFO)  # what the real host would pass on
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        trace = f"\n{record.exc_info[1]!r}" if record.exc_info else ""
        self._lines.append(Line(record.name, record.levelno, record.getMessage() + trace))


@contextmanager
def collecting(lines: list[Line]) -> Iterator[None]:
    """Collect log lines, and leave the process's loggers as they were: the app puts a filter on its own."""
    root, own = logging.getLogger(), logging.getLogger("cmk")
    level, filters, collector = root.level, list(own.filters), _Collector(lines)
    root.addHandler(collector)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(collector)
        root.setLevel(level)
        own.filters[:] = filters
