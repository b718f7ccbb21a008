from __future__ import annotations

from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from tests.support.azure import account, estate
from tests.support.whole_app import WholeApp, with_app

TOKEN = "eyJzM2NyZXQ.eyJvaWQi.c2ln"


@pytest.mark.parametrize(
    "cut_short",
    [{"access_token": TOKEN}, {"token": TOKEN}, {"access_token": TOKEN, "expires_on": "soon"}, {"error": f"x {TOKEN}"}],
    ids=["no expiry", "another name", "an odd expiry", "an error"],
)
def test_an_answer_with_a_token_that_the_sdk_cannot_read_leaves_no_token_in_the_log(cut_short: dict[str, Any]) -> None:
    async def story(app: WholeApp) -> None:
        inner = app.world.hooks

        def before(call: Call) -> Answer | None:
            return Answer.of(cut_short) if call.host == "127.0.0.1" else inner.before(call)

        app.world.hooks = Hooks(before, inner.after)
        answer = await app.get("health")
        assert answer.status == 503
        assert TOKEN not in str(answer.body)
        assert [line.text for line in app.lines if TOKEN in line.text] == []

    with_app(estate(account("st1")), story)
