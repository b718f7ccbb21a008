"""Queue output bindings: what a function returned becomes messages, in a queue that is made when it is missing."""

from __future__ import annotations

import base64 as b64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from sandbox.host.functions import Binding
from sandbox.host.messages import TypedData

Clients = Callable[[str], QueueClient]  # by queue name; without policies, for the host encodes and decodes itself
Outputs = Callable[[Binding, str], Awaitable[None]]  # a queue binding, a text as it goes over the wire


async def send(client: QueueClient, text: str) -> None:
    """Put a text into a queue, which is created when it is missing; the message lives for ever."""
    try:
        await client.send_message(text, time_to_live=-1)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # somebody else was faster
            await client.create_queue()
        await client.send_message(text, time_to_live=-1)


def wire_texts(value: TypedData, *, base64: bool) -> list[str]:
    """Return the messages of an output value: a string, bytes, or JSON (a list, or one {"id", "body"})."""
    kind = value.WhichOneof("data")
    content: Any = getattr(value, kind or "string", "")
    if kind == "json":
        content = json.loads(content)
    items = content if isinstance(content, list) else [content]
    texts = [one["body"] if isinstance(one, dict) else one.decode() if isinstance(one, bytes) else one for one in items]
    return [b64.b64encode(text.encode()).decode() if base64 else text for text in texts]
