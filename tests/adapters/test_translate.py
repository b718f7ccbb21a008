from __future__ import annotations

import json
from datetime import timedelta

import pytest
from azure.core.exceptions import ClientAuthenticationError

from sandbox.blobs import containers
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.adapters.translate import translate
from shared.domain.reasons import Reason
from shared.domain.report import Waiting
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure
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
        assert not any("\n[x] forged" in line.text or "\r" in line.text for line in lines)
        assert "Odd" in str(report)
        assert any("Odd" in text for text in kept)

    on_azure(estate(one), story)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("ScopeLocked", 409, Reason.SCOPE_LOCKED),
        ("RequestDisallowedByPolicy", 403, Reason.DENIED_BY_POLICY),
        ("DenyAssignmentAuthorizationFailed", 403, Reason.DENY_ASSIGNMENT),
        ("LinkedAuthorizationFailed", 403, Reason.LINKED_AUTHORIZATION),
        ("AuthorizationFailed", 403, Reason.NO_RIGHTS),
        ("InvalidAuthenticationToken", 401, Reason.NO_RIGHTS),
        ("MissingSubscriptionRegistration", 409, Reason.PROVIDER_NOT_REGISTERED),
        ("QuotaExceeded", 409, Reason.QUOTA),
        ("ResourceQuotaExceeded", 409, Reason.QUOTA),
        ("RoleAssignmentLimitExceeded", 400, Reason.QUOTA),
        ("KeyVaultPolicyError", 400, Reason.VAULT_NOT_PROTECTED),
        ("KeyVaultAuthenticationFailure", 400, Reason.KEY_ACCESS_DENIED),
        ("KeyVaultAccessForbidden", 403, Reason.KEY_ACCESS_DENIED),
        ("AzureKeyVaultMissingPermissions", 400, Reason.KEY_ACCESS_DENIED),
        ("ManagedServiceIdentityNotFound", 400, Reason.KEY_ACCESS_DENIED),
        ("UserErrorCMKKeyVaultAuthFailure", 400, Reason.KEY_ACCESS_DENIED),
        ("OperationNotAllowed", 409, Reason.CONFLICT),
        ("PreconditionFailed", 412, Reason.CONFLICT),
        ("Locked", 423, Reason.CONFLICT),
        ("RequestTimeout", 408, Reason.SERVICE_UNAVAILABLE),
    ],
)
def test_each_refusal_of_a_write_has_its_own_reason_and_the_resource_stays_as_it_was(
    code: str, status: int, reason: Reason
) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        refused = Answer.of({"error": {"code": code, "message": "no"}}, status)
        azure.world.hooks = Hooks(before=lambda call: refused if call.method == "PATCH" else None)
        (report,) = await azure.check(one)
        assert report.reasons == (reason,)
        assert azure.in_use(one) == OLD

    on_azure(estate(one), story)


def test_a_missing_piece_that_a_write_refers_to_does_not_pass_for_a_resource_that_is_gone() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        missing = Answer.of({"error": {"code": "UserAssignedIdentityNotFound", "message": "no"}}, 404)
        azure.world.hooks = Hooks(before=lambda call: missing if call.path.endswith("/st1") else None)
        (report,) = await azure.check(one)
        assert report.reasons == (Reason.REFUSED,)

    on_azure(estate(one), story)


def test_what_is_said_where_no_token_could_be_had_is_not_repeated() -> None:
    found = translate(ClientAuthenticationError("the endpoint said access_token secret-of-mine"))
    assert found.reason is Reason.SERVICE_UNAVAILABLE
    assert "secret-of-mine" not in found.detail
