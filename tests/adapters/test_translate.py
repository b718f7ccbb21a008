from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sandbox.blobs import containers
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.report import Waiting
from tests.support.azure import MID, Azure, account, estate, on_azure
from tests.support.watching import Line, collecting

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


@pytest.mark.parametrize(
    ("told", "secret"),
    [
        ("header Authorization: Bearer s3cretT0ken, refused", "s3cretT0ken"),
        ("token eyJhbGciOi.eyJhdWQi.c2lnbmF0dXJl is not ours", "eyJhdWQi"),
        ("GET https://st1.blob.core.windows.net/c?sv=1&sig=c2lnbmF0dXJl&se=2", "c2lnbmF0dXJl"),
        ("SharedKey st1:c2lnbmF0dXJl does not match", "c2lnbmF0dXJl"),
        ("DefaultEndpointsProtocol=https;AccountKey=a2V5a2V5==;", "a2V5a2V5"),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 409, 500])
def test_no_secret_in_azures_words_reaches_log_report_or_evidence(told: str, secret: str, status: int) -> None:
    one, lines = account("st1"), list[Line]()

    async def story(azure: Azure) -> None:
        refused = Answer.of({"error": {"code": "Odd", "message": f"{told}\r\n[x] forged {'y' * 5000}"}}, status)
        azure.world.hooks = Hooks(before=lambda call: refused if call.method == "PATCH" else None)
        with collecting(lines):
            (report,) = await azure.check(one)
        stored = containers(azure.world, "cmkautopilot")["cmk-evidence"].blobs.values()
        kept = [bytes(blob.data).decode() for blob in stored]
        for text in (str(report), json.dumps(azure.outcomes()), *(line.text for line in lines), *kept):
            assert secret not in text
            assert "y" * 400 not in text
        assert "Odd" in str(report)
        assert any("Odd" in text for text in kept)

    on_azure(estate(one), story)
