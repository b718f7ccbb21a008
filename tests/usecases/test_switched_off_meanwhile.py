"""Putting down what is about to be written takes time. Where writing is switched off meanwhile nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.report import Report, Waiting
from shared.domain.work import Cause, RotateKey, Source
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure
from tests.support.enforced import item
from tests.support.enforcing import KEY
from tests.support.revoking import allowed, granted, own, scopes_of, wished
from tests.usecases.test_revoke_killed import ONE, USER, VAULT

TOLD = ("begun", "announced")


def off_once_told(azure: Azure, by: str = "") -> list[str]:
    """Switch writing off as soon as the evidence has what is about to be written, or with the first answer of the host
    `by` after that; returns what the evidence was told.
    """
    told: list[str] = []

    def after(call: Call, answer: Answer) -> Answer:
        line = call.body.decode("utf-8", "replace") if "appendblock" in str(call.query.get("comp")) else ""
        told.extend(one for one in TOLD if f'"outcome":"{one}"' in line)
        if told and call.host.endswith(by):
            azure.environ["CMK_WRITES"] = "off"
        return answer

    azure.world.hooks = Hooks(after=after)
    return told


def waits_for_the_switch(report: Report) -> bool:
    return isinstance(report.outcome, Waiting) and report.outcome.wait.reason is Reason.WRITES_OFF


async def moved(azure: Azure) -> None:
    await azure.put(item(azure, account("st1", OLD)))


async def rotated(azure: Azure) -> None:
    await azure.put(RotateKey(parse_key_url(KEY).key, Cause("cause-1", Source.HTTP), azure.time.now()))


@pytest.mark.parametrize("asked", [moved, rotated])
def test_a_change_and_a_new_version_wait_for_the_switch_once_more_after_they_were_told(asked: Any) -> None:
    async def story(azure: Azure) -> None:
        told = off_once_told(azure)
        await asked(azure)
        report, *_ = await azure.drain()
        assert waits_for_the_switch(report)
        assert set(told) == {"begun"}
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert [one.version for one in key.versions] == [OLD, MID]
        assert azure.in_use(account("st1", OLD)) == OLD

    on_azure(estate(account("st1", OLD)), story)


def test_a_new_version_waits_where_the_switch_is_thrown_while_its_key_is_looked_at_again() -> None:
    async def story(azure: Azure) -> None:
        told = off_once_told(azure, "kv-main.vault.azure.net")
        await rotated(azure)
        report, *_ = await azure.drain()
        assert waits_for_the_switch(report)
        assert set(told) == {"begun"}
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert [one.version for one in key.versions] == [OLD, MID]

    on_azure(estate(account("st1", OLD)), story)


@pytest.mark.parametrize("asked", [moved, rotated])
def test_nothing_is_put_down_while_writing_is_off(asked: Any) -> None:
    async def story(azure: Azure) -> None:
        told = off_once_told(azure)
        azure.environ["CMK_WRITES"] = "off"
        await asked(azure)
        report, *_ = await azure.drain()
        assert waits_for_the_switch(report)
        assert told == []

    on_azure(estate(account("st1", OLD)), story)


def test_a_grant_stays_where_writing_is_switched_off_after_it_was_told(tmp_path: Path) -> None:
    described = {
        **estate(ONE, denied=("st1",)),
        "roleAssignments": [granted(VAULT, own("st1"), USER)],
    }

    async def story(azure: Azure) -> None:
        told = off_once_told(azure)
        await wished(azure, ONE)
        report, *_ = await azure.drain()
        assert waits_for_the_switch(report)
        assert set(told) == {"announced"}
        assert len(scopes_of(azure, own("st1"))) == 1

    on_azure(described, story, environ=allowed(tmp_path))
