from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.report import Waiting
from tests.support.azure import MID, Azure, account, estate, on_azure

EXPIRED = Answer.of({"error": {"code": "ExpiredAuthenticationToken", "message": "The access token has expired."}}, 401)
CUT_SHORT = Answer(400, {"Content-Type": "application/json"}, b'{"error": {"code": "KeyVaultAuth')


@pytest.mark.parametrize("odd", [EXPIRED, CUT_SHORT], ids=["an expired token", "an error that was cut short"])
def test_what_passes_by_itself_is_waited_out(odd: Answer) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def spoil(call: Call, answer: Answer) -> Answer:
            return odd if call.path.endswith("/st1") else answer

        azure.world.hooks = Hooks(after=spoil)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=2))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)
