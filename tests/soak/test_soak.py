"""Whatever goes wrong on the way, in the end every user of every key is verified or reported with a reason."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from sandbox.virtual import run
from sandbox.wire import Answer, Call
from tests.soak.life import Graveyard, Life
from tests.soak.seeds import soak
from tests.soak.tally import tried
from tests.soak.trouble import SAID_TO_FAIL, SAID_TO_GO_ON, Trouble

BLOCK, BLOCKS = 5, 48  # seeds in one test, which a slow machine must do in a minute, and tests


@pytest.mark.parametrize("first", range(1, 1 + BLOCK * BLOCKS, BLOCK))
def test_a_while_of_trouble_ends_well(first: int) -> None:
    failed = tried(range(first, first + BLOCK)).failed
    assert not failed, "\n\n".join(f"seed {seed}\n{story}" for seed, story in failed.items())


@pytest.mark.parametrize("seed", [7, 40])
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    first, second = soak(seed), soak(seed)
    logs = [[(line.at, line.method, line.url, line.status) for line in one.world.log] for one in (first, second)]
    assert logs[0] == logs[1]
    assert first.story == second.story


def test_who_dies_does_nothing_more_not_even_in_a_finally() -> None:
    done: list[str] = []

    async def worker(life: Life) -> None:
        try:
            await life.step()
            done.append("first")
            await asyncio.sleep(1)
            await life.step()
            done.append("second")
        finally:
            await life.breath()
            done.append("finally")

    async def main(_: Any) -> bool:
        graveyard = Graveyard()
        life = Life(1, graveyard, last=2)
        outlived = await life.outlived(worker(life))
        await asyncio.sleep(3600)
        seen = list(done)
        graveyard.closed = True
        assert seen == ["first"]
        return outlived

    assert run(main) is False


def test_a_long_running_operation_may_be_said_to_fail_or_to_go_on_until_all_is_well_again() -> None:
    url = "https://management.azure.com/operations/1"
    fates: set[str] = set()
    for seed in range(200):
        trouble = Trouble(random.Random(seed))
        accepted = Answer(202, {"Azure-AsyncOperation": url})
        try:
            trouble.after(Call("PATCH", "https://management.azure.com/x"), accepted)
        except Exception:  # noqa: BLE001, S112  the answer got lost: another kind of trouble
            continue
        if {SAID_TO_FAIL, SAID_TO_GO_ON} & set(trouble.counts):
            answer = trouble.before(Call("GET", url))
            assert answer is not None
            fates.add(json.loads(answer.body)["status"])
            trouble.over = trouble.operations_end_well = True
            assert trouble.before(Call("GET", url)) is None
    assert fates == {"Failed", "InProgress"}
