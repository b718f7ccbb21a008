import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from sandbox import identity, queues
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.transport import InProcessTransport
from sandbox.wire import Call
from sandbox.world import World

ACCOUNT = "https://work.queue.core.windows.net"
KEY = AzureNamedKeyCredential("work", "c2FuZGJveA==")


def _world() -> World:
    return World(clock=ManualClock(datetime(2026, 11, 2, tzinfo=UTC)))


def _cloud(world: World) -> Cloud:
    sites = (
        Site((".queue.core.windows.net",), queues.answer, lambda _: "queue"),
        Site(("login.microsoftonline.com",), identity.answer, lambda _: "identity"),
    )
    return Cloud(world, sites)


def _code(refused: pytest.ExceptionInfo[HttpResponseError]) -> str:
    code = getattr(refused.value, "error_code", "")
    return str(getattr(code, "value", code))


def _with_queue(main: Callable[[QueueClient, World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = _world()
        transport = InProcessTransport(_cloud(world))
        async with QueueClient(ACCOUNT, "work", credential=KEY, transport=transport, retry_total=0) as queue:
            await queue.create_queue()
            await main(queue, world)

    asyncio.run(run())


def test_messages_come_in_order_hide_for_their_time_and_come_back_counted() -> None:
    async def main(queue: QueueClient, world: World) -> None:
        for text in ("one", "two", "<three & more>"):
            await queue.send_message(text)
        first = [
            one async for one in queue.receive_messages(messages_per_page=2, visibility_timeout=60, max_messages=2)
        ]
        assert [(one.content, one.dequeue_count) for one in first] == [("one", 1), ("two", 1)]
        assert [one.content for one in await queue.peek_messages(5)] == ["<three & more>"]
        world.clock.shift(timedelta(seconds=60))
        again = [one async for one in queue.receive_messages()]
        assert [(one.content, one.dequeue_count) for one in again] == [("<three & more>", 1), ("one", 2), ("two", 2)]
        assert queues.depth(world, "work", "work") == 3

    _with_queue(main)


def test_a_message_put_with_a_delay_stays_hidden_until_then() -> None:
    async def main(queue: QueueClient, world: World) -> None:
        await queue.send_message("later", visibility_timeout=600, time_to_live=-1)
        assert await queue.receive_message() is None
        world.clock.shift(timedelta(days=300))
        message = await queue.receive_message()
        assert message is not None
        assert message.expires_on == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    _with_queue(main)


def test_messages_expire_after_seven_days_by_default() -> None:
    async def main(queue: QueueClient, world: World) -> None:
        await queue.send_message("old")
        world.clock.shift(timedelta(days=7))
        assert await queue.receive_message() is None
        assert queues.messages(world, "work", "work") == []

    _with_queue(main)


def test_only_the_newest_pop_receipt_deletes() -> None:
    async def main(queue: QueueClient, world: World) -> None:
        await queue.send_message("held")
        message = await queue.receive_message(visibility_timeout=10)
        assert message is not None
        newer = await queue.update_message(message, visibility_timeout=600, content="changed")
        with pytest.raises(HttpResponseError, match="pop receipt") as refused:
            await queue.delete_message(message.id, message.pop_receipt)
        assert (refused.value.status_code, _code(refused)) == (400, "PopReceiptMismatch")
        assert queues.messages(world, "work", "work")[0].text == "changed"
        await queue.delete_message(newer)
        with pytest.raises(ResourceNotFoundError) as gone:
            await queue.delete_message(newer)
        assert _code(gone) == "MessageNotFound"

    _with_queue(main)


def test_a_text_over_64_kib_is_refused() -> None:
    async def main(queue: QueueClient, _world: World) -> None:
        await queue.send_message("x" * 65536)
        with pytest.raises(HttpResponseError) as refused:
            await queue.send_message("x" * 65537)
        assert (refused.value.status_code, _code(refused)) == (413, "RequestBodyTooLarge")

    _with_queue(main)


@pytest.mark.parametrize(("name", "value"), [("messages_per_page", 33), ("visibility_timeout", 604801)])
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    async def main(queue: QueueClient, _world: World) -> None:
        with pytest.raises(HttpResponseError) as refused:
            _ = [one async for one in queue.receive_messages(**{name: value})]
        assert _code(refused) == "OutOfRangeQueryParameterValue"

    _with_queue(main)


def test_a_queue_has_metadata_a_count_and_can_be_cleared_and_deleted() -> None:
    async def main(queue: QueueClient, _world: World) -> None:
        await queue.set_queue_metadata({"owner": "tests"})
        await queue.send_message("one")
        found = await queue.get_queue_properties()
        assert (found.approximate_message_count, found.metadata) == (1, {"owner": "tests"})
        with pytest.raises(ResourceExistsError):
            await queue.create_queue(metadata={"owner": "others"})
        with pytest.raises(ResourceExistsError):  # 204: the SDK makes the same of it
            await queue.create_queue(metadata={"owner": "tests"})
        await queue.clear_messages()
        assert (await queue.get_queue_properties()).approximate_message_count == 0
        await queue.delete_queue()
        with pytest.raises(ResourceNotFoundError):
            await queue.send_message("lost")

    _with_queue(main)


def test_queues_are_listed_in_pages_and_made_with_a_bearer_token() -> None:
    async def run() -> None:
        transport = InProcessTransport(_cloud(_world()))
        tenant = "22222222-2222-2222-2222-222222222222"
        async with (
            ClientSecretCredential(tenant, "an-app", "a secret", transport=transport) as credential,
            QueueServiceClient(ACCOUNT, credential=credential, transport=transport) as service,
        ):
            for name in ("alpha", "beta", "beta-poison"):
                await service.create_queue(name)
            pages = service.list_queues(name_starts_with="beta", results_per_page=1).by_page()
            assert [[one.name async for one in page] async for page in pages] == [["beta"], ["beta-poison"]]
            with pytest.raises(HttpResponseError) as refused:
                await service.create_queue("No--Good")
            assert _code(refused) == "InvalidResourceName"

    asyncio.run(run())


def test_without_credentials_nothing_is_told() -> None:
    answer = _cloud(_world()).answer(Call("GET", f"{ACCOUNT}/jobs/messages"))
    assert answer.status == 401
    assert answer.headers["x-ms-error-code"] == "NoAuthenticationInformation"


def test_what_is_left_out_is_answered_501() -> None:
    call = Call("PUT", f"{ACCOUNT}/jobs?comp=acl", {"authorization": "SharedKey work:x"})
    answer = _cloud(_world()).answer(call)
    assert (answer.status, answer.headers["x-ms-error-code"]) == (501, "NotInSandbox")


def test_thirty_thousand_messages_take_no_longer_each_than_a_few() -> None:
    world = _world()
    headers = {"authorization": "SharedKey work:x"}
    queues.answer(world, Call("PUT", f"{ACCOUNT}/jobs", headers))
    put = Call(
        "POST", f"{ACCOUNT}/jobs/messages", headers, b"<QueueMessage><MessageText>x</MessageText></QueueMessage>"
    )
    for _ in range(30_000):
        queues.answer(world, put)
    get = Call("GET", f"{ACCOUNT}/jobs/messages?numofmessages=32", headers)
    start = time.perf_counter()
    for _ in range(100):
        queues.answer(world, get)
    assert time.perf_counter() - start < 1.0
