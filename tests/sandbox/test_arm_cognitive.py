from typing import Any

import pytest

from sandbox.wire import Json
from tests.sandbox.arm_desk import ASSIGNED, NEW, NOW, OLD, SYSTEM, UAI, URI, VAULT, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, ended, revoke, rotate, wrong

TYPE = "Microsoft.CognitiveServices/accounts"
PLATFORM = {"keySource": "Microsoft.CognitiveServices"}


def pointing(version: str = NEW, name: str = "cmk1", uri: str = URI, **more: str) -> Json:
    pointer = {"keyVaultUri": uri, "keyName": name, "keyVersion": version, **more}
    return {"properties": {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": pointer}}}


def account(kind: str, **more: Any) -> Json:
    return body(TYPE, kind.lower(), pointing(OLD)["properties"], kind=kind, **more)


def _policies(at: Desk) -> None:
    vault = at.world.resources.get(VAULT)
    assert vault is not None
    keys = {"keys": ["get", "wrapKey", "unwrapKey"]}
    policies = [{"objectId": SYSTEM, "permissions": keys}]
    changed = {**vault["properties"], "enableRbacAuthorization": False, "accessPolicies": policies}
    at.world.resources.put({**vault, "properties": changed})


FORM = account("FormRecognizer")
AI = account("AIServices")
OPEN = account("OpenAI")


def test_an_account_moves_to_a_new_version_and_shows_no_version_in_use() -> None:
    at = desk(FORM, bits=2048)
    assert effective(at, FORM["id"]) == [OLD]
    assert ended(at, at.call("PATCH", FORM["id"], pointing()))["status"] == "Succeeded"
    assert effective(at, FORM["id"]) == [NEW]
    shown = at.get(FORM["id"])["properties"]["encryption"]["keyVaultProperties"]
    assert shown == pointing()["properties"]["encryption"]["keyVaultProperties"]


@pytest.mark.parametrize(
    "pointer",
    [
        pointing(""),  # auto-follow is documented for AIServices only
        pointing(OLD, "other"),  # 3072 bits
        pointing(OLD, "curve"),
        pointing(OLD, "cmk1", "https://far-kv.vault.azure.net"),
        pointing(OLD, "cmk1", "https://nowhere.vault.azure.net"),
        {"properties": {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": None}}},
    ],
)
def test_most_kinds_refuse_keys_without_a_version_of_3072_bits_or_from_another_region(pointer: Json) -> None:
    at = desk(FORM, bits=2048)
    assert wrong(at, "PATCH", FORM["id"], pointer) == "BadRequest"
    assert effective(at, FORM["id"]) == [OLD]


def test_an_identity_without_a_grant_or_a_version_that_cannot_wrap_is_the_vaults_access() -> None:
    at = desk(FORM, bits=2048)
    made = rotate(at)
    made.expires = NOW
    assert wrong(at, "PATCH", FORM["id"], pointing(NEWER)) == "AccessPolicyNotConfiguredForKeyVault"
    revoke(at)
    assert wrong(at, "PATCH", FORM["id"], pointing(NEW)) == "AccessPolicyNotConfiguredForKeyVault"


def test_the_system_identity_must_be_there_and_granted_before_the_key() -> None:
    bare = body(TYPE, "bare", {}, kind="Face") | {"identity": {"type": "None"}}
    at = desk(bare, bits=2048)
    sent = {"identity": {"type": "SystemAssigned"}, **pointing()}
    assert wrong(at, "PATCH", bare["id"], sent) == "AccessPolicyNotConfiguredForKeyVault"


def test_a_user_assigned_identity_is_named_by_its_client_id() -> None:
    both = {"type": "SystemAssigned,UserAssigned", "principalId": SYSTEM, "userAssignedIdentities": {UAI: {}}}
    at = desk(FORM | {"identity": both}, bits=2048)
    revoke(at)
    assert wrong(at, "PATCH", FORM["id"], pointing(identityClientId=ASSIGNED)) == ""
    assert wrong(at, "PATCH", FORM["id"], pointing(identityClientId=SYSTEM)) == "AccessPolicyNotConfiguredForKeyVault"


def test_an_account_goes_back_to_the_platforms_key_but_not_one_of_aiservices() -> None:
    at = desk(FORM, AI, bits=2048)
    back = {"properties": {"encryption": PLATFORM}}
    assert wrong(at, "PATCH", FORM["id"], back) == ""
    assert effective(at, FORM["id"]) == []
    assert at.get(FORM["id"])["properties"]["encryption"]["keySource"] == "Microsoft.CognitiveServices"
    assert wrong(at, "PATCH", AI["id"], back) == "BadRequest"


def test_aiservices_follow_within_a_day_in_the_vault_they_are_in() -> None:
    at = desk(AI)
    assert wrong(at, "PATCH", AI["id"], pointing("")) == ""
    rotate(at)
    assert effective(at, AI["id"]) == [NEW]
    at.later(days=1)
    assert effective(at, AI["id"]) == [NEWER]
    assert wrong(at, "PATCH", AI["id"], pointing(OLD, "cmk1", "https://far-kv.vault.azure.net")) == "BadRequest"


def test_openai_begins_only_with_a_vault_with_access_policies_and_its_own_identity() -> None:
    new = {**OPEN, "properties": {}}
    at = desk(new, bits=2048)
    assert wrong(at, "PATCH", new["id"], pointing()) == "BadRequest"
    _policies(at)
    assert wrong(at, "PATCH", new["id"], pointing(identityClientId=ASSIGNED)) == "BadRequest"
    assert wrong(at, "PATCH", new["id"], pointing()) == ""


def test_what_uses_a_vault_already_is_not_asked_again_what_vault_that_is() -> None:
    assert wrong(desk(OPEN, bits=2048), "PATCH", OPEN["id"], pointing()) == ""


def test_speech_has_no_key_of_its_own_and_neither_has_an_account_without_the_capability() -> None:
    speech = body(TYPE, "speech", {}, kind="SpeechServices")
    poor = body(TYPE, "poor", {"capabilities": [{"name": "VirtualNetworks"}]}, kind="Face")
    at = desk(speech, poor, bits=2048)
    for one in (speech, poor):
        assert at.refused("PATCH", one["id"], pointing()) == (400, "BadRequest")


def test_read_only_members_that_are_sent_are_ignored() -> None:
    at = desk(body(TYPE, "odd", {"internalId": "1"}, kind="Face"), bits=2048)
    path = FORM["id"].replace("formrecognizer", "odd")
    ended(at, at.call("PATCH", path, {"properties": {"internalId": "2", "provisioningState": "Mine"}}))
    assert at.get(path)["properties"] == {"internalId": "1", "provisioningState": "Succeeded"}


def test_an_encryption_scope_has_a_key_of_its_own_and_its_accounts_identity() -> None:
    at = desk(FORM, bits=2048)
    path = f"{FORM['id']}/encryptionScopes/one"
    encryption = pointing()["properties"]["encryption"]
    made = at.call("PUT", path, {"properties": {"state": "Enabled", **encryption}})
    assert (made.status, effective(at, path)) == (201, [NEW])
    assert [one["name"] for one in at.get(f"{FORM['id']}/encryptionScopes")["value"]] == ["one"]
    revoke(at)
    assert at.refused("PUT", path, {"properties": encryption}) == (400, "AccessPolicyNotConfiguredForKeyVault")
    assert at.refused("PATCH", path, {})[0] == 405


def test_a_follower_of_an_estate_begins_with_what_is_latest() -> None:
    follower = body(TYPE, "f", pointing("")["properties"], kind="AIServices")
    assert effective(desk(follower), follower["id"]) == [NEW]
