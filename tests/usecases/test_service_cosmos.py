"""Azure Cosmos DB on the sandbox: accounts follow, always, and say what is in effect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Stopped, Waiting
from shared.services.cosmos import ACCOUNTS
from tests.support.azure import MID, NEW, OLD, Azure, on_azure
from tests.support.keyed import KEY, at_rest, differences, example, in_effect, new_version, revoke, using, wish
from tests.support.policies import allowing

OWN = {"defaultIdentity": "SystemAssignedIdentity"}
FOLLOWER = example("documentdb_databaseaccounts-following")
FOLLOWER["properties"].update(OWN)
PLATFORM = example("documentdb_databaseaccounts-platform")
PLATFORM["properties"].update(OWN)
VERSIONED = example("documentdb_databaseaccounts-versioned")
VERSIONED["properties"].update(OWN)
OTHER = f"{KEY[:-3]}other"


def test_an_account_is_never_written_and_verified_once_it_took_the_version_up() -> None:
    async def story(azure: Azure) -> None:
        new_version(azure, NEW)
        await azure.check_key()
        assert azure.reports[-1].reasons == (Reason.FOLLOWS_BY_ITSELF,)
        await azure.drain(until=timedelta(hours=30))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED
        assert at_rest(azure, FOLLOWER)["properties"]["keyVaultKeyUriVersion"] == NEW
        assert azure.calls("write") == []

    on_azure(using(FOLLOWER), story)


def test_an_account_without_access_that_stays_behind_is_told_of_after_its_time() -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        await azure.check(FOLLOWER)
        await azure.drain(until=timedelta(hours=50))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Stopped)
        assert end.reasons == (Reason.FOLLOW_OVERDUE,)
        assert in_effect(azure, FOLLOWER) == [OLD]

    on_azure(using(FOLLOWER), story)


def test_an_account_that_tells_of_lost_access_is_told_of_at_once_in_its_words() -> None:
    status = "Access to your account is currently revoked because the key is disabled."
    revoked = {**FOLLOWER, "properties": {**FOLLOWER["properties"], "customerManagedKeyStatus": status}}

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(revoked)
        assert report.reasons == (Reason.FOLLOW_FAILED,)
        assert status in str(report.outcome)

    on_azure(using(revoked), story)


def test_another_key_is_taken_by_an_operation_that_answers_200_and_is_not_done() -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, FOLLOWER)
        (first,) = await wish(azure, FOLLOWER, key=OTHER)
        assert isinstance(first.outcome, Waiting)
        assert at_rest(azure, FOLLOWER)["properties"]["keyVaultKeyUri"] == KEY
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED
        changed = differences(before, at_rest(azure, FOLLOWER))
        assert changed.pop("properties.customerManagedKeyStatus")
        assert changed == {"properties.keyVaultKeyUri": OTHER, "properties.keyVaultKeyUriVersion": MID}
        assert len(azure.calls("write")) == 1

    on_azure(using(FOLLOWER), story)


def test_a_first_key_is_for_good_so_a_rule_must_allow_it(tmp_path: Path) -> None:
    async def refused(azure: Azure) -> None:
        (report,) = await wish(azure, PLATFORM, key=KEY)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)
        assert "may: [irreversible]" in str(report.outcome)
        assert azure.calls("write") == []

    async def allowed(azure: Azure) -> None:
        await wish(azure, PLATFORM, key=KEY)
        await azure.drain(until=timedelta(minutes=10))
        properties = at_rest(azure, PLATFORM)["properties"]
        assert (properties["keyVaultKeyUri"], properties["keyVaultKeyUriVersion"]) == (KEY, MID)

    on_azure(using(PLATFORM), refused)
    on_azure(using(PLATFORM), allowed, environ=allowing(tmp_path, "irreversible"))


def test_a_wish_for_an_account_that_cannot_get_a_key_later_is_answered_before_anything_is_sent(tmp_path: Path) -> None:
    cassandra = {**PLATFORM, "properties": {**PLATFORM["properties"], "capabilities": [{"name": "EnableCassandra"}]}}

    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, cassandra, key=KEY)
        assert report.reasons == (Reason.NOT_CAPABLE,)
        assert "Cassandra" in str(report.outcome)
        assert azure.calls("write") == []

    on_azure(using(cassandra), story, environ=allowing(tmp_path, "irreversible"))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"revert": True}, Reason.NO_WAY_BACK),
        ({"version": Version.PIN}, Reason.ALWAYS_FOLLOWS),
        ({"key": OTHER, "version": Version.PIN}, Reason.ALWAYS_FOLLOWS),
    ],
)
def test_what_an_account_cannot_do_is_told_and_nothing_is_written(wanted: dict[str, Any], reason: Reason) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, FOLLOWER, **wanted)
        assert report.reasons == (reason,)
        assert azure.calls("write") == []

    on_azure(using(FOLLOWER), story)


def test_a_rule_that_says_pin_leaves_a_follower_a_follower(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(FOLLOWER)
        await azure.drain(until=timedelta(hours=30))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert azure.calls("write") == []

    on_azure(using(FOLLOWER), story, environ=allowing(tmp_path, version="pin"))


def test_a_key_of_another_tenant_is_known_by_the_federated_client() -> None:
    chosen = "UserAssignedIdentity=/subscriptions/x&FederatedClientId=11111111-1111-4111-8111-111111111111"
    (use,) = ACCOUNTS.read({"properties": {**FOLLOWER["properties"], "defaultIdentity": chosen}})
    assert use.tenant_is_foreign


def test_an_account_that_names_a_version_is_told_of_by_a_reason_of_its_own() -> None:
    async def story(azure: Azure) -> None:
        await azure.check(VERSIONED)
        await azure.drain(until=timedelta(hours=50))
        assert {one.reasons for one in azure.reports} == {(Reason.VERSION_NOT_TAKEN,)}
        assert azure.calls("write") == []

    on_azure(using(VERSIONED), story)


def test_a_rule_that_says_follow_takes_the_version_out_of_the_uri(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, VERSIONED)
        await azure.check(VERSIONED)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED
        changed = differences(before, at_rest(azure, VERSIONED))
        assert changed.pop("properties.customerManagedKeyStatus")
        assert changed == {"properties.keyVaultKeyUri": KEY, "properties.keyVaultKeyUriVersion": MID}

    on_azure(using(VERSIONED), story, environ=allowing(tmp_path, version="follow"))


def test_an_account_that_shows_a_newer_version_than_it_names_follows_all_the_same() -> None:
    moved = {**VERSIONED, "properties": {**VERSIONED["properties"], "keyVaultKeyUriVersion": MID}}

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(moved)
        assert isinstance(report.outcome, Converged)
        assert report.outcome.certainty is Certainty.REPORTED

    on_azure(using(moved), story)
