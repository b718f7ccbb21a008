"""A function host that listens: HTTP triggers, webhooks, /admin, queue listeners and timers of one app."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from yarl import URL

from sandbox.host.core import FunctionHost, HttpAnswer
from sandbox.host.queues import LOCK_SECONDS, QueueListener
from sandbox.host.storage import QueueClients
from sandbox.host.timers import TimerListener
from sandbox.host.timeshift import TimeShift

logger = logging.getLogger("sandbox.host")

MAX_BODY = 100 * 1024 * 1024  # the host's own limit


@dataclass
class HostServer:
    """Serves a host; `max_wait` bounds the seconds between two looks into an empty queue, `nap` those of a timer.

    `lock` is how many seconds a message that was taken stays hidden when nobody renews it.
    """

    host: FunctionHost
    clients: QueueClients
    max_wait: float = 60.0
    nap: float = 60.0
    lock: int = LOCK_SECONDS
    time: TimeShift = field(default_factory=TimeShift)
    _listeners: list[QueueListener] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _runner: web.ServerRunner | None = None

    async def start(self, sock: socket.socket) -> None:
        """Load the app, listen on a bound socket, start listeners and timers; raises HostError when it cannot."""
        await self.host.start()
        for name, function in self.host.functions.items():
            if function.kind == "queueTrigger":
                clients = self.clients.of(function.trigger)
                self._listeners.append(QueueListener(self.host, name, clients, max_wait=self.max_wait, lock=self.lock))
            elif function.kind == "timerTrigger":
                self._begin(name, TimerListener(self.host, name, nap=self.nap).run())
        self._runner = web.ServerRunner(web.Server(self._answer, request_factory=_request, access_log=None))
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        for listener in self._listeners:
            self._begin(listener.queue, listener.run())

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def stop(self, seconds: float = 5.0) -> None:
        """Fetch no more, wait `seconds` for what runs, close everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(listener.drain(seconds) for listener in self._listeners))
        if self._runner is not None:
            await self._runner.cleanup()
        await self.host.stop()
        await self.clients.close()
        self.time.stop()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = await request.read() if request.can_read_body else b""
        headers = dict(request.headers)
        url = URL(request.raw_path, encoded=True)
        query = dict(url.query)
        if url.raw_path.lower() == "/admin/sandbox/clock":
            answer = self._set_clock(request.method, headers, query, body)
        else:
            answer = await self.host.http(request.method, url.raw_path, headers, query, body)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    def _set_clock(self, method: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> HttpAnswer:
        """POST {"offset": seconds}: not of the real host, the sandbox's console uses it."""
        if not self.host.keys.opens("admin", {name.lower(): value for name, value in headers.items()}, query):
            return HttpAnswer(401)
        try:
            offset = float(json.loads(body)["offset"])
        except (ValueError, KeyError, TypeError):
            return HttpAnswer(400)
        if method != "POST" or offset < 0:
            return HttpAnswer(400)
        self.time.set(offset)
        logger.info("the clock is %s s ahead", offset)
        return HttpAnswer(204)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("listener %s stopped", task.get_name(), exc_info=error)
