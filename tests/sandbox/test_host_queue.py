import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from azure.storage.queue.aio import QueueClient

from sandbox import queues
from sandbox.cloud import Cloud, Site
from sandbox.host import FunctionHost, HostError, Keys, QueueListener
from sandbox.host.functions import Binding
from sandbox.host.outputs import send
from sandbox.transport import InProcessTransport
from sandbox.virtual import VirtualClock
from sandbox.virtual import run as run_virtually
from sandbox.world import World

APP = """
import asyncio, json
from typing import List
import azure.functions as func

app = func.FunctionApp()
runs = []
now = {"most": 0, "running": 0}

@app.queue_trigger("msg", "work", "Store")
async def work(msg: func.QueueMessage) -> None:
    text = msg.get_body().decode()
    now["running"] += 1
    now["most"] = max(now["most"], now["running"])
    runs.append([text, msg.dequeue_count, msg.id is not None, msg.insertion_time is not None])
    try:
        await asyncio.sleep(float(text.partition(":")[2] or 0))
        if text.startswith("fail"):
            raise ValueError(text)
    finally:
        now["running"] -= 1

@app.route("runs", auth_level=func.AuthLevel.ANONYMOUS)
async def show(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"runs": runs, **now}))
"""
OUTPUT = """
@app.route("put", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output("out", "made", "Store")
async def put(req: func.HttpRequest, out: func.Out[List[str]]) -> str:
    out.set(["one", "two"])
    return "done"
"""
ACCOUNT = "cmk"


class Stand:
    """A host, its listener on an in-process queue service, and a client that writes."""

    def __init__(self, host: FunctionHost, world: World, clients: Callable[[str], QueueClient]) -> None:
        self.host = host
        self.world = world
        self.clients = clients
        self.listener = QueueListener(host, "work", clients)

    async def put(self, *texts: str) -> None:
        for text in texts:
            await send(self.clients("work"), base64.b64encode(text.encode()).decode())

    async def runs(self) -> Any:
        return json.loads((await self.host.http("GET", "/api/runs", {}, {})).body)

    def depth(self, queue: str) -> int:
        return queues.depth(self.world, ACCOUNT, queue)


