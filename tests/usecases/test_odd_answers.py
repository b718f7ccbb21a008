"""Answers that make no sense: they are waited out, tell of nothing secret, and burn no dequeues."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.adapters.switch import KillSwitch
from shared.bootstrap import build
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Waiting
from shared.domain.work import Cause, CheckVault, Source, Sweep
from shared.errors import Refusal
from shared.settings import read
from shared.usecases.intake import replay, take_delivery
from tests.support.azure import MID, START, SUB, Azure, account, estate, on_azure, scope, vault

JSON = {"content-type": "application/json"}
ODD_ACCOUNTS = [
    Answer(200, {"content-type": "text/plain"}, b"ok"),
    Answer(200, JSON, b""),
    Answer(200, JSON, b'{"id":'),
    Answer.of([]),
    Answer.of({"id": "/subscriptions/x"}),
]
ODD_LISTS = [Answer.of([]), Answer.of({"value": "x"}), Answer.of({"value": [{"name": "no id"}]})]
ODD_VERSIONS = [
    Answer.of({"value": [{"kid": "https://x", "attributes": {"enabled": True, "created": "yesterday"}}]}),
    Answer.of({"value": []}),
    Answer.of({"value": [{"kid": 7}]}),
]


@pytest.mark.parametrize("odd", ODD_ACCOUNTS)
def test_an_unusable_answer_about_an_account_is_waited_out(odd: Answer) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def spoil(call: Call, answer: Answer) -> Answer:
            return odd if call.method == "GET" and call.path.endswith("/storageAccounts/st1") else answer

        azure.world.hooks = Hooks(after=spoil)
        (report,) = await azure.check(one)
        assert report.reasons == (Reason.SERVICE_UNAVAILABLE,)
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=2))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


@pytest.mark.parametrize("odd", ODD_LISTS)
def test_an_unusable_list_is_waited_out(odd: Answer) -> None:
    child = scope("st1", "one")

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=lambda call, answer: odd if call.path.endswith("Scopes") else answer)
        await azure.check_key()
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=2))
        assert azure.in_use(child) == MID

    on_azure(estate(account("st1", key=""), child), story)


@pytest.mark.parametrize("id_", ["x", "", "/subscriptions/../x", "/subscriptions/s/resourceGroups/rg"])
def test_a_row_of_the_index_without_a_resources_id_does_not_take_its_page_along(id_: str) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def spoil(call: Call, answer: Answer) -> Answer:
            rows = answer.json()["data"] if "ResourceGraph" in call.url else []
            users = [row for row in rows if row["id"].endswith("/st1")]
            return Answer.of({**answer.json(), "data": [{**users[0], "id": id_}, *rows]}) if users else answer

        azure.world.hooks = Hooks(after=spoil)
        await azure.check_key()
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


@pytest.mark.parametrize("odd", ODD_VERSIONS)
def test_an_unusable_list_of_versions_is_waited_out(odd: Answer) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def spoil(call: Call, answer: Answer) -> Answer:
            return odd if call.path.endswith("/versions") and answer.status == 200 else answer

        azure.world.hooks = Hooks(after=spoil)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=2))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


def test_a_vault_that_asks_for_a_token_for_somebody_else_gets_none() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def mislead(call: Call) -> Answer | None:
            if call.host.endswith("vault.azure.net"):
                asked = 'Bearer authorization="https://login.windows.net/t", resource="https://evil.example"'
                return Answer.of({"error": {"code": "Unauthorized"}}, 401, {"WWW-Authenticate": asked})
            return None

        azure.world.hooks = Hooks(before=mislead)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        assert not [line for line in azure.world.log if "evil" in line.url]

    on_azure(estate(one), story)


@pytest.mark.parametrize("asked", ["soon", "1e300", "nan", "-5", "", "Fri, 99 Foo 2026"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_that_makes_no_sense_counts_as_none(asked: str, status: int) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            if call.path.endswith("/storageAccounts/st1"):
                return Answer.of({"error": {"code": "X", "message": "m"}}, status, {"Retry-After": asked})
            return None

        azure.world.hooks = Hooks(before=refuse)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.again_at - report.at <= timedelta(days=1)

    on_azure(estate(one), story)


@pytest.mark.parametrize(
    ("status", "asked", "tries"), [(429, "", 1), (429, "1", 1), (503, "60", 1), (503, "", 3), (503, "1", 3)]
)
def test_no_invocation_sleeps_for_long_and_what_is_throttled_is_not_asked_again_in_it(
    status: int, asked: str, tries: int
) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            refused = Answer.of({"error": {"code": "X"}}, status, {"Retry-After": asked} if asked else {})
            return refused if call.path.endswith("/storageAccounts/st1") else None

        azure.world.hooks = Hooks(before=refuse)
        began = azure.time.now()
        (report,) = await azure.check(one)
        assert azure.time.now() - began < timedelta(seconds=7)
        assert isinstance(report.outcome, Waiting)
        assert len([line for line in azure.world.log if line.url.partition("?")[0].endswith("/st1")]) == tries

    on_azure(estate(one), story)


def test_a_slow_outcome_topic_holds_no_work_up_and_shows_in_health() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def refuse(call: Call) -> Answer | None:
            busy = Answer.of({"error": {"code": "X"}}, 503, {"Retry-After": "200"})
            return busy if "eventgrid" in call.host else None

        azure.world.hooks = Hooks(before=refuse)
        began = azure.time.now()
        await azure.check(one)
        assert azure.time.now() - began < timedelta(seconds=30)
        assert azure.in_use(one) == MID
        assert list(azure.app.journals.failures) == ["outcome topic"]

    on_azure(estate(one), story)


def test_a_wrong_outcome_topic_undoes_no_work() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Converged)

    topic = "https://cmk.westeurope-1.eventgrid.azure.net:44x/api/events"
    on_azure(estate(one), story, environ={"CMK_OUTCOME_TOPIC": topic})


def long_event(id_: str) -> dict[str, Any]:
    data = {"resourceUri": id_}
    return {"id": "1", "topic": "", "eventType": "Microsoft.Resources.ResourceWriteSuccess", "data": data}


def test_an_event_with_an_endless_id_is_let_go_and_its_neighbours_are_taken() -> None:
    one = account("st1")
    prefix = f"/subscriptions/{SUB}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"

    async def story(azure: Azure) -> None:
        body = json.dumps([long_event(prefix + "a" * 60_000), long_event(one["id"])])
        await take_delivery(azure.app.context, body, azure.app.new_id)
        told = await replay(azure.app.context, body.encode(), Source.REPLAY, azure.app.new_id, dry_run=True)
        assert [each["result"] for each in told] == ["ignored", "put"]
        await azure.drain(until=timedelta(seconds=5))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


def test_a_vault_that_only_the_settings_know_is_found_by_its_id() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def hide(call: Call, answer: Answer) -> Answer:
            empty = {"totalRecords": 0, "count": 0, "data": [], "resultTruncated": "false"}
            return Answer.of(empty) if b"keyvault/vaults" in call.body else answer

        azure.world.hooks = Hooks(after=hide)
        await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=vault()["id"]))
        await azure.drain()
        assert azure.in_use(one) == MID

    on_azure(estate(one), story, environ={"CMK_VAULTS": "kv-main.vault.azure.net"})


@pytest.mark.parametrize("word", ["disabled", "none", "stop", "OFF ", "", "offf"])
def test_only_a_clear_yes_lets_the_app_write(word: str) -> None:
    policies = build({}).context.ports.policies
    assert not asyncio.run(KillSwitch(lambda: word, policies).is_on())
    assert asyncio.run(KillSwitch(lambda: " On", policies).is_on())


def test_a_mistyped_switch_and_an_unknown_own_group_show_as_problems() -> None:
    environ = {"CMK_WRITES": "offf", "WEBSITE_SITE_NAME": "x", "AzureWebJobsStorage__accountName": "x"}
    _, problems = read(environ, {"AzureCloud": ".core.windows.net"})
    assert [problem.setting for problem in problems] == ["CMK_WRITES", "CMK_OWN_RESOURCE_GROUP"]


def test_without_a_queue_the_error_names_the_setting() -> None:
    async def put() -> None:
        await build({}).context.ports.queue.put(Sweep(Cause("c", Source.TIMER), START))

    with pytest.raises(Refusal) as caught:
        asyncio.run(put())
    assert caught.value.reason is Reason.MISCONFIGURED
