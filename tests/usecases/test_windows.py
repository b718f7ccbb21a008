"""Windows and freezes: work waits for them as long as it takes, and is done then."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.wire import Answer
from sandbox.world import Hooks
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Change
from shared.domain.work import Cause, CheckResource, Going, Source, Sweep
from shared.usecases.forms import ConvergeWish, UseKeyWish
from shared.usecases.wishes import converge_item, put_or_plan, use_key_item
from tests.support.azure import MID, OLD, SUB, Azure, account, estate, on_azure, version
from tests.support.policies import PolicyFile, text
from tests.support.waves import DAY, KEY, moved, rule, users, waits

HTTP = Cause("http", Source.HTTP)
USERS = users(3)
WEEKEND = 'windows: [{days: [sat, sun], from: "22:00", to: "04:00", timezone: Europe/Berlin}]'
FREEZE = "freeze: [{from: 2026-04-20, to: 2026-05-20}]"
SATURDAY = datetime.fromisoformat("2026-05-02T20:00:00+00:00")  # 22:00 in Berlin; the stories begin on Friday
THAWED = datetime.fromisoformat("2026-05-21T00:00:00+00:00")


def policy(folder: Path, *lines: str) -> dict[str, str]:
    return PolicyFile(folder, rule(*lines)).environ


async def wish(azure: Azure, **said: Any) -> None:
    await azure.put(converge_item(ConvergeWish(**said), HTTP, azure.time.now()))
    await azure.drain()


def test_outside_its_window_nothing_is_written_and_all_is_when_it_opens(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert waits(await azure.check_key()) == {"outside_window": SATURDAY}
        assert azure.calls("write") == []
        await azure.drain(until=SATURDAY - azure.time.now() + timedelta(minutes=1))
        assert moved(azure, USERS) == {MID}
        assert azure.time.now() - SATURDAY < timedelta(minutes=1)
        assert azure.waiting() == []

    on_azure(estate(*USERS), story, environ=policy(tmp_path, WEEKEND))


def test_a_freeze_longer_than_a_message_and_than_any_patience_is_waited_out(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert waits(await azure.check_key()) == {"frozen": THAWED}
        await azure.drain(until=THAWED - azure.time.now() + timedelta(minutes=1))
        assert moved(azure, USERS) == {MID}
        assert not any(one.reasons and one.reasons[0] is not Reason.FROZEN for one in azure.reports)

    on_azure(estate(*USERS), story, environ=policy(tmp_path, FREEZE))


def test_urgent_opens_every_window_and_thaws_no_freeze(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wish(azure, key=KEY, urgent=True)
        assert moved(azure, USERS) == {MID}

    on_azure(estate(*USERS), story, environ=policy(tmp_path, WEEKEND))

    async def frozen(azure: Azure) -> None:
        await wish(azure, key=KEY, urgent=True)
        assert azure.calls("write") == []

    on_azure(estate(*USERS), frozen, environ=policy(tmp_path, FREEZE))


def test_an_urgent_order_during_a_freeze_is_still_urgent_after_it(tmp_path: Path) -> None:
    waves = "waves: [{share: 1}, {share: 100, after: 60d}]"

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=1))
        assert len(azure.waiting()) == len(USERS)
        await wish(azure, key=KEY, urgent=True)
        await azure.drain(until=THAWED - azure.time.now() + timedelta(minutes=1))
        assert moved(azure, USERS) == {MID}

    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD), version(MID, "2026-05-01T07:00:00Z")]}]}
    on_azure(estate(*USERS, keys=keys), story, environ=policy(tmp_path, FREEZE, waves))


def test_a_wish_for_one_resource_waits_for_the_window_too(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(use_key_item(UseKeyWish(str(USERS[0]["id"]), f"{KEY}/{MID}"), HTTP, azure.time.now()))
        assert waits(await azure.drain()) == {"outside_window": SATURDAY}
        await azure.drain(until=2 * DAY)
        assert moved(azure, USERS[:1]) == {MID}

    on_azure(estate(*USERS), story, environ=policy(tmp_path, WEEKEND))


def test_sweeps_meanwhile_put_no_second_look(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check_key()
        for _ in range(3):
            await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
            await azure.drain()
        assert len(azure.waiting()) == len(USERS)

    on_azure(estate(*USERS), story, environ=policy(tmp_path, FREEZE))


def test_a_freeze_that_is_shortened_lets_the_next_sweep_put_an_earlier_look(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, rule(FREEZE))

    async def story(azure: Azure) -> None:
        await azure.check_key()
        file.write(text(rule("freeze: [{from: 2026-04-20, to: 2026-05-02}]")))
        await asyncio.sleep(60)
        await azure.put(Sweep(Cause("timer", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(days=2))
        assert moved(azure, USERS) == {MID}

    on_azure(estate(*USERS), story, environ=file.environ)


def test_a_first_key_waits_for_its_window_before_anything_is_prepared(tmp_path: Path) -> None:
    one = account("st1", key="")

    async def story(azure: Azure) -> None:
        assert waits(await azure.check(one)) == {"outside_window": SATURDAY}
        assert azure.calls("write") == []
        await azure.drain(until=2 * DAY)
        assert azure.body(one)["properties"]["encryption"]["keySource"] == "Microsoft.Keyvault"

    environ = policy(tmp_path, WEEKEND, "encryption: fix", f"key: {KEY}")
    on_azure(estate(one), story, environ=environ)


def test_a_dry_run_says_when_the_window_opens(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        item = converge_item(ConvergeWish(resource=str(USERS[0]["id"])), HTTP, azure.time.now())
        (step,) = (await put_or_plan(azure.app.context, item, dry_run=True))["steps"]
        assert (step.reason, step.again_at) == (Reason.OUTSIDE_WINDOW, SATURDAY)
        assert f"should use {KEY}/{MID}" in step.detail

    on_azure(estate(*USERS), story, environ=policy(tmp_path, WEEKEND))


def test_what_was_begun_is_brought_to_its_end_although_the_window_has_closed(tmp_path: Path) -> None:
    operation = f"https://management.azure.com/subscriptions/{SUB}/operations/forgotten?api-version=2025-01-01"
    change = Change("encryption", parse_key_url(f"{KEY}/{MID}"), follow=False)

    async def story(azure: Azure) -> None:
        now = azure.time.now()
        cause, address = Cause("c", Source.EVENT), azure.address(USERS[0])
        ended = Answer(200, {"content-type": "application/json"}, b'{"status": "Succeeded"}')
        azure.world.hooks = Hooks(before=lambda call: ended if call.path.endswith("/forgotten") else None)
        await azure.put(CheckResource(address, cause, now, now, going=Going(operation, 0, (change,))))
        await azure.drain()
        assert azure.in_use(USERS[0]) == MID

    on_azure(estate(*USERS), story, environ=policy(tmp_path, WEEKEND))


def test_an_urgent_order_while_writing_is_off_is_kept_beside_the_looks_that_wait_already(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)
    file.write(text(rule(WEEKEND), writes="off"))

    async def story(azure: Azure) -> None:
        await asyncio.sleep((SATURDAY - azure.time.now()).total_seconds() + 3600)
        await azure.check_key()
        await azure.drain(until=timedelta(seconds=30))
        await wish(azure, key=KEY, urgent=True)
        await azure.drain(until=timedelta(hours=6))
        assert azure.calls("write") == []
        file.write(text(rule(WEEKEND)))  # the window has closed meanwhile
        await azure.drain(until=timedelta(minutes=30))
        assert moved(azure, USERS) == {MID}

    on_azure(estate(*USERS), story, environ=file.environ)
