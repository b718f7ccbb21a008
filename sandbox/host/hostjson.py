"""What host.json says, with the host's own defaults.

[QueuesOptions.cs; host.json reference]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


class HostError(Exception):
    """The host cannot start this app; the message says why."""


@dataclass(frozen=True)
class QueueOptions:
    """`extensions.queues`."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)  # the wait after a failed run; the lock while running is another thing
    max_polling_interval: timedelta = timedelta(minutes=1)
    base64: bool = True


@dataclass(frozen=True)
class HostOptions:
    """The parts of host.json that this host acts on."""

    route_prefix: str = "api"
    queues: QueueOptions = field(default_factory=QueueOptions)


def read_span(text: str) -> timedelta:
    """Read [d.]hh:mm:ss[.fff]; anything else raises HostError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise HostError(f"host.json: {text!r} is no time span (hh:mm:ss)")
    days, hours, minutes, seconds = match.groups()
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def read_host_json(folder: Path) -> HostOptions:
    """Read host.json in an app's folder; a missing file or a wrong value raises HostError."""
    path = folder / "host.json"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HostError(f"{path} is missing: this folder is no function app") from error
    except ValueError as error:
        raise HostError(f"{path}: {error}") from error
    if not isinstance(content, dict) or content.get("version") != "2.0":
        raise HostError(f'{path} must be an object with "version": "2.0"')
    extensions = content.get("extensions", {})
    prefix = str(extensions.get("http", {}).get("routePrefix", "api")).strip("/")
    return HostOptions(route_prefix=prefix, queues=_queues(extensions.get("queues", {})))


def _queues(written: dict[str, Any]) -> QueueOptions:
    options = QueueOptions()
    size = int(written.get("batchSize", options.batch_size))
    if not 1 <= size <= 32:  # noqa: PLR2004  the service hands out 32 messages at most
        raise HostError(f"host.json: extensions.queues.batchSize is {size}, allowed are 1 to 32")
    dequeues = int(written.get("maxDequeueCount", options.max_dequeue_count))
    if dequeues < 1:
        raise HostError(f"host.json: extensions.queues.maxDequeueCount is {dequeues}, allowed is 1 and more")
    encoding = str(written.get("messageEncoding", "base64")).lower()
    if encoding not in {"base64", "none"}:
        raise HostError(f"host.json: extensions.queues.messageEncoding is {encoding!r}, allowed are base64 and none")
    return QueueOptions(
        batch_size=size,
        new_batch_threshold=int(written.get("newBatchThreshold", size // 2)),
        max_dequeue_count=dequeues,
        visibility_timeout=read_span(str(written.get("visibilityTimeout", "00:00:00"))),
        max_polling_interval=read_span(str(written.get("maxPollingInterval", "00:01:00"))),
        base64=encoding == "base64",
    )
