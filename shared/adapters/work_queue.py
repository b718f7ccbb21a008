"""The queue of work, through azure-storage-queue: an output binding could not delay a message."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from msgspec import Struct

from shared.adapters.connection import Connection
from shared.adapters.translate import translated
from shared.domain.reasons import Reason
from shared.domain.work import WORK_QUEUE, BadWorkItem, WorkItem, encode
from shared.errors import AppError, NotTaken, Refusal, TryLater
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient

_LONGEST = timedelta(days=6, hours=23)  # a message can be hidden for seven days [learn put-message]


class QueueSite(Struct, frozen=True):
    """Where the queue is: a service URI to be reached with the app's identity, or a connection string."""

    service_uri: str = ""
    connection_string: str = ""


class StorageWorkQueue:
    """Implements ports.WorkQueue."""

    def __init__(self, connection: Connection, site: QueueSite, clock: Clock) -> None:
        self._connection = connection
        self._site = site
        self._clock = clock
        self._made: QueueClient | None = None

    async def put(self, item: WorkItem, *, visible_at: datetime | None = None) -> None:
        """Put one item. It never expires; hidden for at most seven days, after which it is looked at anyway.

        Raises NotTaken; Refusal for an item that is too large, or when no queue is set.
        """
        delay = timedelta(0) if visible_at is None else visible_at - self._clock.now()
        # Upwards: a look that comes a moment before its time would be followed by another one at once.
        seconds = math.ceil(min(max(delay, timedelta(0)), _LONGEST).total_seconds())
        try:
            text = encode(item)
        except BadWorkItem as error:
            raise Refusal(Reason.BAD_REQUEST, str(error)) from error
        client = self._client()
        try:
            with translated("the work queue"):
                await _send(client, text, seconds)
        except AppError as error:
            after = error.after if isinstance(error, TryLater) else None
            raise NotTaken(error.reason, f"the work queue: {error.detail}", after) from error

    async def look(self) -> None:
        """Peek at one message: what whoever may take work from the queue may do. The queue is made at first use."""
        with translated("the work queue"), suppress(ResourceNotFoundError):
            await self._client().peek_messages(max_messages=1)

    def _client(self) -> QueueClient:
        if not self._site.service_uri and not self._site.connection_string:
            raise Refusal(Reason.MISCONFIGURED, "AzureWebJobsStorage")
        if self._made is None:
            from azure.storage.queue import TextBase64EncodePolicy  # noqa: PLC0415  costs time at cold start
            from azure.storage.queue.aio import QueueClient  # noqa: PLC0415

            options: dict[str, Any] = {
                "message_encode_policy": TextBase64EncodePolicy(),  # what the host expects (messageEncoding)
                "retry_total": 2,
                "initial_backoff": 1,
                "increment_base": 2,
                "permit_redirects": False,
            }
            if self._site.connection_string:
                # Development storage speaks plain http on loopback, which the guarded way out refuses.
                self._made = QueueClient.from_connection_string(self._site.connection_string, WORK_QUEUE, **options)
            else:
                self._made = QueueClient(
                    self._site.service_uri,
                    WORK_QUEUE,
                    credential=self._connection.credential,
                    transport=self._connection.transport,
                    **options,
                )
        return self._made


async def _send(client: QueueClient, text: str, seconds: int) -> None:
    try:
        await client.send_message(text, visibility_timeout=seconds, time_to_live=-1)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # somebody else was faster
            await client.create_queue()
        await client.send_message(text, visibility_timeout=seconds, time_to_live=-1)
