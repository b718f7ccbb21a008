"""Other hands, slow answers and stale knowledge: nothing is written on what may no longer be so."""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import replace as with_
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import Hooks
from shared.domain.evidence import line_of
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Gone, Report, Stopped, as_json
from shared.domain.work import Cause, CheckChildren, CheckResource, RotateKey, Source, Sweep, encode
from shared.usecases.handle import handle
from tests.support.azure import MARCH, MID, NEW, OLD, Azure, account, estate, on_azure, scope, version

KEY = KeyId("kv-main.vault.azure.net", "cmk")


def new_version(azure: Azure) -> None:
    key = azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    now = azure.world.now()
    key.versions.append(type(key.latest)(NEW, now, now, modulus=key.latest.modulus))


def somebody_sets(azure: Azure, resource: dict[str, Any], key: str, name: str) -> None:
    """Somebody points an account at a version, and no event reaches us."""
    body = copy.deepcopy(azure.body(resource))
    pointer = body["properties"]["encryption"]["keyvaultproperties"]
    pointer["keyname"], pointer["keyversion"] = key, name
    pointer["currentVersionedKeyIdentifier"] = f"https://kv-main.vault.azure.net/keys/{key}/{name}"
    azure.world.resources.put(body)


def slow_graph(_: Call, answer: Answer) -> Answer:
    """Answer the question about managed groups later than anything may be trusted; the read timeout allows it."""
    return with_(answer, latency=15.0) if b"resourcecontainers" in _.body else answer


async def later(seconds: float, what: Any) -> None:
    await asyncio.sleep(seconds)
    what()


def test_a_key_that_somebody_chose_while_we_thought_is_not_taken_back() -> None:
    one = account("st1")
    keys = {
        "kv-main": [
            {"name": "cmk", "versions": [version(OLD), version(MID, MARCH)]},
            {"name": "other", "versions": [version(NEW)]},
        ]
    }

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=slow_graph)
        person = asyncio.create_task(later(6, lambda: somebody_sets(azure, one, "other", NEW)))
        await azure.check(one)
        await person
        assert azure.body(one)["properties"]["encryption"]["keyvaultproperties"]["keyname"] == "other"
        assert azure.calls("write") == []

    on_azure(estate(one, keys=keys), story)


def test_a_version_made_while_we_thought_is_not_overwritten_with_an_older_one() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def rotated_and_moved() -> None:
            new_version(azure)
            somebody_sets(azure, one, "cmk", NEW)

        azure.world.hooks = Hooks(after=slow_graph)
        person = asyncio.create_task(later(6, rotated_and_moved))
        reports = await azure.check(one)
        await person
        assert reports[-1].wrote == ()
        assert azure.in_use(one) == NEW

    on_azure(estate(one), story)


def test_switching_writes_off_while_we_think_stops_the_write() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=slow_graph)
        person = asyncio.create_task(later(6, lambda: azure.environ.update(CMK_WRITES="off")))
        await azure.check(one)
        await person
        assert azure.calls("write") == []

    on_azure(estate(one), story)


