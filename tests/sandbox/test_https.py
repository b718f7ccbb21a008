import asyncio
import ssl
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from sandbox.cloud import Cloud, Site
from sandbox.https import Authority, Face, PortTakenError
from sandbox.wire import Answer, Call, Refused, Unreachable
from sandbox.world import World


def _site(_: World, call: Call) -> Answer:
    match call.path:
        case "/refused":
            raise Refused(409, "Conflict", "no")
        case "/broken":
            raise Unreachable("reset")
        case "/slow":
            return Answer(200, latency=0.2)
        case "/empty":
            return Answer(204)
    return Answer.of({"method": call.method, "url": call.url, "bytes": len(call.body), "x": call.headers.get("x-sent")})


class Stand:
    """A face on a free port, and a client that trusts it and goes through it."""

    def __init__(self, face: Face, session: aiohttp.ClientSession, world: World) -> None:
        self.face = face
        self.session = session
        self.world = world

    async def send(self, method: str, url: str, **options: Any) -> tuple[int, bytes]:
        async with self.session.request(method, url, proxy=f"http://127.0.0.1:{self.face.port}", **options) as answer:
            return answer.status, await answer.read()


def run(work: Callable[[Stand], Awaitable[Any]]) -> Any:
    async def plain(call: Call) -> Answer:
        return Answer.of({"plain": call.path, "host": call.host})

    async def main() -> Any:
        world = World()
        cloud = Cloud(world, (Site((".example.test", "management.azure.com"), _site, lambda _: "other"),))
        authority = Authority()
        face = Face(lambda: cloud, authority, plain)
        await face.start()
        connector = aiohttp.TCPConnector(ssl=authority.client_context())
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                return await work(Stand(face, session, world))
        finally:
            await face.stop()

    return asyncio.run(main())


def test_azures_host_names_end_at_the_state_machine() -> None:
    async def work(stand: Stand) -> None:
        url = "https://management.azure.com/a%2Fb?api-version=1&x=%20"
        async with stand.session.put(
            url, data=b"12345", headers={"X-Sent": "yes"}, proxy=f"http://127.0.0.1:{stand.face.port}"
        ) as answer:
            assert answer.status == 200
            assert (await answer.json()) == {"method": "PUT", "url": url, "bytes": 5, "x": "yes"}
            assert "x-ms-request-id" in answer.headers
            assert answer.headers.getall("Date")[0].endswith("GMT")
            assert len(answer.headers.getall("Date")) == 1

    run(work)


def test_each_host_has_its_own_certificate_and_connections_are_kept() -> None:
    async def work(stand: Stand) -> None:
        for host in ("a.example.test", "b.example.test", "a.example.test", "b.example.test"):
            assert (await stand.send("GET", f"https://{host}/"))[0] == 200
        connector = stand.session.connector
        assert connector is not None
        assert sum(len(kept) for kept in connector._conns.values()) == 2  # noqa: SLF001  the pool itself is the point

    run(work)


def test_a_client_that_does_not_trust_the_authority_is_not_served() -> None:
    async def work(stand: Stand) -> None:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stand.send("GET", "https://a.example.test/", ssl=ssl.create_default_context())
        assert (await stand.send("GET", "https://a.example.test/"))[0] == 200

    run(work)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "body"),
    [
        ("GET", "/refused", {}, 409, b'{"error": {"code": "Conflict", "message": "no"}}'),
        ("HEAD", "/", {}, 200, b""),
        ("GET", "/empty", {}, 204, b""),
        ("POST", "/", {"data": BytesIO(b"x" * 3_000_000)}, 200, b"3000000"),
        ("POST", "/", {"data": BytesIO(b"x" * 3_000_000), "chunked": True}, 200, b"3000000"),
        ("POST", "/", {"data": b"x" * 1000, "expect100": True}, 200, b"1000"),
        ("POST", "/", {"data": BytesIO(b"x" * 9_000_000)}, 413, b"exceeded"),
        ("GET", "/" + "y" * 20_000, {"headers": {"Authorization": "z" * 20_000}}, 200, b"yyy"),
    ],
)
def test_requests_of_every_shape_are_answered(
    method: str, path: str, options: dict[str, Any], status: int, body: bytes
) -> None:
    async def work(stand: Stand) -> None:
        got, content = await stand.send(method, f"https://a.example.test{path}", **options)
        assert got == status
        assert body in content

    run(work)


def test_latency_is_waited_for() -> None:
    async def work(stand: Stand) -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await stand.send("GET", "https://a.example.test/slow")
        return loop.time() - before

    assert run(work) >= 0.2


def test_unreachable_breaks_the_connection_and_nothing_else() -> None:
    async def work(stand: Stand) -> None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await stand.send("POST", "https://a.example.test/broken")
        assert (await stand.send("GET", "https://a.example.test/"))[0] == 200
        assert [line.status for line in stand.world.log] == [0, 200]

    run(work)


@pytest.mark.parametrize("url", ["https://example.org/", "https://a.example.test:8443/", "https://test/"])
def test_foreign_hosts_are_refused_and_logged(url: str) -> None:
    async def work(stand: Stand) -> None:
        with pytest.raises(aiohttp.ClientHttpProxyError) as refused:
            await stand.send("GET", url)
        assert refused.value.status == 403
        assert [(line.method, line.status, line.kind) for line in stand.world.log] == [("CONNECT", 403, "foreign")]

    run(work)


def test_plain_http_reaches_this_machines_own_services_only() -> None:
    async def work(stand: Stand) -> None:
        async with stand.session.get(f"http://127.0.0.1:{stand.face.port}/console/state") as answer:
            assert await answer.json() == {"plain": "/console/state", "host": "127.0.0.1"}
        assert (await stand.send("GET", "http://management.azure.com/"))[0] == 403

    run(work)


def test_a_connection_that_sends_no_http_is_closed() -> None:
    async def work(stand: Stand) -> None:
        for sent in (b"CONNECT " + b"x" * 20_000, b"CONNECT no-port HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", stand.face.port)
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.split(b" ")[1] in {b"431", b"403", b"400"}
            writer.close()

    run(work)


def test_azure_cores_transport_goes_through_by_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(stand: Stand) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{stand.face.port}")
        files = stand.face._authority.write(tmp_path)  # noqa: SLF001  what `up` does
        async with AioHttpTransport() as transport:
            request = HttpRequest("GET", "https://management.azure.com/x")
            response = await transport.send(request, connection_verify=str(files.bundle))
            assert response.status_code == 200

    run(work)


def test_a_taken_port_is_named() -> None:
    async def work(stand: Stand) -> None:
        other = Face(stand.face._cloud, Authority(), stand.face._plain_handler)  # noqa: SLF001  a second one like it
        with pytest.raises(PortTakenError, match=str(stand.face.port)):
            await other.start(stand.face.port)

    run(work)
