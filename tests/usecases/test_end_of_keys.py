"""Keys whose newest version ends: one rotation, or one report of who is at risk; nothing twice, nothing by mistake."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import Faults
from sandbox.keyring import Key
from shared.domain.keys import KeyId
from shared.domain.life import AtRisk, Tally
from shared.domain.order import Order
from shared.domain.reasons import Reason
from shared.domain.report import Report, Rotated, Stopped
from shared.domain.work import Cause, CheckKey, EndingKey, RotateKey, Source, Sweep
from shared.usecases.handle import handle
from tests.support.azure import MID, NEW, OLD, Azure, account, estate, on_azure, scope, version
from tests.support.policies import PolicyFile

KEY = KeyId("kv-main.vault.azure.net", "cmk")
NEAR = "Microsoft.KeyVault.KeyNearExpiry"
SOON = "2026-05-20T00:00:00Z"  # nineteen days after the start of the clock
OVER = "2026-04-20T00:00:00Z"
ROTATE = "  - name: all\n    rotation: fix\n    nearExpiry: rotate\n"
MIXED = "  - {name: ledger, where: {names: [stledger]}, rotation: fix}\n" + ROTATE
DAY = timedelta(days=1)


def ends(*versions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kv-main": [{"name": "cmk", "versions": list(versions or (version(OLD, expires=SOON),)), **more}]}


def the_key(azure: Azure) -> Key:
    found = azure.world.keyring.get("kv-main", "cmk")
    assert found is not None
    return found


def names(azure: Azure) -> list[str]:
    return [one.version for one in the_key(azure).versions]


async def looked(azure: Azure, event: str = NEAR, *, until: timedelta = timedelta(minutes=5)) -> list[Report]:
    """Have the app look at the key as after an event, until the queue has nothing for minutes."""
    await azure.put(CheckKey(KEY, Cause("cause-1", Source.EVENT, event_type=event), azure.time.now()))
    return await azure.drain(until=until)


def told(reports: list[Report]) -> list[tuple[Reason, AtRisk]]:
    """Return what was told of the end of a key."""
    return [
        (one.outcome.blocked[0].reason, one.outcome.at_risk)
        for one in reports
        if isinstance(one.outcome, Stopped) and one.outcome.at_risk
    ]


def rotations(reports: list[Report]) -> list[Report]:
    return [one for one in reports if isinstance(one.item, RotateKey)]


def test_a_key_that_ends_soon_is_told_once_with_all_who_use_it(tmp_path: Path) -> None:
    users = [account(f"st{number}") for number in range(3)]

    async def story(azure: Azure) -> None:
        ((reason, risk),) = told(await looked(azure))
        assert reason is Reason.NEAR_EXPIRY
        assert (risk.version, risk.users, sorted(risk.first)) == (OLD, 3, [one["id"] for one in users])
        assert names(azure) == [OLD]
        (event,) = [one for one in azure.outcomes() if one["data"]["outcome"].get("at_risk")]
        assert "nearExpiry: rotate" in event["data"]["remedies"]["near_expiry"]
        assert told(await looked(azure)) == []

    on_azure(estate(*users, keys=ends()), story, environ={"CMK_EVIDENCE": str(tmp_path / "evidence")})
    kept = "".join(one.read_text() for one in (tmp_path / "evidence").rglob("*.jsonl"))
    assert all(str(one["id"]) in kept for one in users)


def test_a_key_is_rotated_where_all_its_users_rules_say_so_and_they_move(tmp_path: Path) -> None:
    users = [account("st1"), account("st2")]

    async def story(azure: Azure) -> None:
        reports = await looked(azure)
        (rotated,) = rotations(reports)
        assert isinstance(rotated.outcome, Rotated)
        assert told(reports) == []
        assert [azure.in_use(one) for one in users] == [names(azure)[-1]] * 2
        assert len(names(azure)) == 2
        await looked(azure)
        await asyncio.sleep(2 * DAY.total_seconds())
        await looked(azure)
        assert len(names(azure)) == 2

    on_azure(estate(*users, keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


@pytest.mark.parametrize("change", ["", "CHG0012345"])
def test_where_a_change_reference_is_demanded_no_event_rotates_the_key(tmp_path: Path, change: str) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        cause = Cause("cause-1", Source.EVENT, event_type=NEAR, order=Order(change=change))
        await azure.put(CheckKey(KEY, cause, azure.time.now()))
        reports = await azure.drain(until=timedelta(minutes=5))
        assert len(names(azure)) == (2 if change else 1)
        if change:
            assert azure.in_use(one) == names(azure)[-1]
        else:
            (found,) = [report for report in reports if told([report])]
            assert "rule 'all' takes a change reference: POST rotate with one" in str(found.outcome)

    environ = PolicyFile(tmp_path, f"{ROTATE}    change: required\n").environ
    on_azure(estate(one, keys=ends()), story, environ=environ)


def test_in_a_freeze_of_one_of_its_users_no_version_is_made_that_followers_would_take_up(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        ((reason, _),) = told(reports := await looked(azure))
        assert reason is Reason.NEAR_EXPIRY
        assert [one for one in reports if "rule 'all' is frozen until 2026-05-04" in str(one.outcome)]
        assert len(names(azure)) == 1
        await asyncio.sleep(timedelta(days=3).total_seconds())
        await looked(azure)
        assert len(names(azure)) == 2

    environ = PolicyFile(tmp_path, f"{ROTATE}    freeze: [{{from: 2026-05-01, to: 2026-05-03}}]\n").environ
    on_azure(estate(account("st1", ""), keys=ends()), story, environ=environ)


def test_one_user_whose_rule_does_not_say_rotate_is_enough_to_leave_the_key(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        reports = await looked(azure)
        ((reason, risk),) = told(reports)
        assert (reason, risk.users) == (Reason.NEAR_EXPIRY, 2)
        assert [one for one in reports if told([one]) and "rule 'ledger'" in str(one.outcome)]
        assert names(azure) == [OLD]

    users = [account("stledger"), account("st1")]
    on_azure(estate(*users, keys=ends()), story, environ=PolicyFile(tmp_path, MIXED).environ)


BARRED: dict[str, dict[str, Any]] = {
    "a certificate's key": ends(managed=True),
    "a younger version that somebody disabled": ends(
        version(OLD, expires=SOON), version(MID, "2026-03-01T00:00:00Z", enabled=False)
    ),
}


@pytest.mark.parametrize("keys", BARRED.values(), ids=list(BARRED))
def test_what_others_see_to_is_told_and_not_rotated(tmp_path: Path, keys: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        before = names(azure)
        reports = await looked(azure)
        assert [reason for reason, _ in told(reports)] == [Reason.NEAR_EXPIRY]
        assert (rotations(reports), names(azure)) == ([], before)

    on_azure(estate(account("st1"), keys=keys), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_who_is_at_risk_is_told_also_where_a_rule_for_others_says_that_the_key_was_imported(tmp_path: Path) -> None:
    imported = f"  - {{name: theirs, where: {{names: [other]}}, key: '{KEY.url}', origin: imported, rotation: fix}}\n"

    async def story(azure: Azure) -> None:
        reports = await looked(azure)
        ((reason, risk),) = told(reports)
        assert (reason, risk.users) == (Reason.NEAR_EXPIRY, 1)
        assert [one for one in reports if told([one]) and "key_is_imported, rule 'theirs'" in str(one.outcome)]
        assert (rotations(reports), names(azure)) == ([], [OLD])

    environ = PolicyFile(tmp_path, imported + ROTATE).environ
    on_azure(estate(account("st1"), keys=ends()), story, environ=environ)


def test_a_key_that_its_vault_rotates_in_time_is_neither_rotated_nor_told(tmp_path: Path) -> None:
    action = {"trigger": {"timeBeforeExpiry": "P10D"}, "action": {"type": "Rotate"}}
    keys = ends(rotationPolicy={"lifetimeActions": [action], "attributes": {"expiryTime": "P90D"}})

    async def story(azure: Azure) -> None:
        reports = await looked(azure)
        assert (told(reports), rotations(reports), names(azure)) == ([], [], [OLD])

    on_azure(estate(account("st1"), keys=keys), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_a_rotation_policy_that_cannot_be_read_means_no_rotation(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "vault")
        faults.install(azure.world)
        refusal = {"error": {"code": "Forbidden", "message": "no", "innererror": {"code": "ForbiddenByRbac"}}}
        faults.put([{"match": {"path": ".*/rotationpolicy$"}, "do": {"status": 403, "body": refusal}}])
        reports = await looked(azure)
        assert [reason for reason, _ in told(reports)] == [Reason.NEAR_EXPIRY]
        assert names(azure) == [OLD]

    on_azure(estate(account("st1"), keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_a_key_that_nobody_uses_is_left_to_its_owner(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        reports = await looked(azure)
        assert (told(reports), rotations(reports), names(azure)) == ([], [], [OLD])

    on_azure(estate(account("st1", key=""), keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_what_lies_below_a_resource_counts_and_its_rule_too(tmp_path: Path) -> None:
    rules = "  - {name: scopes, where: {types: ['*/encryptionScopes']}, rotation: fix}\n" + ROTATE
    users = [account("st1"), scope("st1", "one")]

    async def story(azure: Azure) -> None:
        ((_, risk),) = told(await looked(azure))
        assert sorted(risk.first) == sorted(one["id"] for one in users)
        assert risk.unseen == 0
        assert names(azure) == [OLD]

    on_azure(estate(*users, keys=ends()), story, environ=PolicyFile(tmp_path, rules).environ)


def test_users_of_an_ended_version_move_where_another_can_be_used() -> None:
    one = account("st1")
    keys = ends(version(OLD, expires=OVER), version(MID, "2026-03-01T00:00:00Z"))

    async def story(azure: Azure) -> None:
        reports = await looked(azure, "Microsoft.KeyVault.KeyExpired")
        assert azure.in_use(one) == MID
        assert told(reports) == []

    on_azure(estate(one, keys=keys), story)


def test_users_of_a_key_that_has_ended_are_each_blocked_and_named_in_one_report() -> None:
    users = [account("st1"), account("st2", "")]

    async def story(azure: Azure) -> None:
        reports = await looked(azure, "Microsoft.KeyVault.KeyExpired")
        ((reason, risk),) = told(reports)
        assert (reason, risk.users, sorted(risk.first)) == (Reason.EXPIRED, 2, [one["id"] for one in users])
        each = {one.address.arm.name: one.reasons for one in reports if one.address and one.reasons}
        assert each == {"st1": (Reason.NO_USABLE_VERSION,), "st2": (Reason.LATEST_UNUSABLE,)}
        assert azure.calls("write") == []

    on_azure(estate(*users, keys=ends(version(OLD, expires=OVER))), story)


def test_a_sweep_finds_an_end_that_no_event_told_of_and_tells_it_once_a_day() -> None:
    async def story(azure: Azure) -> None:
        found: list[Report] = []
        for number in range(5):
            await azure.put(Sweep(Cause(f"sweep-{number}", Source.TIMER), azure.time.now(), slice=number % 4))
            found += await azure.drain(until=timedelta(minutes=5))
            await asyncio.sleep(6 * 3600 - 300)
        assert [reason for reason, _ in told(found)] == [Reason.NEAR_EXPIRY] * 2

    on_azure(estate(account("st1"), keys=ends()), story)


def test_pages_are_counted_together_and_each_once_though_the_process_dies_on_the_way() -> None:
    users = [account(f"st{number:03}", NEW) for number in range(201)]  # more than a page holds

    async def story(azure: Azure) -> None:
        await azure.put(EndingKey(KEY, Cause("c", Source.EVENT), azure.time.now()))
        async with azure.queue() as queue:
            (first,) = [one async for one in queue.receive_messages(visibility_timeout=600)]
            await handle(azure.app.context, first.content)
            (second,) = [one async for one in queue.receive_messages(visibility_timeout=1)]
        again = azure.instance()  # the second page's own handling died; another instance gets the message
        await asyncio.sleep(2)
        report = await handle(again.context, second.content)
        ((_, risk),) = told([report])
        assert (risk.users, len(risk.first)) == (201, 50)

    on_azure(estate(*users, keys=ends()), story)


def test_a_rotation_that_is_asked_for_twice_makes_one_version(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for name in ("a", "b"):
            await azure.put(EndingKey(KEY, Cause(name, Source.EVENT), azure.time.now(), tally=Tally()))
        reports = await azure.drain(until=timedelta(minutes=5))
        assert len(rotations(reports)) == 2
        assert len(names(azure)) == 2

    on_azure(estate(account("st1"), keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_while_writing_is_off_no_version_is_made_and_afterwards_one_is(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        await looked(azure, until=timedelta(minutes=20))
        assert names(azure) == [OLD]
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=20))
        assert len(names(azure)) == 2

    on_azure(estate(account("st1"), keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_a_key_that_somebody_rotates_meanwhile_is_not_rotated_again(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        await looked(azure)
        key = the_key(azure)
        made = azure.world.now() - 2 * DAY  # so old that its age alone keeps nobody from making another
        key.versions.append(type(key.latest)(NEW, made, made, modulus=key.latest.modulus))
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(hours=1))
        assert names(azure) == [OLD, NEW]

    on_azure(estate(account("st1"), keys=ends()), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def test_one_user_that_no_rule_is_meant_for_bars_the_rotation(tmp_path: Path) -> None:
    ours = ROTATE.replace("name: all", "name: ours\n    where: {names: [st1]}")

    async def story(azure: Azure) -> None:
        ((reason, _),) = told(await looked(azure))
        assert (reason, names(azure)) == (Reason.NEAR_EXPIRY, [OLD])

    on_azure(estate(account("st1"), account("st2"), keys=ends()), story, environ=PolicyFile(tmp_path, ours).environ)
