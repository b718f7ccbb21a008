"""How a run has to end: every user of every key verified, or reported with a reason that is true."""

from __future__ import annotations

from sandbox.arm.following import ACCOUNTS, SCOPES, current, in_effect, pointer_of, principal_for
from sandbox.keyring import Key
from sandbox.queues import messages
from sandbox.vault.access import may, state, vault_named
from sandbox.wire import Json
from sandbox.world import World
from shared.domain.reasons import Reason
from shared.domain.work import WORK_QUEUE
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
    for type_ in (ACCOUNTS, SCOPES):
        for stored in list(one.world.resources.of_type(type_)):
            body = current(one.world, stored)
            if pointer_of(body) is not None:
                wrong += _of_one(one.world, body, one.watch.last.get(str(body["id"]).lower()))
    return wrong


def _of_one(world: World, body: Json, outcome: Json | None) -> list[str]:
    name = f"{str(body['id']).rpartition('storageAccounts/')[2]}"
    if outcome is None:
        return [f"{name} was never reported"]
    if is_untouchable(str(body["id"])):
        reasons = {one["reason"] for one in outcome.get("blocked", ())}
        return [] if reasons and reasons <= UNTOUCHABLE else [f"{name}, which is left alone, ended with {outcome}"]
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


def _is_true(world: World, body: Json, reason: str, wanted: str) -> bool:
    """Return whether a reason can be true when all is calm."""
    key = _key(world)
    names = [one.version for one in key.versions]
    match reason:
        case Reason.LATEST_UNUSABLE.value:
            return state(key.latest, world.now()) is not None
        case Reason.ONLY_OLDER_USABLE.value:
            return names.index(in_effect(body)) > names.index(wanted)
        case Reason.KEY_ACCESS_DENIED.value:
            vault, principal = vault_named(world, "kv-main"), principal_for(world, body)
            return principal is None or vault is None or not may(world, vault, principal, "wrapKey", "cmk")
        case Reason.FOLLOWS_BY_ITSELF.value | Reason.FOLLOW_OVERDUE.value:
            return in_effect(body) != wanted
        case _:
            return False
