import pytest

from sandbox.arm.keyed.cosmos import APPLICATION
from sandbox.identity import principal_of
from sandbox.wire import Json
from tests.sandbox.arm_desk import NEW, OLD, SYSTEM, UAI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, ended, grant, key, revoke, rotate, wrong

TYPE = "Microsoft.DocumentDB/databaseAccounts"


def uri(text: str | None) -> Json:
    return {"properties": {"keyVaultKeyUri": text}}


DB = body(TYPE, "db", {"keyVaultKeyUri": key(), "keyVaultKeyUriVersion": OLD, "defaultIdentity": "FirstPartyIdentity"})
PLAIN = body(TYPE, "plain", {"capabilities": []}, location="West Europe")
OTHER = key().replace("cmk1", "other")


@pytest.fixture
def at() -> Desk:
    found = desk(DB, PLAIN)
    grant(found, principal_of(found.world, APPLICATION))
    return found


def test_a_write_answers_200_with_the_body_and_has_still_to_be_polled(at: Desk) -> None:
    answer = at.call("PATCH", DB["id"], uri(OTHER))
    assert (answer.status, answer.json()["properties"]["provisioningState"]) == (200, "Updating")
    assert at.call("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Dequeued"
    assert at.get(DB["id"])["properties"]["keyVaultKeyUri"] == key()
    assert ended(at, answer)["status"] == "Succeeded"
    after = at.get(DB["id"])["properties"]
    assert (after["provisioningState"], after["keyVaultKeyUri"], after["keyVaultKeyUriVersion"]) == (
        "Succeeded",
        OTHER,
        OLD,
    )


def test_a_second_write_meanwhile_finds_the_account_locked(at: Desk) -> None:
    at.call("PATCH", DB["id"], uri(OTHER))
    assert at.refused("PATCH", DB["id"], uri(key())) == (412, "PreconditionFailed")


def test_the_latest_version_is_taken_up_within_a_day_and_shown(at: Desk) -> None:
    rotate(at)
    assert at.get(DB["id"])["properties"]["keyVaultKeyUriVersion"] == OLD
    at.later(days=1)
    assert at.get(DB["id"])["properties"]["keyVaultKeyUriVersion"] == NEWER


def test_a_key_is_enabled_later_and_never_left_again(at: Desk) -> None:
    assert wrong(at, "PATCH", PLAIN["id"], uri(key())) == ""
    assert effective(at, PLAIN["id"]) == [NEW]
    for back in ("", None):
        assert at.refused("PATCH", PLAIN["id"], uri(back)) == (400, "BadRequest")


@pytest.mark.parametrize("text", [key(NEW), "https://far-kv.vault.azure.net/keys/cmk1", "https://x/secrets/y", "y"])
def test_a_version_another_vault_and_what_is_no_key_are_refused(at: Desk, text: str) -> None:
    assert at.refused("PATCH", DB["id"], uri(text)) == (400, "BadRequest")


def test_without_a_grant_the_operation_fails_and_the_account_keeps_its_key(at: Desk) -> None:
    revoke(at, principal_of(at.world, APPLICATION))
    assert wrong(at, "PATCH", DB["id"], uri(OTHER)) == "Forbidden"
    assert at.get(DB["id"])["properties"]["keyVaultKeyUri"] == key()


def test_the_first_partys_object_id_is_the_worlds_own() -> None:
    assert principal_of(desk().world, APPLICATION) != principal_of(desk(seed=2).world, APPLICATION)


def test_the_default_identity_may_be_the_accounts_own_or_an_attached_one(at: Desk) -> None:
    revoke(at, principal_of(at.world, APPLICATION))
    own = {"properties": {"defaultIdentity": "SystemAssignedIdentity", "keyVaultKeyUri": key()}}
    assert wrong(at, "PATCH", PLAIN["id"], own) == ""
    named = {"properties": {"defaultIdentity": f"UserAssignedIdentity={UAI}", "keyVaultKeyUri": OTHER}}
    assert wrong(at, "PATCH", PLAIN["id"], named) == "Forbidden"
    both = {"type": "SystemAssigned,UserAssigned", "principalId": SYSTEM, "userAssignedIdentities": {UAI: {}}}
    assert wrong(at, "PATCH", PLAIN["id"], {"identity": both, **named}) == ""


@pytest.mark.parametrize(
    "properties",
    [
        {"capabilities": [{"name": "EnableCassandra"}]},
        {"capabilities": [{"name": "EnableNoSQLVectorSearch"}]},
        {"backupPolicy": {"type": "Continuous"}},
        {"enableAnalyticalStorage": True},
    ],
)
def test_some_accounts_cannot_get_a_key_once_they_exist(properties: Json) -> None:
    poor = body(TYPE, "poor", properties)
    assert desk(poor).refused("PATCH", poor["id"], uri(key())) == (400, "BadRequest")


def test_a_write_that_does_not_speak_of_the_key_does_not_need_it(at: Desk) -> None:
    revoke(at, principal_of(at.world, APPLICATION))
    assert wrong(at, "PATCH", DB["id"], {"properties": {"publicNetworkAccess": "Disabled"}}) == ""
    assert at.get(DB["id"])["properties"]["publicNetworkAccess"] == "Disabled"
