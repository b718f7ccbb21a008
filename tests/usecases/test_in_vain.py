"""Changes that Azure accepts and that do nothing: sent a few times, looked for longer, and ended with what is true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped
from tests.support.azure import MID, NEW, Azure, account, estate, on_azure
from tests.support.keyed import example, moves, new_version, using

STORED = account("st1")
SET = example("compute_diskencryptionsets-pinned")
ENDED = "https://management.azure.com/subscriptions/x/operationresults/1"
FOR_EVER, MOST = 1_000, 5


def on(one: dict[str, Any]) -> dict[str, Any]:
    return estate(one) if one is STORED else using(one)


def idle(azure: Azure, how: str, times: int) -> list[str]:
    """Accept so many changes and do nothing; return what is sent, as it comes."""
    sent: list[str] = []

    def before(call: Call) -> Answer | None:
        if call.url == ENDED:
            return Answer(404) if how == "forgotten" else Answer(200)
        if call.method != "PATCH":
            return None
        sent.append(call.path)
        if len(sent) > times:
            return None
        return Answer.of({"id": call.path}) if how == "200" else Answer(202, {"Location": ENDED})

    azure.world.hooks = Hooks(before=before)
    return sent


@pytest.mark.parametrize(
    ("one", "how"),
    [(STORED, "200"), (SET, "200"), (SET, "an operation"), (SET, "forgotten")],
    ids=lambda one: one["name"] if isinstance(one, dict) else one,
)
def test_a_change_that_is_accepted_and_does_nothing_is_sent_five_times_at_most_and_then_people_are_told(
    one: dict[str, Any], how: str
) -> None:
    async def story(azure: Azure) -> None:
        sent = idle(azure, how, FOR_EVER)
        await azure.check(one)
        await azure.drain(until=timedelta(days=1))
        assert len(sent) == len(moves(azure.reports)) == MOST
        last = azure.reports[-1].outcome
        assert isinstance(last, Stopped)
        assert [(why.reason, why.detail) for why in last.blocked] == [
            (Reason.NOT_YET_IN_EFFECT, "Azure accepted the change, and the resource does not show it")
        ]
        assert azure.waiting() == []

    on_azure(on(one), story)


@pytest.mark.parametrize(("times", "within"), [(1, 1), (2, 3), (3, 9), (4, 39)])
@pytest.mark.parametrize("one", [STORED, SET], ids=["storage account", "disk encryption set"])
def test_a_change_that_does_nothing_the_first_few_times_is_made_in_the_end(
    one: dict[str, Any], times: int, within: int
) -> None:
    async def story(azure: Azure) -> None:
        sent = idle(azure, "200", times)
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=within))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert len(sent) == len(moves(azure.reports)) == times + 1

    on_azure(on(one), story)


def test_a_change_that_shows_late_is_seen_within_ten_minutes_though_it_is_not_sent_again_so_soon() -> None:
    async def story(azure: Azure) -> None:
        sent = idle(azure, "200", FOR_EVER)
        await azure.check(STORED)
        await azure.drain(until=timedelta(minutes=50))
        azure.world.hooks = Hooks()
        azure.body(STORED)["properties"]["encryption"]["keyvaultproperties"] |= {
            "keyversion": MID,
            "currentVersionedKeyIdentifier": f"https://kv-main.vault.azure.net/keys/cmk/{MID}",
        }
        await azure.drain(until=timedelta(minutes=11))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert len(sent) == MOST

    on_azure(estate(STORED), story)


def test_a_change_to_a_newer_version_does_not_rest_because_the_one_before_it_did_nothing() -> None:
    async def story(azure: Azure) -> None:
        idle(azure, "200", FOR_EVER)
        await azure.check(STORED)
        await azure.drain(until=timedelta(minutes=45))
        azure.world.hooks = Hooks()
        new_version(azure, NEW)
        await azure.drain(until=timedelta(minutes=11))
        assert azure.in_use(STORED) == NEW

    on_azure(estate(STORED), story)
