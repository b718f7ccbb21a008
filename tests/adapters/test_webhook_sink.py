"""The webhook on the sandbox: what is sent, once a day; what is counted; and what never goes there."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from azure.core.rest import HttpRequest

from sandbox.faults import Faults
from sandbox.hooks import Posted, posted
from shared.adapters.webhook import AGAIN, BURST, CLOSED_FOR, WebhookSink
from shared.domain.reasons import Reason
from shared.domain.work import Cause, Source, Sweep
from shared.errors import Refusal
from shared.settings import read
from tests.support.azure import MID, Azure, account, estate, on_azure, principal_of

SECRET = "T000/B000/very-secret"
URL = f"https://hooks.slack.com/services/{SECRET}"
SLACK = {"CMK_WEBHOOK": URL, "CMK_WEBHOOK_FORM": "slack"}
STOPS = [account(f"st{number}", key="gone") for number in range(BURST + 5)]  # a key that is not there


def texts(azure: Azure) -> list[str]:
    return [str(one.body["text"]) for one in posted(azure.world)]


def sink(azure: Azure) -> WebhookSink:
    (found,) = [one for one in azure.app.journals._sinks if isinstance(one, WebhookSink)]  # noqa: SLF001
    return found


def test_a_finding_is_told_once_a_day() -> None:
    async def story(azure: Azure) -> None:
        for _ in range(3):
            await azure.check(STOPS[0])
        (text,) = texts(azure)
        assert text.startswith("CMK Autopilot: st0: key_not_found")
        await asyncio.sleep(AGAIN.total_seconds())
        await azure.check(STOPS[0])
        assert len(texts(azure)) == 2

    on_azure(estate(STOPS[0]), story, environ=SLACK)


def test_what_went_well_is_not_told() -> None:
    async def story(azure: Azure) -> None:
        await azure.check(account("st1"))
        assert texts(azure) == []

    on_azure(estate(account("st1")), story, environ=SLACK)


def test_no_token_ever_goes_to_the_webhook() -> None:
    async def story(azure: Azure) -> None:
        await azure.check(STOPS[0])
        (one,) = posted(azure.world)
        assert not {name for name in one.headers if "auth" in name or "token" in name or "cookie" in name}
        assert "eyJ" not in json.dumps([one.headers, one.body])

    on_azure(estate(STOPS[0]), story, environ=SLACK)


def test_a_request_with_a_token_is_stopped_before_it_leaves_for_the_webhook() -> None:
    async def story(azure: Azure) -> None:
        connection = sink(azure)._connection  # noqa: SLF001
        for scope in sorted(connection.cloud.scopes):
            token = (await connection.credential.get_token(scope)).token
            request = HttpRequest("POST", URL, headers={"Authorization": f"Bearer {token}"}, json={})
            with pytest.raises(Refusal, match="foreign_host"):
                await connection.transport.send(request)
        with pytest.raises(Refusal, match="foreign_host"):
            await connection.transport.send(HttpRequest("POST", URL.replace("hooks.", "other-hooks."), json={}))
        assert posted(azure.world) == []

    on_azure(estate(STOPS[0]), story, environ=SLACK)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer of-unknown-making"},
        {"authorization": "SharedKey account:signature"},
        {"Proxy-Authorization": "Basic x"},
        {"aeg-sas-key": "x"},
        {"Cookie": "x"},
    ],
)
def test_no_other_secret_goes_there_either(headers: dict[str, str]) -> None:
    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="foreign_host"):
            await sink(azure)._connection.transport.send(HttpRequest("POST", URL, headers=headers, json={}))  # noqa: SLF001
        assert posted(azure.world) == []

    on_azure(estate(STOPS[0]), story, environ=SLACK)


def test_without_the_setting_nothing_may_go_there() -> None:
    async def story(azure: Azure) -> None:
        connection = azure.app.context.ports.myself._connection  # type: ignore[attr-defined]  # noqa: SLF001
        with pytest.raises(Refusal, match="foreign_host"):
            await connection.transport.send(HttpRequest("POST", URL, json={}))

    on_azure(estate(STOPS[0]), story)


def test_a_sweep_is_told_in_one_message_with_counts_and_only_if_something_is_new() -> None:
    async def story(azure: Azure) -> None:
        for number in range(2):
            await azure.put(Sweep(Cause(f"s-{number}", Source.TIMER), azure.time.now()))
            await azure.drain()
            await asyncio.sleep(3600)
        (text,) = texts(azure)
        count = len(STOPS)
        assert f"key_not_found: {count} ({count} new today)" in text

    on_azure(estate(*STOPS), story, environ=SLACK)


def test_a_burst_of_findings_becomes_a_digest() -> None:
    async def story(azure: Azure) -> None:
        for one in STOPS:
            await azure.check(one)
        assert len(texts(azure)) == BURST
        await asyncio.sleep(120)
        assert "key_not_found: 5 (5 new today)" in texts(azure)[-1]
        assert len(texts(azure)) == BURST + 1

    on_azure(estate(*STOPS), story, environ=SLACK)


def failing(azure: Azure, **do: Any) -> None:
    faults = Faults(lambda _: "hook")
    faults.install(azure.world)
    faults.put([{"match": {"host": "hooks.slack.com"}, "do": do}])


@pytest.mark.parametrize("do", [{"status": 500}, {"status": 404}, {"status": 302}, {"reset": "before"}])
def test_a_webhook_that_fails_holds_nothing_up_is_left_in_peace_and_shows_in_health_without_its_url(
    do: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(azure: Azure) -> None:
        failing(azure, **do)
        for one in STOPS[:3]:
            report = (await azure.check(one))[-1]
            assert report.reasons == (Reason.KEY_NOT_FOUND,)
        tried = [line for line in azure.world.log if "hooks.slack.com" in line.url]
        assert len(tried) == 1
        assert "webhook" in azure.app.journals.failures
        azure.world.hooks = type(azure.world.hooks)()
        await asyncio.sleep(CLOSED_FOR.total_seconds())
        await azure.check(STOPS[0])
        assert len(texts(azure)) == 1
        told = [*azure.app.journals.failures.values(), *(line.getMessage() for line in caplog.records)]
        assert SECRET not in " ".join(told)

    with caplog.at_level(logging.DEBUG):
        on_azure(estate(*STOPS[:3]), story, environ=SLACK)


@pytest.mark.parametrize("form", ["teams", "generic", ""])
def test_the_message_takes_the_form_that_was_set(form: str) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(account("st1", MID))
        await azure.check(STOPS[0])
        (one,) = posted(azure.world)
        assert isinstance(one, Posted)
        assert ("attachments" in one.body) is (form == "teams")
        assert principal_of("st1") not in json.dumps(one.body)

    on_azure(estate(STOPS[0]), story, environ={**SLACK, "CMK_WEBHOOK_FORM": form})


CLOUDS = {"AzureCloud": ".core.windows.net"}


@pytest.mark.parametrize(
    ("url", "form", "wrong"),
    [
        (URL, "slack", ""),
        (URL, "Teams", ""),
        ("", "", ""),
        (URL, "irc", "CMK_WEBHOOK_FORM"),
        (URL.replace("https", "http"), "slack", "CMK_WEBHOOK"),
        (URL.replace(".com", ".com:8443"), "slack", "CMK_WEBHOOK"),
        (URL.replace("//", f"//user:{SECRET}@"), "slack", "CMK_WEBHOOK"),
        (URL.replace(".com", ".com:x"), "slack", "CMK_WEBHOOK"),
        (f"@Microsoft.KeyVault(SecretUri=https://kv/{SECRET})", "slack", "CMK_WEBHOOK"),
    ],
)
def test_the_setting_is_checked_and_never_repeated(url: str, form: str, wrong: str) -> None:
    settings, problems = read({"CMK_WEBHOOK": url, "CMK_WEBHOOK_FORM": form}, CLOUDS)
    about = [one for one in problems if "WEBHOOK" in one.setting]
    assert [one.setting for one in about] == ([wrong] if wrong else [])
    assert (settings.webhook is not None) is bool(url and not wrong)
    assert SECRET not in f"{settings!r} {problems!r}"
