"""Operations and writes that end oddly: nothing is written for ever, claimed without cause or left untold."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.patience import PATIENCE
from shared.domain.preparation import AssignIdentity
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped
from tests.support.azure import Azure, account, on_azure
from tests.support.enforcing import ALL, UAI, nothing_yet, policy, user_assigned
from tests.support.keyed import example, moves, using

PINNED = example("compute_diskencryptionsets-pinned")
STORED = account("st1")
FOREIGN = "https://evil.example/operations/1"
OPERATION = "https://management.azure.com/subscriptions/x/providers/Microsoft.X/locations/west/operations/1"


def accepted(url: str) -> Answer:
    """Return the answer to a write that takes long."""
    return Answer(202, {"Azure-AsyncOperation": url, "Retry-After": "20"})


def without_effect(call: Call) -> Answer | None:
    """Accept each change of a resource, say that it succeeded, and change nothing."""
    if call.method == "PATCH":
        return accepted(OPERATION)
    return Answer.of({"status": "Succeeded"}) if "/operations/1" in call.url else None


def attempts(azure: Azure) -> int:
    """Return how often something was really sent."""
    return len([one for one in azure.world.log if one.method == "PATCH"])


def test_an_operation_that_succeeds_and_changes_nothing_ends_after_its_patience_and_each_write_is_told_of_once() -> (
    None
):
    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=without_effect)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(hours=6))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Stopped)
        assert end.reasons == (Reason.NOT_YET_IN_EFFECT,)
        sent = moves(azure.reports)
        assert len(sent) == attempts(azure) < 20
        assert end.at - sent[0].at < PATIENCE[Reason.NOT_YET_IN_EFFECT].give_up + timedelta(minutes=15)
        assert azure.waiting() == []

    on_azure(using(PINNED), story)


def test_an_identity_that_is_assigned_and_never_shows_ends_after_its_patience(tmp_path: Path) -> None:
    one = example("cognitiveservices_accounts-platform")

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=without_effect)
        await azure.check(one)
        await azure.drain(until=timedelta(hours=6))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Stopped)
        assert end.reasons == (Reason.NOT_YET_IN_EFFECT,)
        told = [done for report in azure.reports for done in report.did if isinstance(done.step, AssignIdentity)]
        assert len(told) == attempts(azure) < 20
        assert azure.waiting() == []

    on_azure(
        nothing_yet(one, user_assigned()),
        story,
        environ=policy(tmp_path, ALL, "createKey: {size: 2048}", f"identity: {UAI}"),
    )


def test_an_operation_at_a_foreign_host_is_not_asked_about_and_the_write_is_told_of_all_the_same() -> None:
    def elsewhere(call: Call, answer: Answer) -> Answer:
        return accepted(FOREIGN) if call.method == "PATCH" else answer

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=elsewhere)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(minutes=10))
        assert isinstance(azure.reports[-1].outcome, Converged)
        (write,) = moves(azure.reports)
        assert (write.accepted, attempts(azure)) == (True, 1)
        assert [one.url for one in azure.world.log if "evil" in one.url] == []

    on_azure(using(PINNED), story)


@pytest.mark.parametrize("one", [PINNED, STORED], ids=["disk encryption set", "storage account"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_write_that_is_redirected_counts_as_unanswered_and_is_not_followed(one: dict[str, Any], status: int) -> None:
    def redirected(call: Call) -> Answer | None:
        return Answer(status, {"Location": FOREIGN}) if call.method == "PATCH" else None

    async def story(azure: Azure) -> None:
        before = copy.deepcopy(azure.body(one))
        azure.world.hooks = Hooks(before=redirected)
        (report,) = await azure.check(one)
        assert report.reasons == (Reason.SERVICE_UNAVAILABLE,)
        assert [write.accepted for write in report.wrote] == [False]
        assert azure.body(one) == before
        assert [line.url for line in azure.world.log if "evil" in line.url] == []

    on_azure(using(one), story)


def test_an_operation_that_is_redirected_has_not_ended() -> None:
    def redirected(call: Call) -> Answer | None:
        asked = call.method == "GET" and "operations" in call.path.lower()
        return Answer(302, {"Location": FOREIGN}) if asked else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=redirected)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(minutes=2))
        assert azure.reports[-1].reasons == (Reason.SERVICE_UNAVAILABLE,)
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=30))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert attempts(azure) == 1

    on_azure(using(PINNED), story)


@pytest.mark.parametrize(
    "odd", [Answer(302, {"Location": FOREIGN}), Answer(503), Answer.of([])], ids=["redirect", "503", "no object"]
)
def test_an_operation_that_nobody_can_tell_of_and_that_changes_nothing_is_not_begun_again_for_ever(odd: Answer) -> None:
    def before(call: Call) -> Answer | None:
        return odd if "/operations/1" in call.url else without_effect(call)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(days=1))
        assert azure.reports[-1].reasons == (Reason.NOT_YET_IN_EFFECT,)
        assert isinstance(azure.reports[-1].outcome, Stopped)
        assert len(moves(azure.reports)) == attempts(azure) < 10
        assert azure.waiting() == []

    on_azure(using(PINNED), story)


@pytest.mark.parametrize(
    "gone", [Answer(410), Answer.of({"error": {"code": "OperationNotFound", "message": ""}}, 404)], ids=["410", "404"]
)
def test_an_operation_that_azure_has_forgotten_is_judged_by_the_resource(gone: Answer) -> None:
    def before(call: Call) -> Answer | None:
        return gone if call.method == "GET" and "operations" in call.path.lower() else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(minutes=10))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert attempts(azure) == 1

    on_azure(using(PINNED), story)
