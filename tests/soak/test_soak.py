"""Whatever goes wrong on the way, in the end every user of every key is verified or reported with a reason."""

from __future__ import annotations

import os
from typing import Any

import pytest

from sandbox.arm.following import current, in_effect, pointer_of
from shared.domain.reasons import Reason
from tests.soak.run import Run, newest_usable, soak

SEEDS = int(os.environ.get("SOAK_SEEDS", "30"))
FIRST = int(os.environ.get("SOAK_FIRST", "1"))


def judged(one: Run) -> list[str]:
    """Return everything that is wrong with a run."""
    wrong = [*one.watch.wrong, *one.bugs]
    if one.poisoned:
        wrong.append(f"{one.poisoned} messages were poisoned")
    if one.watch.writes != one.watch.writes_before_last_sweep:
        wrong.append(f"the last sweep wrote {one.watch.writes - one.watch.writes_before_last_sweep} times")
    world = one.azure.world
    last = {event["subject"].lower(): event["data"]["outcome"] for event in one.azure.outcomes()}
    for type_ in ("Microsoft.Storage/storageAccounts", "Microsoft.Storage/storageAccounts/encryptionScopes"):
        for stored in list(world.resources.of_type(type_)):
            body = current(world, stored)
            pointer = pointer_of(body)
            if pointer is not None:
                outcome = last.get(str(body["id"]).lower())
                wrong += _of_one(one, body, outcome, follows=not pointer.version)
    return wrong


def _of_one(one: Run, body: dict[str, Any], outcome: dict[str, Any] | None, *, follows: bool) -> list[str]:
    if outcome is None:
        return [f"{body['id']} was never reported"]
    wanted = _wanted(one, follows=follows)
    if outcome["type"] == "converged":
        there = in_effect(body) == wanted
        return [] if there else [f"{body['name']} is said to be converged on {in_effect(body)}, not on {wanted}"]
    reasons = {blocked["reason"] for blocked in outcome.get("blocked", ())}
    reasons |= {outcome["wait"]["reason"]} if "wait" in outcome else set()
    return [] if reasons and _honest(one, body, reasons) else [f"{body['name']} ended with {outcome}"]


def _wanted(one: Run, *, follows: bool) -> str | None:
    key = one.azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    return key.latest.version if follows else newest_usable(one.azure, one.azure.world.now())


def _honest(one: Run, body: dict[str, Any], reasons: set[str]) -> bool:
    """Return whether these reasons can be true when all is calm."""
    key = one.azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    if Reason.LATEST_UNUSABLE.value in reasons:
        return not key.latest.enabled
    if Reason.ONLY_OLDER_USABLE.value in reasons:
        configured = key.find(in_effect(body))
        return configured is not None and not configured.enabled
    return reasons <= {Reason.FOLLOWS_BY_ITSELF.value, Reason.FOLLOW_OVERDUE.value}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_while_of_trouble_ends_well(seed: int) -> None:
    one = soak(seed)
    wrong = judged(one)
    assert not wrong, "\n".join([f"seed {seed}", *wrong, "", *one.story[-60:]])


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = soak(7), soak(7)
    logs = [[(line.method, line.url, line.status) for line in one.azure.world.log] for one in (first, second)]
    assert logs[0] == logs[1]
    assert first.story == second.story