def run(
    app: Path, work: Callable[[Stand], Awaitable[None]], seconds: float, app_code: str = APP, **options: Any
) -> Any:
    """Run `work`, let the listener go on for some virtual seconds, and return what the function saw."""
    (app / "function_app.py").write_text(app_code)
    (app / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": options}}))

    async def main(clock: VirtualClock) -> Any:
        world = World(clock=clock)
        transport = InProcessTransport(
            Cloud(world, (Site((".queue.core.windows.net",), queues.answer, lambda _: "queue"),))
        )
        key = {"account_name": ACCOUNT, "account_key": base64.b64encode(b"any").decode()}

        def clients(queue: str) -> QueueClient:
            address = f"https://{ACCOUNT}.queue.core.windows.net"
            return QueueClient(address, queue, credential=key, transport=transport)

        async def write(binding: Binding, text: str) -> None:
            await send(clients(binding["queueName"]), text)

        numbers = count()
        host = FunctionHost(app, settings={}, ids=lambda: str(next(numbers)), keys=Keys("m", "f", "e"), outputs=write)
        await host.start()
        stand = Stand(host, world, clients)
        await work(stand)
        task = asyncio.create_task(stand.listener.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stand.listener.drain(0)
        found = {**await stand.runs(), "left": stand.depth("work"), "poison": stand.depth("work-poison")}
        await host.stop()
        return found

    return run_virtually(main)


def test_a_message_runs_once_with_its_metadata_and_is_gone(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("hello")

    found = run(tmp_path, work, 1)
    assert found["runs"] == [["hello", 1, True, True]]
    assert (found["left"], found["poison"]) == (0, 0)


def test_no_more_than_batch_and_threshold_run_at_once(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put(*(f"slow:{number % 3 + 1}" for number in range(40)))

    found = run(tmp_path, work, 60, batchSize=4, newBatchThreshold=2)
    assert found["most"] == 6
    assert len(found["runs"]) == 40
    assert found["left"] == 0


def test_a_failing_message_runs_max_dequeue_count_times_and_goes_to_the_poison_queue(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("fail")

    found = run(tmp_path, work, 300, maxDequeueCount=3, visibilityTimeout="00:00:10")
    assert [(text, times) for text, times, *_ in found["runs"]] == [("fail", 1), ("fail", 2), ("fail", 3)]
    assert (found["left"], found["poison"]) == (0, 1)


def test_a_failed_message_waits_the_visibility_timeout(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("fail")

    assert len(run(tmp_path, work, 59, visibilityTimeout="00:01:00")["runs"]) == 1


def test_a_message_found_above_the_limit_is_moved_without_being_run(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("dead host")
        client = stand.clients("work")
        for _ in range(2):
            async for message in client.receive_messages(visibility_timeout=1):
                assert message.content
            await asyncio.sleep(2)

    found = run(tmp_path, work, 1, maxDequeueCount=2)
    assert found["runs"] == []
    assert (found["left"], found["poison"]) == (0, 1)


def test_a_message_that_is_not_base64_goes_to_the_poison_queue_as_it_is(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await send(stand.clients("work"), "{plain}")

    found = run(tmp_path, work, 1)
    assert (found["runs"], found["poison"]) == ([], 1)


def test_plain_messages_pass_when_host_json_says_so(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await send(stand.clients("work"), "{plain}")

    assert [one[0] for one in run(tmp_path, work, 1, messageEncoding="none")["runs"]] == ["{plain}"]


def test_the_lock_is_renewed_while_a_function_runs(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("slow:2000")

    found = run(tmp_path, work, 2100)
    assert [one[1] for one in found["runs"]] == [1]
    assert found["left"] == 0


def test_a_cancelled_run_leaves_its_message_to_come_again(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await stand.put("slow:1000")

    found = run(tmp_path, work, 5)
    assert (len(found["runs"]), found["left"], found["poison"]) == (1, 1, 0)


def test_an_empty_or_missing_queue_is_asked_less_and_less_often(tmp_path: Path) -> None:
    stands: list[Stand] = []

    async def work(stand: Stand) -> None:
        stands.append(stand)

    run(tmp_path, work, 600, maxPollingInterval="00:01:00")
    calls = [line.at.timestamp() for line in stands[0].world.log]
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(calls)]
    assert gaps[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(gaps) == 60


def test_an_answer_that_is_no_text_is_asked_for_again(tmp_path: Path) -> None:
    garbage = iter((b"\xff\xfe", b"<html>busy</html>", b"<QueueMessagesList>"))

    async def work(stand: Stand) -> None:
        await stand.put("hello")
        stand.world.hooks.after = lambda _call, answer: replace(answer, body=next(garbage, answer.body))

    found = run(tmp_path, work, 2_000)  # what the lost answer took stays hidden for ten minutes
    assert [text for text, *_ in found["runs"]] == ["hello"]
    assert (found["left"], found["poison"]) == (0, 0)


def test_an_output_binding_writes_a_message_for_each_item_into_a_queue_made_on_demand(tmp_path: Path) -> None:
    stands: list[Stand] = []

    async def work(stand: Stand) -> None:
        stands.append(stand)
        assert (await stand.host.http("GET", "/api/put", {}, {})).status == 200

    run(tmp_path, work, 0, APP + OUTPUT)
    texts = [base64.b64decode(one.text).decode() for one in queues.messages(stands[0].world, ACCOUNT, "made")]
    assert texts == ["one", "two"]


def test_an_app_with_output_bindings_needs_somewhere_to_write(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP + OUTPUT)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')

    async def main() -> None:
        await FunctionHost(tmp_path, settings={}, ids=str).start()

    with pytest.raises(HostError, match="writes to queue made"):
        asyncio.run(main())
