"""The queue trigger: fetch, lock, run, delete, give back, put away.

[Microsoft.Azure.WebJobs.Extensions.Storage.Queues: QueuesOptions.cs, QueueListener.cs, QueueProcessor.cs]
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from functools import partial

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from sandbox.host.core import FunctionHost
from sandbox.host.hostjson import QueueOptions
from sandbox.host.messages import TypedData, moment, text
from sandbox.host.outputs import Clients, send
from sandbox.host.worker import FunctionFailed

logger = logging.getLogger("sandbox.host.queues")

LOCK_SECONDS = 600  # the host's own, which no setting changes
FIRST_WAIT = 0.1
_POISON = "-poison"
_LONGEST_NAME = 63


class QueueListener:
    """Feeds one queue function; `run` goes on until it is cancelled, `drain` then waits for what is still running.

    `lock` is how many seconds a message stays hidden once this process cannot renew it any more.
    """

    def __init__(
        self,
        host: FunctionHost,
        function_name: str,
        clients: Clients,
        *,
        max_wait: float | None = None,
        lock: int = LOCK_SECONDS,
    ) -> None:
        self.queue: str = host.functions[function_name].trigger["queueName"]
        self._host = host
        self._function = function_name
        self._options: QueueOptions = host.options.queues
        self._max_wait = max_wait or self._options.max_polling_interval.total_seconds()
        self._lock_seconds = lock
        self._clients = clients
        self._client = clients(self.queue)
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}  # by id and receipt: neither is unique alone
        self._one_ended = asyncio.Event()

    @property
    def running(self) -> int:
        """How many messages are being worked on."""
        return len(self._running)

    async def run(self) -> None:
        """Fetch whenever no more than newBatchThreshold messages run; wait longer and longer while there is nothing."""
        wait = FIRST_WAIT
        while True:
            while len(self._running) > self._options.new_batch_threshold:
                self._one_ended.clear()
                await self._one_ended.wait()
            if await self._fetch():
                wait = FIRST_WAIT
                continue
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._max_wait)

    async def drain(self, seconds: float = 10.0) -> None:
        """Wait for the running messages; those that take longer are cancelled and come back when their lock ends."""
        tasks = list(self._running.values())
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _fetch(self) -> bool:
        size = self._options.batch_size
        hold = self._lock_seconds
        pages = self._client.receive_messages(messages_per_page=size, visibility_timeout=hold).by_page()
        try:
            messages = [message async for message in await anext(pages)]
        except (ResourceNotFoundError, StopAsyncIteration):  # the queue is made by whoever writes first
            return False
        except (AzureError, ValueError) as error:  # ValueError: an answer, or a token's, that is no text at all
            logger.warning("queue %s: %s", self.queue, error)
            return False
        for message in messages:
            receipt = str(message.pop_receipt)
            taken = (message.id, receipt)
            self._running[taken] = asyncio.create_task(self._handle(message, receipt))
            self._running[taken].add_done_callback(partial(self._ended, taken))
        return bool(messages)

    def _ended(self, taken: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._running[taken]
        self._one_ended.set()
        if not task.cancelled() and (error := task.exception()):
            # The lock was lost, or the queue did not answer: the message comes again by itself.
            logger.warning("queue %s: %s", self.queue, error)

    async def _handle(self, message: QueueMessage, receipt: str) -> None:
        most = self._options.max_dequeue_count
        if (message.dequeue_count or 0) > most:
            await self._put_away(message, receipt)
            return
        try:
            content = self._decode(message.content)
        except ValueError:
            logger.warning("queue %s: message %s is not base64", self.queue, message.id)
            await self._put_away(message, receipt)
            return
        lock = _Lock(self._client, message, self._lock_seconds)
        logger.info(
            "Trigger Details: MessageId: %s, DequeueCount: %s, InsertionTime: %s",
            message.id,
            message.dequeue_count,
            message.inserted_on,
        )
        try:
            await self._host.run(self._function, text(content), _metadata(message))
        except FunctionFailed:
            receipt = await lock.end()
            if (message.dequeue_count or 0) >= most:
                await self._put_away(message, receipt)
            elif _poison_name(self.queue):
                delay = int(self._options.visibility_timeout.total_seconds())
                await self._client.update_message(message.id, receipt, visibility_timeout=delay)
            # A queue without a poison queue keeps the message hidden until its lock ends: no fast endless loop.
            return
        except BaseException:
            await lock.end()
            raise
        await self._client.delete_message(message.id, await lock.end())

    def _decode(self, content: str) -> str:
        if not self._options.base64:
            return content
        try:
            return base64.b64decode(content, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("no base64") from error

    async def _put_away(self, message: QueueMessage, receipt: str) -> None:
        name = _poison_name(self.queue)
        if name is None:
            return
        await send(self._clients(name), message.content)
        logger.warning("message %s of queue %s was moved to %s", message.id, self.queue, name)
        await self._client.delete_message(message.id, receipt)


class _Lock:
    """Keeps a message hidden while its function runs."""

    def __init__(self, client: QueueClient, message: QueueMessage, seconds: int) -> None:
        self._seconds = seconds
        self._client = client
        self._id = message.id
        self._receipt = message.pop_receipt
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        # Most runs end long before: a timer handle is cheaper than a task for each.
        self._timer = self._loop.call_later(seconds / 2, self._begin)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            renewed = await self._client.update_message(self._id, self._receipt, visibility_timeout=self._seconds)
            self._receipt = renewed.pop_receipt
            await asyncio.sleep(self._seconds / 2)

    async def end(self) -> str:
        """Stop renewing; return the pop receipt that is valid now."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            for error in await asyncio.gather(self._task, return_exceptions=True):
                if isinstance(error, AzureError):
                    logger.warning("the lock of message %s could not be renewed: %s", self._id, error)
        return str(self._receipt)


def _poison_name(queue: str) -> str | None:
    name = queue + _POISON
    return None if queue.endswith(_POISON) or len(name) > _LONGEST_NAME else name


def _metadata(message: QueueMessage) -> dict[str, TypedData]:
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": text(str(message.id)),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "PopReceipt": text(str(message.pop_receipt)),
        # A time that is absent is left out: libraries before azure-functions 2 cannot read a null.
        **{name: moment(value) for name, value in times.items() if value is not None},
    }
