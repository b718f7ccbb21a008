"""Members of bodies are taken in any case, and shown as the service spells them."""

from __future__ import annotations

import pytest

from sandbox.arm.naming import model, spelled
from sandbox.wire import Json
from tests.sandbox.arm_desk import ACCOUNT, NEW, OLD, URI, account
from tests.sandbox.keyed_desk import body, desk, effective, ended, key

POINTER = {"KeyVaultUri": URI, "KeyName": "cmk1", "KeyVersion": NEW}


def test_a_storage_account_takes_the_spelling_of_templates_and_shows_its_own() -> None:
    at = desk(account())
    sent = {"Properties": {"Encryption": {"KeySource": "Microsoft.Keyvault", "keyVaultProperties": POINTER}}}
    shown = at.patch(ACCOUNT, sent)["properties"]
    assert shown["encryption"]["keyvaultproperties"]["keyversion"] == NEW
    assert set(shown["encryption"]) == {"services", "keySource", "keyvaultproperties"}


def test_a_service_with_a_rule_of_its_own_takes_any_case_and_shows_no_member_twice() -> None:
    encryption: Json = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": {"keyVaultUri": URI}}
    encryption["keyVaultProperties"] |= {"keyName": "cmk1", "keyVersion": OLD}
    one = body("Microsoft.CognitiveServices/accounts", "ai", {"encryption": encryption}, kind="TextAnalytics")
    at = desk(one, bits=2048)
    ended(at, at.call("PATCH", one["id"], {"PROPERTIES": {"encryption": {"KEYVAULTPROPERTIES": POINTER}}}))
    pointer = {**encryption["keyVaultProperties"], "keyVersion": NEW}
    assert at.get(one["id"])["properties"]["encryption"] == {**encryption, "keyVaultProperties": pointer}
    assert effective(at, one["id"]) == [NEW]


def test_an_estate_may_spell_members_as_it_likes() -> None:
    one = body("Microsoft.DocumentDB/databaseAccounts", "db", {})
    del one["properties"]
    at = desk({**one, "Properties": {"KeyVaultKeyURI": key(), "DefaultIdentity": "SystemAssignedIdentity"}})
    assert at.get(one["id"])["properties"]["keyVaultKeyUri"] == key()
    assert effective(at, one["id"]) == [NEW]


@pytest.mark.parametrize("free", ["tags", "userAssignedIdentities"])
def test_what_people_name_keeps_its_case(free: str) -> None:
    sent = {"Tags": {"Owner": "a"}, "identity": {"UserAssignedIdentities": {"/X/Y": {}}}}
    found = spelled(sent, model("Microsoft.Storage/storageAccounts"), {"tags": {"owner": "b"}})
    assert found["tags"] == {"Owner": "a"}
    assert found["identity"]["userAssignedIdentities"] == {"/X/Y": {}}
    assert free in {**found, **found["identity"]}


def test_the_model_says_how_a_name_is_spelled_and_the_stored_body_what_it_does_not_know() -> None:
    type_ = "Microsoft.EventHub/namespaces"
    sent = {"properties": {"zoneredundant": True, "unknown": 1, "encryption": {"KeyVaultProperties": [POINTER]}}}
    found = spelled(sent, model(type_), {"properties": {"zoneRedundant": False}})["properties"]
    assert found["zoneRedundant"]
    assert found["unknown"] == 1
    assert found["encryption"]["keyVaultProperties"] == [{"keyVaultUri": URI, "keyName": "cmk1", "keyVersion": NEW}]
