"""How a run has to end: every user of every key verified, or reported with a reason that is true."""

from __future__ import annotations

import json

from sandbox.arm.operations import running
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
from tests.soak.pointing import Used, is_broken, used, users
from tests.soak.run import Run
from tests.soak.watch import is_newer

UNTOUCHABLE = {
    one.value
    for one in (
        Reason.OWN_RESOURCE,
        Reason.MANAGED_BY_AZURE,
        Reason.KEY_BACKS_CERTIFICATE,
        Reason.CROSS_TENANT,
    )
}


def judged(one: Run) -> list[str]:
    """Return everything that is wrong with a run."""
    wrong = [*one.watch.wrong, *one.untold]
    if one.writes_in_last_sweep:
        wrong.append(f"the last sweep wrote {one.writes_in_last_sweep} times")
    due = one.world.clock.time() - one.longest_pause
    if stuck := [message.text for message in messages(one.world, "cmkautopilot", WORK_QUEUE) if message.visible <= due]:
        wrong.append(f"{len(stuck)} messages were left lying")
    wrong += _unproven(one)
    for body in users(one.world):
        found = used(one.world, body)
        outcome = one.watch.last.get(str(body["id"]).lower())
        if found or _is_by_hand(one, body):
            wrong += _of_user(one, body, found, outcome)
        elif one.enforces and not is_untouchable(str(body["id"])):
            wrong += _bare(one.world, body, outcome)
    return wrong


def unswept(one: Run) -> list[str]:
    """Return which users of the key no event brought to their end, where events tell of all that happens."""
    if not one.events_tell or len(_key(one.world).versions) < 3:
        return []  # the versions of the estate are older than the run
    wrong: list[str] = []
    for body in users(one.world):
        id_, found = str(body["id"]), used(one.world, body)
        outcome = one.watch.last.get(id_.lower())
        refused = [blocked["reason"] for blocked in (outcome or {}).get("blocked", ())] == [Reason.REFUSED.value]
        if found and not is_untouchable(id_) and not (refused and id_.lower() in one.watch.doomed):
            wrong += _of_user(one, body, found, outcome)
    return [f"before the sweep: {what}" for what in wrong]


def _is_by_hand(one: Run, body: Json) -> bool:
    name = one.people.paper.name
    return name != "" and str(body["name"]) == name and not is_untouchable(str(body["id"]))


def _of_user(one: Run, body: Json, found: list[Used], outcome: Json | None) -> list[str]:
    if _is_by_hand(one, body):
        return _left_to_people(one.world, body, found, outcome, one.people.paper.mode)
    return _of_one(one.world, body, found, outcome)


def _of_one(world: World, body: Json, found: list[Used], outcome: Json | None) -> list[str]:
    name = str(body["id"]).rpartition("/providers/")[2]
    if outcome is None:
        return [f"{name} was never reported"]
    reasons = {one["reason"] for one in outcome.get("blocked", ())}
    if is_untouchable(str(body["id"])):
        left = reasons - _lost_truly(world, body, reasons, found)
        return [] if reasons and left <= UNTOUCHABLE else [f"{name}, which is left alone, ended with {outcome}"]
    if outcome["type"] == "converged":
        return _converged(world, body, found, outcome["certainty"], name)
    reasons |= {outcome["wait"]["reason"]} if "wait" in outcome else set()
    untrue = [one for one in reasons if not any(_is_true(world, body, one, use) for use in found)]
    return [] if reasons and not untrue else [f"{name} ended with {outcome}, and it is {found}"]


def _bare(world: World, body: Json, outcome: Json | None) -> list[str]:
    """Judge what is still on the platform's key where it should not be: only a key that nobody can begin with excuses
    that.
    """
    reasons = {one["reason"] for one in (outcome or {}).get("blocked", ())}
    unusable = state(_key(world).latest, world.now()) is not None
    excused = unusable and reasons == {Reason.LATEST_UNUSABLE.value}
    return [] if excused else [f"{body['name']} is on the platform's key and ended with {outcome}"]


def _converged(world: World, body: Json, found: list[Used], certainty: str, name: str) -> list[str]:
    """Judge a resource that is said to be where it should be: it is, and who is sure can see it."""
    wrong = [
        f"{name} is said to be converged on {use.there}, not on {_wanted(world, use)}"
        for use in found
        if not _is_as_good(world, use.there, _wanted(world, use))
    ]
    if certainty == "reported" and not all(_is_seen(body, use) for use in found):
        wrong.append(f"{name} is said to report a version that cannot be seen")
    if certainty == "configured" and any(use.follows for use in found):
        wrong.append(f"{name} follows and is said to be known by its configuration")
    return wrong if certainty in {"reported", "configured", "unknown"} else [*wrong, f"{name} ended as {certainty}"]


def _is_seen(body: Json, use: Used) -> bool:
    return use.there in json.dumps({**body, "id": ""})


def _left_to_people(world: World, body: Json, found: list[Used], outcome: Json | None, mode: str) -> list[str]:
    """Judge what a rule says is done by hand: left alone without a word, or told when it is behind."""
    if not found:
        return []
    reasons = {one["reason"] for one in (outcome or {}).get("blocked", ())}
    if mode == "ignore" and outcome and outcome["type"] == "leftAlone":
        return []
    told = reasons - _lost_truly(world, body, reasons, found)
    behind = any(use.there != _wanted(world, use) for use in found)
    if mode == "report" and told == {Reason.REPORT_ONLY.value} and behind:
        return []
    return _of_one(world, body, found, outcome) if mode == "report" else [f"{body['name']} ended with {outcome}"]


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


def _wanted(world: World, use: Used) -> str:
    """Return the version that a key use should be on, by the sandbox's own rules."""
    key = _key(world)
    if use.follows:
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


def _lost_truly(world: World, body: Json, reasons: set[str], found: list[Used]) -> set[str]:
    """Return the reason that says that access was lost, if it was: it is told beside any other."""
    lost = reasons & {Reason.ACCESS_LOST.value}
    return {one for one in lost if any(_is_true(world, body, one, use) for use in found)}


def _is_true(world: World, body: Json, reason: str, use: Used) -> bool:
    """Return whether a reason can be true of one key use when all is calm."""
    key, wanted, access = _key(world), _wanted(world, use), _has_access(world, use)
    names = [one.version for one in key.versions]
    behind, unusable = use.there != wanted, state(key.latest, world.now()) is not None
    busy = running(world, str(body["id"]))
    true = {
        Reason.LATEST_UNUSABLE: unusable,
        Reason.ONLY_OLDER_USABLE: names.index(use.pointer.version or use.there) > names.index(wanted),
        Reason.KEY_ACCESS_DENIED: not access,
        Reason.ACCESS_LOST: not access,
        Reason.FOLLOW_FAILED: unusable or not access,
        Reason.FOLLOWS_BY_ITSELF: behind or (use.follows and not _is_seen(body, use)),  # who is silent gets its time
        Reason.FOLLOW_OVERDUE: behind,
        Reason.PROVISIONING_FAILED: is_broken(body),
        Reason.PROVISIONING: busy,
        Reason.NOT_YET_IN_EFFECT: busy,
        Reason.OPERATION_GOING_ON: busy,
        Reason.CONFLICT: busy,
    }
    return true.get(Reason(reason), False)


def _has_access(world: World, use: Used) -> bool:
    vault = vault_named(world, "kv-main")
    return vault is not None and bool(use.principal) and may(world, vault, str(use.principal), "wrapKey", "cmk")
