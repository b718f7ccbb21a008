"""The app's queue on a queue service that is real, and its process killed while it works on it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueClient

from sandbox.host import FunctionHost, QueueListener
from shared.adapters.clouds import CLOUDS
from shared.adapters.connection import Connection, aiohttp_transport, managed_identity
from shared.adapters.work_queue import QueueSite, StorageWorkQueue
from shared.bootstrap import SystemClock
from shared.domain.reasons import Reason
from shared.domain.work import LONGEST_MESSAGE, WORK_QUEUE, Cause, Source, Sweep, decode
from shared.errors import Refusal
from tools.azurite.service import azurite

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with azurite(("queue",)) as found:
        yield found


@asynccontextmanager
async def _queue(connection: str) -> AsyncIterator[tuple[StorageWorkQueue, QueueClient]]:
    """Yield the app's adapter and a client that sees what it did, on a service without any queue."""
    unused = Connection(CLOUDS["AzureCloud"], aiohttp_transport, lambda: managed_identity(""))
    work = StorageWorkQueue(unused, QueueSite(connection_string=connection), SystemClock())
    made = QueueClient.from_connection_string(connection, WORK_QUEUE, message_decode_policy=TextBase64DecodePolicy())
    async with made as client:
        yield work, client
        await client.delete_queue()
        await work._client().close()  # noqa: SLF001  the app keeps it as long as it lives


def _item(cursor: str = "") -> Sweep:
    return Sweep(Cause("c-1", Source.TIMER), datetime(2026, 5, 1, tzinfo=UTC), cursor=cursor)


def test_the_first_item_makes_the_queue_goes_in_base64_and_never_expires(connection: str) -> None:
    async def run() -> None:
        async with _queue(connection) as (work, client):
            await work.put(_item())
            (message,) = await client.peek_messages()
            assert decode(message.content) == _item()
            assert message.expires_on is not None
            assert message.expires_on.year == 9999

    asyncio.run(run())


def test_an_item_is_hidden_until_its_time(connection: str) -> None:
    async def run() -> None:
        async with _queue(connection) as (work, client):
            await work.put(_item(), visible_at=SystemClock().now() + timedelta(seconds=1.5))
            assert await client.receive_message() is None
            assert (await client.get_queue_properties()).approximate_message_count == 1
            await asyncio.sleep(2.1)  # the service counts in whole seconds
            message = await client.receive_message()
            assert message is not None
            assert message.dequeue_count == 1

    asyncio.run(run())


def test_an_item_can_wait_for_as_long_as_the_app_ever_asks(connection: str) -> None:
    async def run() -> None:
        async with _queue(connection) as (work, client):
            await work.put(_item(), visible_at=SystemClock().now() + timedelta(days=30))
            assert await client.receive_message() is None

    asyncio.run(run())


def test_the_longest_item_fits_and_a_longer_one_is_refused_before_it_is_sent(connection: str) -> None:
    async def run() -> None:
        async with _queue(connection) as (work, client):
            room = LONGEST_MESSAGE - len(json.dumps({"": ""})) - 200
            await work.put(_item("s" * room))
            (message,) = await client.peek_messages()
            assert decode(message.content) == _item("s" * room)
            with pytest.raises(Refusal) as refused:
                await work.put(_item("s" * LONGEST_MESSAGE))
            assert refused.value.reason is Reason.BAD_REQUEST
            with pytest.raises(HttpResponseError):  # so the app's limit is not above the service's
                await client.send_message("s" * 70_000)

    asyncio.run(run())


def test_everything_converges_though_the_app_is_killed_twice_and_garbage_is_reported() -> None:
    command = [sys.executable, "-m", "tools.kill", "--resources", "30", "--kills", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["verified"] == told["users"] == 27
    assert [one["inFlight"] > 0 for one in told["kills"]] == [True, True]
    assert (told["left"], told["poisonLeft"], told["touched"], told["garbageReported"]) == (0, 0, 0, 1)


APP = """
import asyncio, json
import azure.functions as func

app = func.FunctionApp()
now = {"done": 0, "most": 0, "running": 0}

@app.queue_trigger("msg", "cmk-work", "Store")
async def work(msg: func.QueueMessage) -> None:
    now["running"] += 1
    now["most"] = max(now["most"], now["running"])
    await asyncio.sleep(0.05)
    now["running"] -= 1
    now["done"] += 1

@app.route("now", auth_level=func.AuthLevel.ANONYMOUS)
async def show(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(now))
"""


def test_the_host_counts_messages_right_though_those_taken_together_share_a_receipt(
    connection: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')

    async def run() -> None:
        host = FunctionHost(tmp_path, settings={}, ids=lambda: str(uuid4()))
        await host.start()
        async with _queue(connection) as (work, client), _no_policy(connection) as raw:
            for number in range(60):
                await work.put(_item(str(number)))
            listening = asyncio.create_task(QueueListener(host, "work", lambda _: raw, max_wait=0.2).run())
            while (await client.get_queue_properties()).approximate_message_count:  # noqa: ASYNC110  a service is asked
                await asyncio.sleep(0.1)
            listening.cancel()
            now = json.loads((await host.http("GET", "/api/now", {}, {})).body)
        await host.stop()
        assert (now["done"], now["running"]) == (60, 0)
        assert now["most"] <= 24  # a batch of 16 is fetched while 8 run

    asyncio.run(run())
    assert [line.message for line in caplog.records if line.levelname == "ERROR"] == []


def _no_policy(connection: str) -> QueueClient:
    return QueueClient.from_connection_string(connection, WORK_QUEUE)
