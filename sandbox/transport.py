"""The in-process face: an azure-core transport that hands every request of an SDK pipeline to the state machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import replace
from email.utils import format_datetime
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, Self
from urllib.parse import urlencode

from azure.core.exceptions import ServiceRequestError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import AsyncHttpResponse as LegacyResponse
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.pipeline.transport import HttpRequest as LegacyRequest
from azure.core.rest import HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.core.utils import case_insensitive_dict

from sandbox import identity
from sandbox.cloud import Cloud, Site
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import World

IDENTITY_ENDPOINT = "http://127.0.0.1:4279/msi/token"
READ_TIMEOUT = 300.0  # seconds, azure-core's own default
BLOCK = 4096  # bytes per streamed chunk

AnyRequest = HttpRequest | LegacyRequest


class InProcessTransport(AsyncHttpTransport[AnyRequest, Any]):
    """Give it to any aio client as `transport=`: requests reach `cloud`, latency passes on the running loop's clock."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._identity = Cloud(cloud.world, (Site(("127.0.0.1",), identity.managed_identity, lambda _: "identity"),))

    async def send(self, request: AnyRequest, *, stream: bool = False, **config: Any) -> Any:
        """Carry the request out.

        Raises ServiceRequestError when the connection breaks, and ServiceResponseTimeoutError when the answer takes
        longer than `read_timeout` seconds (its effect stands then, as with a real service).
        """
        call = await _call(request)
        door = self._identity if call.url.startswith(IDENTITY_ENDPOINT) else self.cloud
        try:
            answer = door.answer(call)
        except Unreachable as broken:
            await asyncio.sleep(0)
            raise ServiceRequestError(str(broken), error=broken) from broken
        if "date" not in map(str.lower, answer.headers):
            answer = replace(answer, headers={**answer.headers, "Date": _stamp(self.cloud.world)})
        timeout = float(config.get("read_timeout", READ_TIMEOUT))
        await asyncio.sleep(min(answer.latency, timeout))
        if answer.latency > timeout:
            raise ServiceResponseTimeoutError(f"no answer from {call.host} within {timeout} s")
        if isinstance(request, LegacyRequest):
            return _Legacy(request, answer)
        response = _Rest(request, answer)
        if not stream:
            await response.read()
        return response

    async def open(self) -> None:
        """Nothing is opened: there is no socket."""

    async def close(self) -> None:
        """Nothing is closed: one transport may serve many clients."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _stamp(world: World) -> str:
    return format_datetime(world.now(), usegmt=True)


async def _call(request: AnyRequest) -> Call:
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    return Call(request.method, request.url, headers, await _body(request))


async def _body(request: AnyRequest) -> bytes:  # noqa: PLR0911  one line for each kind of body that SDKs send
    if getattr(request, "files", None):
        raise ValueError("multipart bodies are not carried in process")
    content: Any = request.content if isinstance(request, HttpRequest) else request.data
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, Mapping):
        return urlencode(content, doseq=True).encode()
    if hasattr(content, "read"):
        read = content.read()
        content = await read if isawaitable(read) else read
        return content.encode() if isinstance(content, str) else bytes(content)
    if isinstance(content, AsyncIterable):
        return b"".join([bytes(part) async for part in content])
    if isinstance(content, Iterable):
        return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in content)
    raise TypeError(f"a body of type {type(content).__name__} cannot be sent")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of nobody's list, as fault scripts may send
        return ""


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), BLOCK):
        yield body[start : start + BLOCK]


class _Stream(AsyncIterator[bytes]):
    """A body in chunks that knows its response: azure-storage-blob asks it, and hangs the blob's properties on it."""

    def __init__(self, response: AsyncHttpResponseImpl, body: bytes) -> None:
        self.response = response
        self.content_length = len(body)
        self._parts = _chunks(body)

    async def __anext__(self) -> bytes:
        return await anext(self._parts)


class _Connection:
    """What an SDK sees as the transport's own response: something to close, and its status and headers."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = case_insensitive_dict(answer.headers)

    async def close(self) -> None:
        """Nothing is closed."""


class _Rest(AsyncHttpResponseImpl):
    """The answer as azure.core.rest shows it."""

    def __init__(self, request: HttpRequest, answer: Answer) -> None:
        connection = _Connection(answer)
        super().__init__(
            request=request,
            internal_response=connection,
            block_size=BLOCK,
            status_code=answer.status,
            reason=_reason(answer.status),
            content_type=connection.headers.get("content-type"),
            headers=connection.headers,
            stream_download_generator=lambda *_, **__: _Stream(self, answer.body),
        )


class _Legacy(LegacyResponse):
    """The answer as pipelines before azure.core.rest show it."""

    def __init__(self, request: LegacyRequest, answer: Answer) -> None:
        connection = _Connection(answer)
        super().__init__(request, connection, BLOCK)
        self.status_code = answer.status
        self.reason = _reason(answer.status)
        self.headers = connection.headers
        self.content_type = connection.headers.get("content-type")
        self._answer = answer

    def body(self) -> bytes:
        """Return the whole body."""
        return self._answer.body

    async def load_body(self) -> None:
        """Nothing is left to load."""

    def stream_download(self, pipeline: Any, *, decompress: bool = True, **_: Any) -> AsyncIterator[bytes]:  # noqa: ARG002
        """Yield the body in chunks."""
        return _chunks(self._answer.body)