def test_a_write_that_the_key_has_overtaken_when_it_is_read_back_is_told_and_put_right() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def rotated(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and len(azure.calls("write")) < 2:
                new_version(azure)
            return answer

        azure.world.hooks = Hooks(after=rotated)
        (report,) = await azure.check(one)
        assert [(write.after and write.after.version, write.overtaken) for write in report.wrote] == [
            (MID, True),
            (NEW, False),
        ]
        assert report.overtaken == as_json(report)["overtaken"] == 1
        assert [write.overtaken for write in line_of(report, "1").wrote] == [True, False]
        assert azure.in_use(one) == NEW

    on_azure(estate(one), story)


def test_a_write_that_a_faster_hand_has_replaced_when_it_is_read_back_is_told() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def replaced(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and len(azure.calls("write")) < 2:
                new_version(azure)
                somebody_sets(azure, one, "cmk", NEW)
            return answer

        azure.world.hooks = Hooks(after=replaced)
        (report,) = await azure.check(one)
        assert [(write.after and write.after.version, write.overtaken) for write in report.wrote] == [(MID, True)]
        assert isinstance(report.outcome, Converged)
        assert azure.in_use(one) == NEW

    on_azure(estate(one), story)


def test_what_a_list_showed_before_a_write_of_ours_is_not_what_the_next_decision_rests_on() -> None:
    one, child = account("st1", MID), scope("st1", "scope1")

    async def story(azure: Azure) -> None:
        unread: list[str] = []

        def slow_list_and_no_reading_back(call: Call, answer: Answer) -> Answer:
            if call.method == "GET" and call.path.endswith("/encryptionScopes"):
                return with_(answer, latency=3.0)
            if call.method == "GET" and call.path == child["id"] and azure.calls("write") and len(unread) < 3:
                unread.append(call.path)
                return Answer.of({"error": {"code": "InternalServerError", "message": ""}}, 500)
            return answer

        azure.world.hooks = Hooks(after=slow_list_and_no_reading_back)
        cause, now = Cause("c", Source.EVENT), azure.time.now()
        listed = encode(CheckChildren(azure.address(one), child["type"], cause, now, now))
        alone = encode(CheckResource(azure.address(child), cause, now, now))
        context = azure.app.context
        await asyncio.gather(handle(context, listed), handle(context, alone))
        assert len(unread) == 3
        assert len(azure.calls("write")) == 1
        assert azure.in_use(child) == MID

    on_azure(estate(one, child), story)


def test_an_accepted_change_that_does_not_show_yet_is_not_sent_again() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        before = json.dumps(azure.body(one)).encode()
        wrote: list[Any] = []

        def stale(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and answer.status == 200:
                wrote.append(azure.time.now())
            recent = wrote and azure.time.now() - wrote[0] < timedelta(seconds=5)
            read = call.method == "GET" and call.path.endswith("/storageAccounts/st1")
            return Answer(200, {"content-type": "application/json"}, before) if read and recent else answer

        azure.world.hooks = Hooks(after=stale)
        reports = await azure.check(one)
        assert reports[-1].reasons == (Reason.NOT_YET_IN_EFFECT,)
        await azure.drain(until=timedelta(minutes=5))
        assert len(azure.calls("write")) == 1
        assert isinstance(azure.reports[-1].outcome, Converged)

    on_azure(estate(one), story)


def test_an_event_of_a_new_version_moves_everybody_even_if_the_key_was_read_a_second_ago() -> None:
    ones = [account("st1", MID), account("st2", key="")]
    child = scope("st2", "one", MID)

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await asyncio.sleep(1)
        new_version(azure)
        await azure.check_key()
        assert [azure.in_use(one) for one in (ones[0], child)] == [NEW, NEW]

    on_azure(estate(*ones, child), story)


def test_a_follower_that_was_pinned_behind_our_back_is_found_by_the_sweep() -> None:
    one = account("st1", "")

    async def story(azure: Azure) -> None:
        new_version(azure)
        await azure.check(one)
        somebody_sets(azure, one, "cmk", OLD)
        await asyncio.sleep(60)
        await azure.put(Sweep(Cause("sweep", Source.TIMER), azure.time.now()))
        await azure.drain()
        assert azure.in_use(one) == NEW

    on_azure(estate(one), story)


def test_looks_at_one_resource_side_by_side_write_once() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=lambda _, answer: with_(answer, latency=0.05))
        now = azure.time.now()
        item = CheckResource(azure.address(one), Cause("c", Source.EVENT), now, now)
        await asyncio.gather(*(handle(azure.app.context, encode(item)) for _ in range(3)))
        assert len(azure.calls("write")) == 1

    on_azure(estate(one), story)


def test_two_wishes_to_rotate_side_by_side_make_one_version() -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=lambda _, answer: with_(answer, latency=0.05))
        item = RotateKey(KEY, Cause("c", Source.HTTP), azure.time.now(), if_latest_is=MID)
        await asyncio.gather(*(handle(azure.app.context, encode(item)) for _ in range(2)))
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 3

    on_azure(estate(account("st1", MID)), story)


def test_a_rotation_whose_answer_got_lost_is_not_repeated() -> None:
    async def story(azure: Azure) -> None:
        lost = {"left": 2}

        def lose(call: Call, answer: Answer) -> Answer:
            if call.path.endswith("/rotate") and answer.status == 200 and lost["left"]:
                lost["left"] -= 1
                return Answer.of({"error": {"code": "GatewayTimeout", "message": "x"}}, 504)
            return answer

        azure.world.hooks = Hooks(after=lose)
        await azure.put(RotateKey(KEY, Cause("c", Source.HTTP), azure.time.now(), if_latest_is=MID))
        await azure.drain(until=timedelta(minutes=5))
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 3

    on_azure(estate(account("st1", MID)), story)


def test_time_spent_switched_off_takes_no_patience_from_what_comes_after() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        await azure.check(one)
        await azure.drain(until=timedelta(hours=5))
        azure.environ["CMK_WRITES"] = "on"
        busy = {"left": 1}

        def conflict(call: Call) -> Answer | None:
            if call.method == "PATCH" and busy["left"]:
                busy["left"] -= 1
                return Answer.of({"error": {"code": "Conflict", "message": "busy"}}, 409)
            return None

        azure.world.hooks = Hooks(before=conflict)
        await azure.drain(until=timedelta(minutes=30))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


def test_while_writing_is_off_sweeps_add_no_work_and_nothing_is_read_for_nothing() -> None:
    ones = [account(f"st{number}") for number in range(3)]

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        for _ in range(4):
            await azure.put(Sweep(Cause("s", Source.TIMER), azure.time.now()))
            await azure.drain(until=timedelta(minutes=1))
        before = len(azure.calls("read"))
        await azure.drain(until=timedelta(hours=2))
        assert len(azure.calls("read")) == before
        assert len(azure.waiting()) == 3

    on_azure(estate(*ones), story)


def test_looks_out_of_turn_at_one_that_waits_add_no_second_chain_of_looks() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        for _ in range(5):
            await azure.check(one)
            await asyncio.sleep(1)
        assert len(azure.waiting()) == 1
        before = len(azure.calls("write"))
        await azure.drain(until=timedelta(minutes=2))
        assert len(azure.calls("write")) == before + 1

    on_azure(estate(one, denied=("st1",)), story)


def test_a_rotation_is_told_with_the_version_it_made() -> None:
    async def story(azure: Azure) -> None:
        await azure.put(RotateKey(KEY, Cause("c", Source.HTTP), azure.time.now()))
        await azure.drain()
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        told = [event["data"]["outcome"] for event in azure.outcomes() if event["type"].endswith("Rotated")]
        assert [one["version"] for one in told] == [key.latest.version]

    on_azure(estate(account("st1", MID)), story)


def test_a_write_whose_answer_got_lost_is_told_as_sent() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        lost = {"left": 1}

        def lose(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and lost["left"]:
                lost["left"] -= 1
                raise Unreachable("the answer got lost")
            return answer

        azure.world.hooks = Hooks(after=lose)
        (report,) = await azure.check(one)
        assert [(write.after and write.after.version, write.accepted) for write in report.wrote] == [(MID, False)]
        await azure.drain(until=timedelta(minutes=2))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert len(azure.calls("write")) == 1

    on_azure(estate(one), story)


def test_a_version_that_is_to_become_valid_is_come_back_for_once() -> None:
    history = {
        "kv-main": [
            {
                "name": "cmk",
                "versions": [version(MID), version(NEW, MARCH, notBefore="2026-05-03T00:00:00Z")],
            }
        ]
    }

    async def story(azure: Azure) -> None:
        for _ in range(5):
            await azure.check_key()
        assert len(azure.waiting()) == 1

    on_azure(estate(account("st1", MID), keys=history), story)


def test_a_scope_that_cannot_be_read_is_reported_and_hides_no_other() -> None:
    bad, good = scope("st1", "bad"), scope("st1", "good")

    async def story(azure: Azure) -> None:
        azure.body(bad)["properties"]["keyVaultProperties"]["keyUri"] = "not a url"
        await azure.check_key()
        assert azure.in_use(good) == MID
        told = {event["subject"].rsplit("/", 1)[1]: event["data"]["outcome"] for event in azure.outcomes()}
        assert told["bad"]["blocked"][0]["reason"] == Reason.KEY_UNREADABLE.value

    on_azure(estate(account("st1", key=""), bad, good), story)


@pytest.mark.parametrize("code", ["FailedIdentityOperation", "ResourceNotFound"])
def test_a_404_to_a_write_of_a_resource_that_is_there_is_no_reason_to_call_it_gone(code: str) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            refused = {"error": {"code": code, "message": "identity not found"}}
            return Answer.of(refused, 404) if call.method == "PATCH" else None

        azure.world.hooks = Hooks(before=refuse)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (Reason.REFUSED,)

    on_azure(estate(one), story)


def test_a_subscription_that_cannot_be_found_is_reported_not_called_gone() -> None:
    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            gone = {"error": {"code": "SubscriptionNotFound", "message": "no"}}
            return Answer.of(gone, 404) if call.path.endswith("/encryptionScopes") else None

        azure.world.hooks = Hooks(before=refuse)
        await azure.check_key()
        ended: list[Report] = [report for report in azure.reports if report.address]
        assert ended
        assert not any(isinstance(report.outcome, Gone) for report in ended)
        assert azure.outcomes()

    on_azure(estate(account("st1", key="")), story)


def test_made_up_key_names_do_not_make_us_list_everything() -> None:
    ones = [account(f"st{number}", key="") for number in range(10)]

    async def story(azure: Azure) -> None:
        for number in range(3):
            await azure.check_key(f"https://kv-main.vault.azure.net/keys/nosuch{number}")
        assert azure.calls("childList") == []

    on_azure(estate(*ones), story)


def test_users_of_a_key_that_may_be_listed_but_not_read_are_named() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            named = "/keys/cmk" in call.path and not call.path.endswith("/versions")
            if named and call.headers.get("authorization"):
                return Answer.of({"error": {"code": "Forbidden", "message": "no get"}}, 403)
            return None

        azure.world.hooks = Hooks(before=refuse)
        await azure.check_key()
        told = {event["subject"].rsplit("/", 1)[1]: event["data"]["outcome"] for event in azure.outcomes()}
        assert told["st1"]["blocked"][0]["reason"] == Reason.VAULT_FORBIDDEN.value

    on_azure(estate(one), story)
