"""Headers that say odd things about time and limits: believed only as far as they make sense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.report import Converged, Waiting
from tests.support.azure import MID, Azure, account, estate, on_azure
from tests.support.keyed import example, moves, using

ONE, OTHER = account("st1"), account("st2")
SET = example("compute_diskencryptionsets-pinned")
OPERATION = "https://management.azure.com/subscriptions/x/providers/Microsoft.X/locations/west/operations/1"
PAST, IN_YEARS = "Wed, 01 Jan 2020 00:00:00 GMT", "Wed, 01 Jan 2031 00:00:00 GMT"
ODD = ["0", "-5", PAST, IN_YEARS, "31536000", "soon", "0, 5", "\u0663", "1e3", "inf"]


def refused(status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer.of({"error": {"code": "Busy", "message": "m"}}, status, named)


@pytest.mark.parametrize("asked", ODD)
@pytest.mark.parametrize("status", [429, 503])
def test_a_write_that_is_refused_with_an_odd_time_is_sent_a_few_times_an_hour_and_goes_through_in_the_end(
    status: int, asked: str
) -> None:
    async def story(azure: Azure) -> None:
        answer = refused(status, Retry_After=asked)
        azure.world.hooks = Hooks(before=lambda call: answer if call.method == "PATCH" else None)
        await azure.check(ONE)
        await azure.drain(until=timedelta(hours=6))
        assert len([one for one in azure.world.log if one.method == "PATCH"]) < 45
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(days=1, minutes=1))
        assert azure.in_use(ONE) == MID

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("asked", ODD)
@pytest.mark.parametrize("said", ["InProgress", ""], ids=["going on", "throttled"])
def test_an_operation_is_asked_about_a_few_times_an_hour_whatever_time_it_names(asked: str, said: str) -> None:
    def before(call: Call) -> Answer | None:
        if call.method == "PATCH":
            return Answer(202, {"Azure-AsyncOperation": OPERATION, "Retry-After": asked})
        going_on = Answer.of({"status": said}, 200, {"Retry-After": asked}) if said else refused(429, Retry_After=asked)
        return going_on if "/operations/1" in call.url else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        await azure.check(SET)
        await azure.drain(until=timedelta(hours=5))
        assert len([one for one in azure.world.log if "/operations/1" in one.url]) < 80
        azure.world.hooks = Hooks(before=lambda call: Answer(404) if "/operations/1" in call.url else None)
        await azure.drain(until=timedelta(days=1, hours=2))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert azure.waiting() == []

    on_azure(using(SET), story)


def test_an_operation_is_not_asked_about_before_the_time_that_the_answer_to_its_request_named() -> None:
    def before(call: Call) -> Answer | None:
        if call.method == "PATCH":
            return Answer(202, {"Azure-AsyncOperation": OPERATION, "Retry-After": "120"})
        return Answer.of({"status": "InProgress"}) if "/operations/1" in call.url else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        (report,) = await azure.check(SET)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.again_at - report.at == timedelta(seconds=120)
        assert not [one for one in azure.world.log if "/operations/1" in one.url]

    on_azure(using(SET), story)


def test_a_date_to_wait_until_is_taken_by_the_clock_of_who_wrote_it() -> None:
    def before(call: Call) -> Answer | None:
        dates = {"Date": "Fri, 01 May 2026 09:00:00 GMT", "Retry_After": "Fri, 01 May 2026 09:02:00 GMT"}
        return refused(429, **dates) if call.method == "PATCH" else None

    async def story(azure: Azure) -> None:  # it is 8 o'clock here
        azure.world.hooks = Hooks(before=before)
        (report,) = await azure.check(ONE)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.again_at - report.at == timedelta(minutes=2)

    on_azure(estate(ONE), story)


def test_a_time_of_a_year_for_one_resource_holds_the_rest_of_its_subscription_up_for_an_hour_at_most() -> None:
    async def story(azure: Azure) -> None:
        year = refused(429, Retry_After="31536000")
        azure.world.hooks = Hooks(before=lambda call: year if call.path.endswith("/st1") else None)
        await azure.check(ONE)
        await azure.check(OTHER)
        assert azure.in_use(OTHER) != MID
        await azure.drain(until=timedelta(hours=1, minutes=1))
        assert azure.in_use(OTHER) == MID

    on_azure(estate(ONE, OTHER), story)


@pytest.mark.parametrize("left", ["many", "-1", "\u00b2", "1e9", "9" * 5_000, "3, 4", "0"])
def test_what_a_write_says_of_the_writes_that_are_left_never_undoes_the_write(left: str) -> None:
    def after(call: Call, answer: Answer) -> Answer:
        headers: dict[str, Any] = {**answer.headers, "x-ms-ratelimit-remaining-subscription-writes": left}
        return Answer(answer.status, headers, answer.body) if call.method == "PATCH" else answer

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=after)
        (report,) = await azure.check(ONE)
        assert isinstance(report.outcome, Converged)
        assert [write.accepted for write in moves([report])] == [True]
        await azure.check(OTHER)
        await azure.drain(until=timedelta(seconds=5))
        assert azure.in_use(OTHER) == MID

    on_azure(estate(ONE, OTHER), story)


def test_who_is_told_that_few_writes_are_left_lets_others_go_first() -> None:
    def after(call: Call, answer: Answer) -> Answer:
        headers = {**answer.headers, "x-ms-ratelimit-remaining-subscription-writes": "4"}
        return Answer(answer.status, headers, answer.body) if call.method == "PATCH" else answer

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=after)
        await azure.check(ONE)
        (report,) = await azure.check(OTHER)
        assert report.reasons == ()
        assert azure.in_use(OTHER) != MID
        await azure.drain(until=timedelta(seconds=3))
        assert azure.in_use(OTHER) == MID

    on_azure(estate(ONE, OTHER), story)
