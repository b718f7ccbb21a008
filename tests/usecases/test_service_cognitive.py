"""Azure AI services on the sandbox: what moves, what follows, what each kind refuses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Stopped, Waiting
from tests.support.azure import MID, OLD, Azure, on_azure
from tests.support.keyed import KEY, at_rest, differences, example, grant, in_effect, moves, revoke, script, using, wish
from tests.support.policies import allowing

FORMS = example("cognitiveservices_accounts-pinned")
FOUNDRY = example("cognitiveservices_accounts-following")
ASSIGNED = example("cognitiveservices_accounts-assigned")
OPENAI = example("cognitiveservices_accounts-openai")
UNNAMED = example("cognitiveservices_accounts-unnamed")  # OpenAI, and no key version
SPEECH = example("cognitiveservices_accounts-speech")
PLATFORM = example("cognitiveservices_accounts-platform")
SCOPE = example("cognitiveservices_accounts_encryptionscopes-pinned")
POINTER = "properties.encryption.keyVaultProperties"


def test_an_account_moves_by_a_long_operation_and_nothing_but_its_version_changes() -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, FORMS)
        (first,) = await azure.check(FORMS)
        assert isinstance(first.outcome, Waiting)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.CONFIGURED
        assert in_effect(azure, FORMS) == [MID]
        assert differences(before, at_rest(azure, FORMS)) == {f"{POINTER}.keyVersion": MID}
        await azure.check(FORMS)
        assert len(azure.calls("write")) == 1

    on_azure(using(FORMS, size=2048), story)


def test_a_version_of_3072_bits_is_never_sent_to_a_kind_whose_documents_say_2048() -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(FORMS)
        assert report.reasons == (Reason.KEY_TYPE_NOT_ACCEPTED,)
        assert azure.calls("write") == []

    on_azure(using(FORMS, size=3072), story)


def test_what_only_documents_say_takes_a_rule_that_allows_it(tmp_path: Path) -> None:
    async def refused(azure: Azure) -> None:
        (report,) = await azure.check(ASSIGNED)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)
        assert "may: [unproven]" in str(report.outcome)
        assert azure.calls("write") == []

    async def allowed(azure: Azure) -> None:
        before = at_rest(azure, ASSIGNED)
        await azure.check(ASSIGNED)
        await azure.drain(until=timedelta(minutes=10))
        assert in_effect(azure, ASSIGNED) == [MID]
        assert differences(before, at_rest(azure, ASSIGNED)) == {f"{POINTER}.keyVersion": MID}

    on_azure(using(ASSIGNED), refused)
    on_azure(using(ASSIGNED), allowed, environ=allowing(tmp_path, "unproven"))


def test_a_follower_is_never_written_and_what_it_uses_stays_unknown() -> None:
    async def story(azure: Azure) -> None:
        end = (await azure.check(FOUNDRY))[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.UNKNOWN
        assert azure.calls("write") == []

    on_azure(using(FOUNDRY), story)


def test_a_rule_that_says_follow_moves_the_kinds_that_can_and_leaves_the_others_pinned(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for one in (ASSIGNED, OPENAI):
            await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        assert at_rest(azure, ASSIGNED)["properties"]["encryption"]["keyVaultProperties"]["keyVersion"] == ""
        assert at_rest(azure, OPENAI)["properties"]["encryption"]["keyVaultProperties"]["keyVersion"] == MID

    policies = {"enableRbacAuthorization": False, "accessPolicies": [_policy(ASSIGNED), _policy(OPENAI)]}
    described = using(ASSIGNED, OPENAI, size=2048, vault=policies)
    on_azure(described, story, environ=allowing(tmp_path, "unproven", version="follow"))


def _policy(body: dict[str, Any]) -> dict[str, Any]:
    who = body["identity"]
    assigned = [one["principalId"] for one in who.get("userAssignedIdentities", {}).values()]
    permissions = {"keys": ["get", "list", "wrapKey", "unwrapKey"]}
    return {"objectId": (assigned or [who["principalId"]])[0], "permissions": permissions}


def test_openai_moves_within_the_vault_that_it_uses_already() -> None:
    async def story(azure: Azure) -> None:
        await azure.check(OPENAI)
        await azure.drain(until=timedelta(minutes=10))
        assert in_effect(azure, OPENAI) == [MID]

    on_azure(using(OPENAI, size=2048), story)


def test_openai_never_follows_so_an_account_that_names_no_version_gets_the_newest() -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, UNNAMED)
        await azure.check(UNNAMED)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Converged)
        assert end.outcome.certainty is Certainty.CONFIGURED
        assert end.reasons == ()
        assert differences(before, at_rest(azure, UNNAMED)) == {f"{POINTER}.keyVersion": MID}
        assert in_effect(azure, UNNAMED) == [MID]

    on_azure(using(UNNAMED, size=2048), story)


def test_an_account_of_which_no_source_says_that_it_follows_says_what_would_settle_it(tmp_path: Path) -> None:
    forms = {**UNNAMED, "kind": "FormRecognizer"}

    async def told(azure: Azure) -> None:
        await azure.check(forms)
        await azure.drain(until=timedelta(days=2))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Converged)
        assert end.outcome.certainty is Certainty.UNKNOWN
        assert end.reasons == (Reason.EFFECT_NOT_TOLD,)
        assert "no source says that it follows" in end.outcome.doubts[0].detail
        assert "version: pin" in azure.outcomes()[-1]["data"]["remedies"]["effect_not_told"]
        assert azure.calls("write") == []

    async def settled(azure: Azure) -> None:
        await azure.check(forms)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Converged)
        assert end.outcome.certainty is Certainty.CONFIGURED
        assert at_rest(azure, forms)["properties"]["encryption"]["keyVaultProperties"]["keyVersion"] == MID

    on_azure(using(forms, size=2048), told)
    on_azure(using(forms, size=2048), settled, environ=allowing(tmp_path, version="pin"))


def test_a_grant_that_is_not_there_fails_at_the_end_and_is_waited_for() -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        await azure.check(FORMS)
        await azure.drain(until=timedelta(minutes=3))
        waiting = [report for report in azure.reports if Reason.KEY_ACCESS_DENIED in report.reasons]
        assert waiting
        assert in_effect(azure, FORMS) == [OLD]
        grant(azure, FORMS["identity"]["principalId"])
        await azure.drain(until=timedelta(hours=2))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert in_effect(azure, FORMS) == [MID]

    on_azure(using(FORMS, size=2048), story)


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_an_operation_that_fails_soon_or_late_is_told_in_azures_words_beside_what_was_sent(seconds: int) -> None:
    async def story(azure: Azure) -> None:
        script(azure, do="fail", seconds=seconds, code="AccountIsOdd", message="Not today.")
        await azure.check(FORMS)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1]
        assert end.reasons == (Reason.REFUSED,)
        assert "AccountIsOdd: Not today." in str(end.outcome)
        assert [write.slot for write in moves(azure.reports)] == ["encryption"]

    on_azure(using(FORMS, size=2048), story)


def test_a_scope_is_found_by_its_account_and_put_back_whole(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, SCOPE)
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=10))
        assert {one.slot for one in moves(azure.reports)} == {"encryption"}
        assert in_effect(azure, SCOPE) == in_effect(azure, FORMS) == [MID]
        assert differences(before, at_rest(azure, SCOPE)) == {"properties.keyVaultProperties.keyVersion": MID}

    on_azure(using(FORMS, SCOPE, size=2048), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_scope_is_not_put_without_a_rule_that_allows_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(SCOPE)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)
        assert azure.calls("write") == []

    on_azure(using(FORMS, SCOPE, size=2048), story, environ=allowing(tmp_path, "unproven"))


def test_an_account_goes_to_a_key_of_yours_and_back(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wish(azure, PLATFORM, key=KEY)
        await azure.drain(until=timedelta(minutes=10))
        assert in_effect(azure, PLATFORM) == [MID]
        await wish(azure, PLATFORM, revert=True)
        await azure.drain(until=timedelta(minutes=10))
        assert in_effect(azure, PLATFORM) == []
        assert at_rest(azure, PLATFORM)["properties"]["encryption"]["keySource"] == "Microsoft.CognitiveServices"

    on_azure(using(PLATFORM, size=2048), story, environ=allowing(tmp_path))


def test_another_identity_is_named_by_its_client_id(tmp_path: Path) -> None:
    identity = ASSIGNED["identity"]
    (id_,) = identity["userAssignedIdentities"]
    one = {**FORMS, "identity": identity}

    async def story(azure: Azure) -> None:
        await wish(azure, one, key=f"{KEY[:-3]}other", identity=id_)
        await azure.drain(until=timedelta(minutes=10))
        pointer = at_rest(azure, one)["properties"]["encryption"]["keyVaultProperties"]
        assert pointer["identityClientId"] == identity["userAssignedIdentities"][id_]["clientId"]
        assert pointer["keyName"] == "other"

    on_azure(using(one, size=2048), story, environ=allowing(tmp_path))


@pytest.mark.parametrize(
    ("one", "wanted", "reason"),
    [
        (SPEECH, {"key": KEY}, Reason.KEY_IS_AT_STORAGE),
        (SPEECH, {"revert": True}, Reason.KEY_IS_AT_STORAGE),
        (FOUNDRY, {"revert": True}, Reason.NO_WAY_BACK),
        (OPENAI, {"version": Version.FOLLOW}, Reason.NEVER_FOLLOWS),
        (OPENAI, {"key": f"{KEY[:-3]}other", "version": Version.FOLLOW}, Reason.NEVER_FOLLOWS),
        ({**PLATFORM, "kind": "ContentModerator"}, {"key": KEY}, Reason.REQUEST_FORM),
        (FORMS, {"version": Version.FOLLOW}, Reason.NOT_ALLOWED_BY_RULE),
        ({**PLATFORM, "kind": "AIServices"}, {"key": KEY}, Reason.NOT_ALLOWED_BY_RULE),
    ],
    ids=lambda value: value.get("kind", "") if isinstance(value, dict) else "",
)
def test_what_a_kind_cannot_do_is_told_and_nothing_is_written(
    one: dict[str, Any], wanted: dict[str, Any], reason: Reason, tmp_path: Path
) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, one, **wanted)
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (reason,)
        assert azure.calls("write") == []

    on_azure(using(one, size=2048), story, environ=allowing(tmp_path))


def test_the_system_assigned_identity_takes_the_place_of_one_that_was_named(tmp_path: Path) -> None:
    both = {**FORMS["identity"], **ASSIGNED["identity"], "type": "SystemAssigned, UserAssigned"}
    client = next(iter(ASSIGNED["identity"]["userAssignedIdentities"].values()))["clientId"]
    encryption = FORMS["properties"]["encryption"]
    named = {**encryption, "keyVaultProperties": {**encryption["keyVaultProperties"], "identityClientId": client}}
    one = {**FORMS, "identity": both, "properties": {**FORMS["properties"], "encryption": named}}

    async def story(azure: Azure) -> None:
        await wish(azure, one, key=f"{KEY[:-3]}other", identity="system")
        await azure.drain(until=timedelta(minutes=10))
        pointer = at_rest(azure, one)["properties"]["encryption"]["keyVaultProperties"]
        assert pointer["keyName"] == "other"
        assert not pointer.get("identityClientId")

    on_azure(using(one, size=2048), story, environ=allowing(tmp_path))
