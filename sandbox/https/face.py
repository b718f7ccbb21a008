"""The HTTP in front of the state machine: requests become Calls, Answers become responses."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from functools import partial
from typing import Any

from aiohttp import web

from sandbox.cloud import Cloud
from sandbox.https.authority import Authority
from sandbox.https.door import FrontDoor, Tunnel
from sandbox.wire import Answer, Call, Refused, Unreachable
from sandbox.world import Logged

logger = logging.getLogger("sandbox.https")

PlainHandler = Callable[[Call], Awaitable[Answer]]
HTTPS_PORT = "443"
MAX_BODY = 8 * 1024 * 1024
_LIMITS: dict[str, Any] = {
    "access_log": None,
    "max_line_size": 65_536,  # skip tokens
    "max_field_size": 65_536,  # access tokens
    "keepalive_timeout": 600.0,
}


class PortTakenError(Exception):
    """Another program listens on the port."""


class Face:
    """Listens on 127.0.0.1; `cloud` is asked for at every call, so that a reset can put another one in its place."""

    def __init__(self, cloud: Callable[[], Cloud], authority: Authority, plain: PlainHandler) -> None:
        self.port = 0
        self._cloud = cloud
        self._authority = authority
        self._plain_handler = plain
        self._server: asyncio.Server | None = None
        self._plain: web.Server | None = None
        self._servers: dict[str, web.Server] = {}

    async def start(self, port: int = 0) -> int:
        """Listen on a port (0: a free one) and return it; a taken port raises PortTakenError."""
        loop = asyncio.get_running_loop()
        plain = self._plain = _server(self._answer_plain)
        try:
            self._server = await loop.create_server(lambda: FrontDoor(self._tunnel, plain), "127.0.0.1", port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(f"port {port} is taken") from error
            raise
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for server in [*self._servers.values(), *([self._plain] if self._plain else [])]:
            server.pre_shutdown()
            await server.shutdown(1.0)
        if self._server is not None:
            self._server.close_clients()
            await self._server.wait_closed()
        self._servers.clear()

    def _tunnel(self, host: str, port: str) -> Tunnel | None:
        cloud = self._cloud()
        if port != HTTPS_PORT or not cloud.serves(host):
            cloud.world.log.append(Logged(cloud.world.now(), "CONNECT", f"https://{host}:{port}", 403, "foreign"))
            return None
        server = self._servers.get(host)
        if server is None:
            server = self._servers[host] = _server(partial(self._answer, host))
        return Tunnel(self._authority.context(host), server())

    async def _answer(self, host: str, request: web.BaseRequest) -> web.StreamResponse:
        cloud = self._cloud()
        call = await _call(f"https://{host}", request)
        try:
            answer = cloud.answer(call)
        except Unreachable:
            return _hang_up(request)
        except Exception:
            logger.exception("the sandbox failed at %s %s", call.method, call.url)
            answer = Refused(500, "InternalServerError", "The sandbox has a bug; its log says more.").answer()
        return await _respond(answer, cloud)

    async def _answer_plain(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):  # a proxy request without CONNECT
            return web.Response(status=403, text="Azure is reached by https only.")
        call = await _call(f"http://{request.host}", request)
        return await _respond(await self._plain_handler(call), self._cloud())


def _server(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> web.Server:
    loop = asyncio.get_running_loop()

    def make(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

    return web.Server(handler, request_factory=make, **_LIMITS)


async def _call(base: str, request: web.BaseRequest) -> Call:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = await request.read() if request.can_read_body else b""
    return Call(request.method, base + request.raw_path, headers, body)


async def _respond(answer: Answer, cloud: Cloud) -> web.Response:
    if answer.latency > 0:
        await asyncio.sleep(answer.latency)
    # The simulated time, for clients compare a token's or a retry's date with it.
    headers = {"Date": format_datetime(cloud.world.now(), usegmt=True), **answer.headers}
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Break the connection in place of an answer; the response that aiohttp wants to have is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
