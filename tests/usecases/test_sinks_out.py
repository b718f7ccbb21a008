"""A store or a topic that refuses for a day: what was written is told of afterwards, and nothing waits for it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sandbox.blobs import containers
from sandbox.hooks import posted
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.usecases.handle import report_poison
from tests.support.azure import MID, NEW, Azure, account, estate, on_azure
from tests.support.keyed import later, new_version

ONE, OTHER = account("st1"), account("st2")
WEBHOOK = "https://hooks.slack.com/services/T0/B0/x"
BUSY = Answer.of({"error": {"code": "ServerBusy", "message": "m"}}, 503, {"Retry-After": "3600"})
FORBIDDEN = Answer.of({"error": {"code": "AuthorizationFailure", "message": "m"}}, 403)


def refusing(host: str, how: Answer) -> Hooks:
    def before(call: Call) -> Answer | None:
        return how if host in call.host and call.method in {"PUT", "POST"} else None

    return Hooks(before=before)


def evidence(azure: Azure) -> list[dict[str, object]]:
    stored = containers(azure.world, "cmkautopilot").get("cmk-evidence")
    blobs = stored.blobs.values() if stored is not None else ()
    return [json.loads(line) for blob in blobs for line in bytes(blob.data).decode().splitlines()]


@pytest.mark.parametrize("how", [BUSY, FORBIDDEN], ids=["503", "403"])
def test_evidence_that_is_refused_for_a_day_is_all_there_afterwards_and_health_tells_meanwhile(how: Answer) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = refusing(".blob.core.windows.net", how)
        await azure.check(ONE)
        assert list(azure.app.journals.failures) == ["evidence"]
        await later(azure, hours=23)
        new_version(azure, NEW)
        await azure.check(ONE)
        await azure.check(OTHER)
        assert (azure.in_use(ONE), azure.in_use(OTHER), evidence(azure)) == (NEW, NEW, [])
        azure.world.hooks = Hooks()
        await report_poison(azure.app.context, "garbage")
        assert azure.app.journals.failures == {}
        moved = [text for line in evidence(azure) if "properties.encryption" in (text := json.dumps(line))]
        assert [sum(version in line for line in moved) for version in (MID, NEW)] == [2, 2]

    on_azure(estate(ONE, OTHER), story)


@pytest.mark.parametrize("how", [BUSY, FORBIDDEN], ids=["503", "403"])
@pytest.mark.parametrize("host", ["eventgrid.azure.net", "hooks.slack.com"])
def test_a_topic_or_webhook_that_refuses_for_a_day_holds_nothing_up_and_takes_what_comes_after(
    host: str, how: Answer
) -> None:
    lost = account("st3", key="gone")

    async def story(azure: Azure) -> None:
        azure.world.hooks = refusing(host, how)
        began = azure.time.now()
        await azure.check(lost)
        await azure.check(ONE)
        assert azure.in_use(ONE) == MID
        assert azure.time.now() - began < timedelta(seconds=30)
        await later(azure, hours=24)
        azure.world.hooks = Hooks()
        await azure.check(lost)
        await azure.drain(until=timedelta(hours=1))
        assert azure.app.journals.failures == {}
        assert len(azure.outcomes()) > 0
        assert len(posted(azure.world)) > 0

    on_azure(estate(ONE, lost), story, environ={"CMK_WEBHOOK": WEBHOOK, "CMK_WEBHOOK_FORM": "slack"})
