import asyncio
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.identity.aio import ManagedIdentityCredential
from azure.keyvault.keys.aio import KeyClient
from azure.storage.queue.aio import QueueClient

from sandbox import identity, queues, vault, virtual
from sandbox.cloud import Cloud, Site
from sandbox.transport import IDENTITY_ENDPOINT, InProcessTransport
from sandbox.virtual import DeadlockError, VirtualClock
from sandbox.wire import Answer, Call
from sandbox.world import World

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-one"


def _world(clock: VirtualClock, seed: int) -> World:
    world = World(clock=clock, seed=seed)
    properties = {"vaultUri": "https://kv-one.vault.azure.net/"}
    body = {"id": VAULT, "name": "kv-one", "type": "Microsoft.KeyVault/vaults", "properties": properties}
    world.resources.put(body)
    return world


def _cloud(world: World) -> Cloud:
    sites = (
        Site((".vault.azure.net",), vault.answer, lambda _: "vault"),
        Site((".queue.core.windows.net",), queues.answer, lambda _: "queue"),
    )
    return Cloud(world, sites)


def _throttle_often(world: World) -> None:
    def before(call: Call) -> Answer | None:
        if call.host.endswith(".vault.azure.net") and world.random.random() < 0.3:
            return Answer.of({"error": {"code": "Throttled", "message": "later"}}, 503, {"Retry-After": "7"})
        return None

    world.hooks.before = before


async def _send(queue: QueueClient, text: str) -> None:
    await queue.send_message(text)


def _requests(monkeypatch: pytest.MonkeyPatch, seed: int) -> list[tuple[object, ...]]:
    monkeypatch.setenv("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT)
    monkeypatch.setenv("IDENTITY_HEADER", identity.identity_header(World(seed=seed)))

    async def main(clock: VirtualClock) -> list[tuple[object, ...]]:
        world = _world(clock, seed)
        _throttle_often(world)
        transport = InProcessTransport(_cloud(world))
        async with (
            ManagedIdentityCredential(transport=transport) as credential,
            KeyClient("https://kv-one.vault.azure.net", credential, transport=transport, retry_total=20) as keys,
            QueueClient(
                "https://work.queue.core.windows.net",
                "work",
                credential=credential,
                transport=transport,
                retry_total=20,
            ) as queue,
        ):
            await queue.create_queue()
            made = await asyncio.gather(*(keys.create_rsa_key(f"key-{number}") for number in range(10)))
            async with asyncio.TaskGroup() as group:
                for one in made:
                    group.create_task(_send(queue, str(one.id)))
            await asyncio.sleep(3 * 3600)  # the token expires, and a new one is asked for
            await keys.rotate_key("key-3")
        return [(line.at, line.method, line.url, line.status, line.client_request_id) for line in world.log]

    return virtual.run(main, seed=seed)


def test_the_same_seed_gives_the_same_request_log_through_real_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = (_requests(monkeypatch, seed) for seed in (5, 5, 6))
    assert first == second
    assert first != other
    assert any(line[3] == 503 for line in first)
    assert sum("/msi/token" in str(line[2]) and line[3] == 200 for line in first) > 1


def test_thirty_virtual_days_cost_milliseconds() -> None:
    start = time.perf_counter()

    async def main(clock: VirtualClock) -> timedelta:
        begin = clock.now()
        await asyncio.sleep(30 * 24 * 3600)
        return clock.now() - begin

    passed = virtual.run(main)
    assert timedelta(days=30) <= passed < timedelta(days=30, seconds=1)
    assert time.perf_counter() - start < 1


def test_the_wait_that_azure_asks_for_passes_in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT)
    monkeypatch.setenv("IDENTITY_HEADER", identity.identity_header(World()))

    async def main(clock: VirtualClock) -> float:
        world = _world(clock, 1)
        transport = InProcessTransport(_cloud(world))
        async with (
            ManagedIdentityCredential(transport=transport) as credential,
            KeyClient("https://kv-one.vault.azure.net", credential, transport=transport) as keys,
        ):
            await keys.create_rsa_key("cmk")
            answers = [Answer.of({}, 429, {"Retry-After": "90"})] * 2
            world.hooks.before = lambda _call: answers.pop() if answers else None
            begin = clock.time()
            await keys.get_key("cmk")
        return clock.time() - begin

    start = time.perf_counter()
    assert 180 <= virtual.run(main) < 181
    assert time.perf_counter() - start < 2


def test_timeouts_and_the_process_s_clock_go_by_virtual_time() -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait() if clock else None
        assert abs(time.time() - clock.time()) < 0.001
        assert datetime.now(UTC) == clock.now()

    virtual.run(main)


def test_shifting_the_clock_makes_sleepers_wake() -> None:
    async def main(clock: VirtualClock) -> float:
        sleeper = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        clock.shift(timedelta(hours=2))
        begin = clock.time()
        await sleeper
        return clock.time() - begin

    assert virtual.run(main) < 0.01


def test_waiting_for_nothing_is_an_error_instead_of_for_ever() -> None:
    async def main(_clock: VirtualClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        virtual.run(main)


def test_virtual_time_waits_for_threads() -> None:
    async def main(clock: VirtualClock) -> tuple[str, float]:
        begin = clock.time()
        found = await asyncio.to_thread(lambda: _slow(lambda: "done"))
        return found, clock.time() - begin

    found, passed = virtual.run(main)
    assert found == "done"
    assert passed < 0.1


def _slow(then: Callable[[], str]) -> str:
    time.sleep(0.05)
    return then()


def test_everything_is_put_back_afterwards() -> None:
    made = uuid.uuid4
    random.seed(1)
    expected = random.random()
    random.seed(1)

    async def main(_clock: VirtualClock) -> tuple[str, float]:
        return str(uuid.uuid4()), random.random()

    assert virtual.run(main, seed=3) == virtual.run(main, seed=3)
    assert uuid.uuid4 is made
    assert random.random() == expected
    assert time.time() > virtual.START.timestamp() + 1 or time.time() < virtual.START.timestamp()
