"""Turns in one instance and in a blob that all share: one has it, who died gives way, trouble stops nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from sandbox import blobs
from sandbox.faults import Faults
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.ports import Turns
from tests.support.azure import Azure, estate, on_azure
from tests.support.policies import put_blob

LONG = timedelta(minutes=15)
NO_BLOBS = {"AzureWebJobsStorage__queueServiceUri": "", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
Story = Callable[[Azure, Turns, Turns], Coroutine[Any, Any, None]]


def with_two(story: Story, environ: dict[str, str] | None = None) -> None:
    """Run a story with the turns of two instances; without blobs they are one instance's own."""

    async def main(azure: Azure) -> None:
        first = azure.app.context.ports.turns
        await story(azure, first, first if environ else azure.instance().context.ports.turns)

    on_azure(estate(), main, environ=environ)


def test_one_has_a_turn_until_it_gives_it_back_or_its_time_is_over() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        now = azure.time.now
        assert await one.take("sweep", "a", now() + LONG)
        assert not await two.take("sweep", "b", now() + LONG)
        assert await two.take("other", "b", now() + LONG)
        await two.give_back("sweep", "b")
        assert not await two.take("sweep", "b", now() + LONG)
        await one.give_back("sweep", "a")
        assert await two.take("sweep", "b", now() + LONG)
        await asyncio.sleep(LONG.total_seconds() - 1)
        assert not await one.take("sweep", "a", now() + LONG)
        await asyncio.sleep(1)
        assert await one.take("sweep", "a", now() + LONG)
        await two.give_back("sweep", "b")
        assert not await two.take("sweep", "b", now() + LONG)

    with_two(story)
    with_two(story, NO_BLOBS)


def test_who_has_a_turn_keeps_it_for_as_long_as_it_asks() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        for _ in range(5):
            assert await one.take("sweep", "a", azure.time.now() + LONG)
            await asyncio.sleep(LONG.total_seconds() - 1)
            assert not await two.take("sweep", "b", azure.time.now() + LONG)

    with_two(story)
    with_two(story, NO_BLOBS)


def test_of_many_who_reach_for_a_turn_at_once_one_gets_it() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        until = azure.time.now() + LONG
        for name in ("first", "second"):  # the container is there by the second time
            taken = await asyncio.gather(*((one, two)[at % 2].take(name, f"owner-{at}", until) for at in range(8)))
            assert sum(taken) == 1
        await asyncio.sleep(LONG.total_seconds())
        until = azure.time.now() + LONG
        taken = await asyncio.gather(*((one, two)[at % 2].take("first", f"later-{at}", until) for at in range(8)))
        assert sum(taken) == 1

    with_two(story)


def test_where_the_blob_cannot_be_had_each_instance_has_turns_of_its_own() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        faults = Faults(lambda _: "blob")
        faults.install(azure.world)
        faults.put([{"match": {"kind": "blob", "host": "cmkautopilot.blob.core.windows.net"}, "do": {"status": 403}}])
        until = azure.time.now() + LONG
        assert await one.take("sweep", "a", until)
        assert not await one.take("sweep", "b", until)
        assert await two.take("sweep", "b", until)
        await one.give_back("sweep", "a")
        assert await one.take("sweep", "b", until)

    with_two(story)


def test_a_blob_that_says_nothing_sensible_is_nobodys_turn() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        until = azure.time.now() + LONG
        assert await one.take("sweep", "a", until)
        blob = blobs.containers(azure.world, "cmkautopilot")["cmk-state"].blobs["turns/sweep.json"]
        blob.data[:] = b"nonsense"
        assert await two.take("sweep", "b", until)
        assert not await one.take("sweep", "a", until)

    with_two(story)


def test_a_turn_that_another_took_meanwhile_is_not_taken_from_it_by_who_gives_back_its_own() -> None:
    async def story(azure: Azure, one: Turns, two: Turns) -> None:
        assert await one.take("sweep", "a", azure.time.now() + LONG)
        path = "cmk-state/turns/sweep.json"

        def before(call: Call) -> Answer | None:
            if call.method == "DELETE" and call.path.endswith("/turns/sweep.json"):
                azure.world.hooks = Hooks()
                put_blob(azure.world, "cmkautopilot", path, theirs)
            return None

        until = (azure.time.now() + LONG).isoformat()
        theirs = json.dumps({"owner": "b", "until": until})
        azure.world.hooks = Hooks(before=before)
        await one.give_back("sweep", "a")
        assert not await two.take("sweep", "c", azure.time.now() + LONG)
        assert await two.take("sweep", "b", azure.time.now() + LONG)

    with_two(story)
