import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseTimeoutError
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.transport import HttpRequest as LegacyRequest
from azure.core.rest import HttpRequest
from azure.identity.aio import ClientSecretCredential, ManagedIdentityCredential

from sandbox import identity
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.transport import IDENTITY_ENDPOINT, InProcessTransport
from sandbox.wire import Answer, Call
from sandbox.world import World

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def _echo(_world: World, call: Call) -> Answer:
    headers = {"Content-Type": "application/octet-stream", "X-Seen": call.headers.get("x-sent", "")}
    return Answer(int(call.query.get("status", "200")), headers, call.body, float(call.query.get("latency", "0")))


def _transport() -> InProcessTransport:
    world = World(clock=ManualClock(NOW))
    sites = (
        Site(("echo.test",), _echo, lambda _: "other"),
        Site(("login.microsoftonline.com",), identity.answer, lambda _: "identity"),
    )
    return InProcessTransport(Cloud(world, sites))


async def _parts() -> Any:
    yield b"two "
    yield b"parts"


@pytest.mark.parametrize(
    ("content", "arrived"),
    [
        (None, b""),
        ({"json": {"a": 1}}, b'{"a": 1}'),
        ({"content": "text"}, b"text"),
        ({"content": b"bytes"}, b"bytes"),
        ({"content": [b"two ", b"parts"]}, b"two parts"),
        ({"content": "async"}, b"two parts"),
        ({"data": {"scope": "a b", "x": "1"}}, b"scope=a+b&x=1"),
    ],
)
def test_every_kind_of_body_arrives_as_bytes(content: dict[str, Any] | None, arrived: bytes) -> None:
    if content == {"content": "async"}:
        content = {"content": _parts()}
    request = HttpRequest("POST", "https://echo.test/?status=201", headers={"X-Sent": "yes"}, **(content or {}))

    async def main() -> None:
        response = await _transport().send(request)
        assert (response.status_code, response.reason, response.content) == (201, "Created", arrived)
        assert response.headers["x-seen"] == "yes"
        assert response.headers["X-SEEN"] == "yes"

    asyncio.run(main())


def test_a_streamed_answer_is_read_in_chunks() -> None:
    async def main() -> None:
        request = HttpRequest("POST", "https://echo.test/", content=b"x" * 10_000)
        response = await _transport().send(request, stream=True)
        assert [len(part) async for part in response.iter_bytes()] == [4096, 4096, 1808]

    asyncio.run(main())


def test_a_pipeline_of_the_old_kind_works_too() -> None:
    async def main() -> None:
        request = LegacyRequest("PUT", "https://echo.test/", headers={"Content-Type": "text/plain"})
        request.set_bytes_body(b"old")
        async with AsyncPipeline(_transport()) as pipeline:
            response = (await pipeline.run(request)).http_response
        assert (response.status_code, response.body(), response.text()) == (200, b"old", "old")
        assert [part async for part in response.stream_download(None)] == [b"old"]

    asyncio.run(main())


def test_an_unknown_host_breaks_like_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ServiceRequestError):
        asyncio.run(_transport().send(HttpRequest("GET", "https://elsewhere.test/")))


def test_an_answer_slower_than_the_read_timeout_times_out() -> None:
    with pytest.raises(ServiceResponseTimeoutError):
        asyncio.run(_transport().send(HttpRequest("GET", "https://echo.test/?latency=5"), read_timeout=0.01))


def test_multipart_bodies_are_refused_in_clear_words() -> None:
    with pytest.raises(ValueError, match="multipart"):
        asyncio.run(_transport().send(HttpRequest("POST", "https://echo.test/", files={"f": b"x"})))


def test_the_managed_identity_credential_gets_the_app_s_token(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = _transport()
    world = transport.cloud.world
    monkeypatch.setenv("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT)
    monkeypatch.setenv("IDENTITY_HEADER", identity.identity_header(world))

    async def main() -> str:
        async with ManagedIdentityCredential(transport=transport) as credential:
            return str((await credential.get_token("https://vault.azure.net/.default")).token)

    call = Call("GET", "https://kv.vault.azure.net/keys", {"authorization": f"Bearer {asyncio.run(main())}"})
    claims = identity.bearer(world, call, ("https://vault.azure.net/",))
    assert claims is not None
    assert (claims.oid, claims.appid) == (world.app_principal_id, world.app_client_id)
    assert [line.kind for line in world.log] == ["identity"]


def test_a_wrong_identity_header_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")

    async def main() -> None:
        async with ManagedIdentityCredential(transport=_transport(), retry_total=0) as credential:
            await credential.get_token("https://vault.azure.net/.default")

    with pytest.raises(ClientAuthenticationError):
        asyncio.run(main())


def test_a_service_principal_logs_in_with_its_secret() -> None:
    transport = _transport()
    tenant = "33333333-3333-4333-8333-333333333333"

    async def main() -> str:
        async with ClientSecretCredential(tenant, "some-app", "secret", transport=transport) as credential:
            return (await credential.get_token("https://management.core.windows.net//.default")).token

    call = Call("GET", "https://management.azure.com/", {"authorization": f"Bearer {asyncio.run(main())}"})
    claims = identity.bearer(transport.cloud.world, call, ("https://management.core.windows.net",))
    assert claims is not None
    assert (claims.tid, claims.appid) == (tenant, "some-app")
