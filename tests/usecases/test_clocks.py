"""Clocks that jump, and instances whose clocks differ: nothing old passes for an answer, nothing stands still."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from shared import bootstrap
from shared.bootstrap import App
from shared.domain.keys import parse_key_url
from shared.domain.report import Answered
from shared.domain.resource import address_of
from shared.domain.work import Cause, CheckKey, CheckResource, Source, encode
from shared.usecases.handle import handle
from tests.support.azure import MID, NEW, Azure, account, estate, on_azure
from tests.support.keyed import new_version

ONE = account("st1")
KEY = parse_key_url("https://kv-main.vault.azure.net/keys/cmk").key
LATER = 6  # seconds: what was known of a key before is old then
ADDRESS = address_of(str(ONE["id"]))
CAUSE = Cause("c", Source.EVENT)


class Wrong:
    """A machine's clock."""

    def __init__(self, **by: float) -> None:
        self.by = timedelta(**by)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


def instance(azure: Azure, clock: Wrong) -> App:
    """Return an instance on a machine with that clock."""
    with mock.patch.object(bootstrap, "SystemClock", return_value=clock):
        return azure.instance()


def message(app: App) -> str:
    """Return the question that this instance asks now."""
    now = app.context.ports.clock.now()
    return encode(CheckResource(ADDRESS, CAUSE, now, now))


@pytest.mark.parametrize("ahead", [5, -5, 300, -300])
def test_what_one_instance_saw_is_no_answer_to_what_another_asked_later_however_their_clocks_differ(
    ahead: float,
) -> None:
    async def story(azure: Azure) -> None:
        asks, looks = instance(azure, Wrong()), instance(azure, Wrong(seconds=ahead))
        await handle(looks.context, message(asks))
        assert azure.in_use(ONE) == MID
        await asyncio.sleep(LATER)
        new_version(azure, NEW)
        await asyncio.sleep(1)
        report = await handle(looks.context, message(asks))
        assert not isinstance(report.outcome, Answered)
        assert azure.in_use(ONE) == NEW

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("ahead", [5, 300])
def test_an_event_about_a_key_is_not_answered_by_a_search_for_its_users_that_is_older(ahead: float) -> None:
    async def story(azure: Azure) -> None:
        azure.app = instance(azure, Wrong(seconds=ahead))
        await azure.check_key()
        new_version(azure, NEW)
        await asyncio.sleep(1)
        await handle(azure.app.context, encode(CheckKey(KEY, CAUSE, datetime.now(UTC))))
        await azure.drain(until=timedelta(minutes=2))
        assert azure.in_use(ONE) == NEW

    on_azure(estate(ONE), story)


def test_who_asks_again_after_the_look_is_answered_still_by_an_instance_whose_clock_is_wrong() -> None:
    async def story(azure: Azure) -> None:
        asks, looks = instance(azure, Wrong()), instance(azure, Wrong(seconds=-300))
        await handle(looks.context, message(asks))
        asked = message(asks)
        await asyncio.sleep(LATER)
        now = looks.context.ports.clock.now()
        await handle(looks.context, encode(CheckResource(ADDRESS, CAUSE, now, now)))
        report = await handle(looks.context, asked)
        assert isinstance(report.outcome, Answered)

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("jump", [{"hours": -1}, {"days": 1}, {"seconds": -20}])
def test_a_clock_that_jumps_between_two_looks_lets_no_old_knowledge_pass_and_no_work_stand_still(
    jump: dict[str, float],
) -> None:
    async def story(azure: Azure) -> None:
        clock = Wrong()
        app = instance(azure, clock)
        await handle(app.context, message(app))
        assert azure.in_use(ONE) == MID
        new_version(azure, NEW)
        clock.by = timedelta(**jump)
        report = await handle(app.context, message(app))
        assert not isinstance(report.outcome, Answered)
        assert azure.in_use(ONE) == NEW

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("jump", [{"hours": -1}, {"days": 1}])
def test_a_clock_that_jumps_does_not_keep_the_switch_from_being_seen(jump: dict[str, float]) -> None:
    async def story(azure: Azure) -> None:
        clock = Wrong()
        app = instance(azure, clock)
        looked: list[str] = []

        async def fetch(mark: str) -> tuple[bytes | None, str]:
            looked.append(mark)
            return b"version: 1\nrules: [{name: all, rotation: fix}]\n", "1"

        app.context.ports.policies._fetch = fetch  # type: ignore[attr-defined]  # noqa: SLF001  asked as files are
        await app.context.ports.policies.current()
        clock.by = timedelta(**jump)
        await app.context.ports.policies.current()
        assert len(looked) == 2

    on_azure(estate(ONE), story)
