"""The Event Grid extension's webhook: which status it answers for which delivery.

[Microsoft.Azure.WebJobs.Extensions.EventGrid/src, HttpRequestProcessor.cs]
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.host.worker import FunctionFailed

Deliver = Callable[[Any], Awaitable[None]]


async def receive(event_type: str, body: bytes, deliver: Deliver) -> tuple[int, Any]:
    """Answer a delivery by its aeg-event-type: (status, JSON payload or None).

    All events of a body run side by side; one that fails makes the answer 500, so that the whole body comes again.
    """
    match event_type:
        case "SubscriptionValidation":
            return _handshake(body)
        case "Notification":
            try:
                content = json.loads(body)
            except (ValueError, RecursionError) as error:
                return 500, {"error": f"the body is no JSON: {error}"}
            return await _deliver_all(content if isinstance(content, list) else [content], deliver)
        case "Unsubscribe":
            return 202, None
        case _:
            return 400, None


def _handshake(body: bytes) -> tuple[int, Any]:
    """Return the validation code: from an array of one event, or from an object whose data is a JSON string."""
    try:
        content = json.loads(body)
        data = content[0]["data"] if isinstance(content, list) else json.loads(content["data"])
        code = next(value for name, value in data.items() if name.lower() == "validationcode")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError, StopIteration):
        return 400, None
    return 200, {"validationResponse": code}


async def _deliver_all(events: list[Any], deliver: Deliver) -> tuple[int, Any]:
    results = await asyncio.gather(*(deliver(event) for event in events), return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException)]
    for one in failures:
        if not isinstance(one, FunctionFailed):
            raise one
    return (500, {"error": str(failures[0])}) if failures else (202, None)
