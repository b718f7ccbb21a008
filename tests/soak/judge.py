"""How a run has to end: every user of every key verified, or reported with a reason that is true."""

from __future__ import annotations

import json

from sandbox.arm.following import ACCOUNTS, SCOPES, current, in_effect, pointer_of, principal_for
from sandbox.blobs import containers
from sandbox.keyring import Key
from sandbox.queues import messages
from sandbox.vault.access import may, state, vault_named
from sandbox.wire import Json
from sandbox.world import World
from shared.domain.reasons import Reason
from shared.domain.work import WORK_QUEUE
from shared.settings import CONTAINER
from tests.soak.estates import is_untouchable
from tests.soak.run import Run
from tests.soak.watch import is_newer

UNTOUCHABLE = {Reason.OWN_RESOURCE.value, Reason.MANAGED_BY_AZURE.value, Reason.KEY_BACKS_CERTIFICATE.value}


def judged(one: Run) -> list[str]:
    """Return everything that is wrong with a run."""
    wrong = [*one.watch.wrong]
    if one.writes_in_last_sweep:
        wrong.append(f"the last sweep wrote {one.writes_in_last_sweep} times")
    now = one.world.clock.time()
    if stuck := [message.text for message in messages(one.world, "cmkautopilot", WORK_QUEUE) if message.visible <= now]:
        wrong.append(f"{len(stuck)} messages were left lying")
    wrong += _unproven(one)
    by_hand = one.people.paper.name
    for type_ in (ACCOUNTS, SCOPES):
        for stored in list(one.world.resources.of_type(type_)):
            body = current(one.world, stored)
            outcome = one.watch.last.get(str(body["id"]).lower())
            if by_hand and str(body["name"]) == by_hand and not is_untouchable(str(body["id"])):
                wrong += _left_to_people(one.world, body, outcome, one.people.paper.mode)
            elif pointer_of(body) is not None:
                wrong += _of_one(one.world, body, outcome)
    return wrong


def _of_one(world: World, body: Json, outcome: Json | None) -> list[str]:
    name = f"{str(body['id']).rpartition('storageAccounts/')[2]}"
    if outcome is None:
        return [f"{name} was never reported"]
    if is_untouchable(str(body["id"])):
        reasons = {one["reason"] for one in outcome.get("blocked", ())}
        left = reasons - _lost_truly(world, body, reasons)
        return [] if reasons and left <= UNTOUCHABLE else [f"{name}, which is left alone, ended with {outcome}"]
    wanted = _wanted(world, body)
    if outcome["type"] == "converged":
        there = in_effect(body)
        return (
            [] if _is_as_good(world, there, wanted) else [f"{name} is said to be converged on {there}, not on {wanted}"]
        )
    reasons = {one["reason"] for one in outcome.get("blocked", ())}
    reasons |= {outcome["wait"]["reason"]} if "wait" in outcome else set()
    untrue = [one for one in reasons if not _is_true(world, body, one, wanted)]
    return [] if reasons and not untrue else [f"{name} ended with {outcome}, and it is on {in_effect(body)}"]


def _left_to_people(world: World, body: Json, outcome: Json | None, mode: str) -> list[str]:
    """Judge what a rule says is done by hand: left alone without a word, or told when it is behind."""
    if pointer_of(body) is None:
        return []
    reasons = {one["reason"] for one in (outcome or {}).get("blocked", ())}
    if mode == "ignore" and outcome and outcome["type"] == "leftAlone":
        return []
    told = reasons - _lost_truly(world, body, reasons)
    if mode == "report" and told == {Reason.REPORT_ONLY.value} and in_effect(body) != _wanted(world, body):
        return []
    return _of_one(world, body, outcome) if mode == "report" else [f"{body['name']} ended with {outcome}"]


def _unproven(one: Run) -> list[str]:
    """Return the writes of instances that live on of which there is no evidence."""
    if not one.keeps_evidence:
        return []
    kept = containers(one.world, "cmkautopilot").get(CONTAINER)
    lines = [json.loads(line) for blob in (kept.blobs.values() if kept else ()) for line in blob.data.splitlines()]
    proven = {
        (line["resource"].lower(), write["toKey"].rpartition("/")[2])
        for line in lines
        for write in line.get("wrote", ())
    }
    owed = [(id_, version) for alive, id_, version in one.watch.owed if alive()]
    return [f"no evidence of {id_} at {version[:6]}" for id_, version in owed if (id_, version) not in proven]


def _key(world: World) -> Key:
    found = world.keyring.get("kv-main", "cmk")
    assert found is not None
    return found


def _wanted(world: World, body: Json) -> str:
    """Return the version that a resource should be on, by the sandbox's own rules."""
    key, pointer = _key(world), pointer_of(body)
    if pointer is not None and not pointer.version:
        return key.latest.version
    fit = [one for one in key.versions if state(one, world.now()) is None]
    return fit[-1].version


def _is_as_good(world: World, there: str, wanted: str) -> bool:
    """Return whether a version is the one wanted, or one of the same second that can be used as well."""
    key = _key(world)
    found, best = key.find(there), key.find(wanted)
    if found is None or best is None or found is best:
        return found is best
    return not is_newer(key, best, found) and state(found, world.now()) is None


def _lost_truly(world: World, body: Json, reasons: set[str]) -> set[str]:
    """Return the reason that says that access was lost, if it was: it is told beside any other."""
    lost = reasons & {Reason.ACCESS_LOST.value}
    return {one for one in lost if _is_true(world, body, one, "")}


def _is_true(world: World, body: Json, reason: str, wanted: str) -> bool:
    """Return whether a reason can be true when all is calm."""
    key = _key(world)
    names = [one.version for one in key.versions]
    match reason:
        case Reason.LATEST_UNUSABLE.value:
            return state(key.latest, world.now()) is not None
        case Reason.ONLY_OLDER_USABLE.value:
            return names.index(in_effect(body)) > names.index(wanted)
        case Reason.KEY_ACCESS_DENIED.value | Reason.ACCESS_LOST.value:
            vault, principal = vault_named(world, "kv-main"), principal_for(world, body)
            return principal is None or vault is None or not may(world, vault, principal, "wrapKey", "cmk")
        case Reason.FOLLOWS_BY_ITSELF.value | Reason.FOLLOW_OVERDUE.value:
            return in_effect(body) != wanted
        case _:
            return False
