from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.arm_desk import (
    ACCOUNT,
    ASSIGNED,
    GROUP,
    NEW,
    NOW,
    OLD,
    SCOPE,
    SYSTEM,
    UAI,
    URI,
    VAULT,
    Desk,
    account,
    estate,
    pinned,
    scope,
)


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account(), scope()))


def _key(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["properties"]["encryption"]["keyvaultproperties"]
    return found


def test_a_pinned_account_moves_at_once_and_reports_the_version_in_effect(desk: Desk) -> None:
    found = _key(desk.patch(ACCOUNT, {"properties": {"encryption": pinned(NEW)}}))
    assert found["currentVersionedKeyIdentifier"] == f"{URI}/keys/cmk1/{NEW}"
    assert found["lastKeyRotationTimestamp"] == "2026-11-02T08:00:00.0000000Z"
    assert found["currentVersionedKeyExpirationTimestamp"] == "2027-10-01T00:00:00Z"
    assert _key(desk.get(ACCOUNT)) == found


def test_writing_the_same_version_again_leaves_the_time_of_rotation(desk: Desk) -> None:
    before = _key(desk.get(ACCOUNT))["lastKeyRotationTimestamp"]
    desk.later(hours=1)
    assert _key(desk.patch(ACCOUNT, {"properties": {"encryption": pinned(OLD)}}))["lastKeyRotationTimestamp"] == before


def test_read_only_members_that_are_sent_are_ignored(desk: Desk) -> None:
    encryption = pinned(OLD)
    encryption["keyvaultproperties"] |= {"currentVersionedKeyIdentifier": "x", "lastKeyRotationTimestamp": "y"}
    sent = {"encryption": encryption, "creationTime": "never", "provisioningState": "Odd"}
    body = desk.patch(ACCOUNT, {"properties": sent})
    assert _key(body)["currentVersionedKeyIdentifier"].endswith(OLD)
    assert body["properties"]["creationTime"] == "2026-01-01T00:00:00.0000000Z"
    assert body["properties"].get("provisioningState") != "Odd"


def test_what_a_patch_leaves_out_survives_and_so_do_unknown_fields(desk: Desk) -> None:
    desk.patch(ACCOUNT, {"tags": {"a": "b"}, "properties": {"tomorrow": {"x": [1]}, "encryption": {"later": 1}}})
    body = desk.patch(ACCOUNT, {"properties": {"encryption": pinned(NEW)}})
    assert body["tags"] == {"a": "b"}
    assert body["properties"]["tomorrow"] == {"x": [1]}
    assert body["properties"]["encryption"]["later"] == 1
    assert body["properties"]["encryption"]["services"] == {"blob": {"keyType": "Account", "enabled": True}}


@pytest.mark.parametrize("version", ["", None])
def test_an_empty_or_null_version_follows_what_is_latest(desk: Desk, version: str | None) -> None:
    encryption = pinned("")
    encryption["keyvaultproperties"]["keyversion"] = version
    body = desk.patch(ACCOUNT, {"properties": {"encryption": encryption}})
    assert _key(body).get("keyversion", "") == ""
    assert _key(body)["currentVersionedKeyIdentifier"].endswith(NEW)


def test_an_account_goes_back_to_the_platforms_key(desk: Desk) -> None:
    body = desk.patch(ACCOUNT, {"properties": {"encryption": {"keySource": "microsoft.storage"}}})
    assert body["properties"]["encryption"]["keySource"] == "Microsoft.Storage"
    assert "keyvaultproperties" not in body["properties"]["encryption"]


def test_a_vault_without_purge_protection_is_refused() -> None:
    desk = Desk(estate(account()))
    vault = desk.world.resources.get(VAULT)
    assert vault is not None
    desk.world.resources.put({**vault, "properties": {**vault["properties"], "enablePurgeProtection": None}})
    answer = desk.call("PATCH", ACCOUNT, {"properties": {"encryption": pinned(NEW)}})
    assert (answer.status, answer.json()) == (
        400,
        {"error": {"code": "KeyVaultPolicyError", "message": "Keyvault policy recoverable is not set"}},
    )


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("enabled", False),
        ("expires", NOW - timedelta(days=1)),
        ("not_before", NOW + timedelta(days=1)),
        ("bits", 4095),
        ("kty", "EC"),
        ("operations", ("sign", "unwrapKey")),
    ],
)
def test_a_version_that_cannot_wrap_is_refused_like_a_missing_permission(desk: Desk, change: str, value: Any) -> None:
    key = desk.world.keyring.get("contoso-kv", "cmk1")
    assert key is not None
    setattr(key.latest, change, value)
    assert desk.code(pinned(NEW)) == "KeyVaultAuthenticationFailure"
    assert desk.code(pinned("")) == "KeyVaultAuthenticationFailure"
    assert desk.code(pinned(OLD)) == ""


def test_an_identity_without_a_grant_is_refused(desk: Desk) -> None:
    for body in list(desk.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        if body["properties"]["principalId"] == SYSTEM:
            desk.call("DELETE", body["id"], version="2022-04-01")
    assert desk.code(pinned(NEW)) == "KeyVaultAuthenticationFailure"


def test_unknown_vaults_and_keys_are_refused_by_name(desk: Desk) -> None:
    elsewhere = {"keyvaulturi": "https://other.vault.azure.net", "keyname": "cmk1", "keyversion": ""}
    assert desk.code({"keySource": "Microsoft.Keyvault", "keyvaultproperties": elsewhere}) == "KeyVaultVaultNotFound"
    assert desk.code(pinned("f" * 32)) == "KeyVaultEncryptionKeyNotFound"
    nameless = {"keySource": "Microsoft.Keyvault", "keyvaultproperties": {"keyvaulturi": URI}}
    assert desk.code(nameless) == "InvalidValuesForRequestParameters"
    assert desk.code({"keySource": "Mine"}) == "InvalidValuesForRequestParameters"
    hsm = {"keyvaulturi": "https://x.managedhsm.azure.net", "keyname": "cmk1"}
    assert desk.code({"keySource": "Microsoft.Keyvault", "keyvaultproperties": hsm}) == "NotInSandbox"


def test_identities_that_are_not_sent_are_lost(desk: Desk) -> None:
    both = desk.patch(
        ACCOUNT, {"identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {UAI: {}}}}
    )["identity"]
    assert both["type"] == "SystemAssigned,UserAssigned"
    assert both["principalId"] == SYSTEM
    assert both["userAssignedIdentities"] == {UAI: {"principalId": ASSIGNED, "clientId": ASSIGNED}}
    bare = desk.patch(ACCOUNT, {"identity": {"type": "SystemAssigned"}})["identity"]
    assert bare["principalId"] == SYSTEM
    assert "userAssignedIdentities" not in bare
    desk.patch(ACCOUNT, {"identity": {"type": "None"}})
    assert desk.patch(ACCOUNT, {"identity": {"type": "SystemAssigned"}})["identity"]["principalId"] != SYSTEM
    assert desk.refused("PATCH", ACCOUNT, {"identity": {"type": "Mine"}}) == (400, "InvalidIdentityType")


def test_a_user_assigned_identity_reaches_the_key_and_is_echoed_in_azures_spelling(desk: Desk) -> None:
    chosen = {"identity": {"userAssignedIdentity": UAI}}
    assert desk.code(pinned(NEW, **chosen)) == "InvalidValuesForRequestParameters"
    attached = {"type": "UserAssigned", "userAssignedIdentities": {UAI: {}}}
    body = desk.patch(ACCOUNT, {"identity": attached, "properties": {"encryption": pinned(NEW, **chosen)}})
    echoed = body["properties"]["encryption"]["identity"]["userAssignedIdentity"]
    assert echoed == UAI.replace("resourceGroups", "resourcegroups")
    body = desk.patch(ACCOUNT, {"properties": {"encryption": pinned(OLD)}})
    assert body["properties"]["encryption"]["identity"]["userAssignedIdentity"] == echoed


def test_a_new_account_starts_on_the_platforms_key_and_its_name_is_checked(desk: Desk) -> None:
    path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/"
    sent = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Premium_LRS"}}
    made = desk.call("PUT", path + "fresh", {**sent, "identity": {"type": "SystemAssigned"}}).json()
    assert made["properties"]["encryption"]["keySource"] == "Microsoft.Storage"
    assert made["sku"] == {"name": "Premium_LRS", "tier": "Premium"}
    assert made["identity"]["principalId"]
    assert desk.refused("PUT", path + "Not-Good", sent) == (400, "AccountNameInvalid")
    other = path.replace("/rg1/", "/rg2/")
    assert desk.refused("PUT", other + "fresh", sent) == (404, "ResourceGroupNotFound")
    desk.call("PUT", f"/subscriptions/{GROUP.split('/')[2]}/resourcegroups/rg2", {"location": "westeurope"})
    assert desk.refused("PUT", other + "fresh", sent) == (409, "StorageAccountAlreadyTaken")
    assert desk.refused("PUT", path + "fresh", {**sent, "location": "eastus"}) == (409, "InvalidResourceLocation")
    assert desk.refused("PUT", path + "nowhere", {}) == (400, "LocationRequired")


def test_a_new_account_can_begin_on_a_customers_key_with_a_user_assigned_identity_only(desk: Desk) -> None:
    path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/fresh"
    sent = {"location": "westeurope", "properties": {"encryption": pinned(NEW)}}
    identity = {"type": "SystemAssigned"}
    assert desk.refused("PUT", path, {**sent, "identity": identity}) == (400, "KeyVaultAuthenticationFailure")
    assert desk.refused("GET", path) == (404, "ResourceNotFound")
    user = {"type": "UserAssigned", "userAssignedIdentities": {UAI: {}}}
    encryption = pinned(NEW, identity={"userAssignedIdentity": UAI})
    made = desk.call("PUT", path, {**sent, "identity": user, "properties": {"encryption": encryption}})
    assert made.status == 200
    assert _key(made.json())["currentVersionedKeyIdentifier"].endswith(NEW)


def test_listing_access_keys_gives_the_same_two_each_time(desk: Desk) -> None:
    first = desk.call("POST", f"{ACCOUNT}/listKeys").json()
    assert [key["keyName"] for key in first["keys"]] == ["key1", "key2"]
    assert desk.call("POST", f"{ACCOUNT}/listKeys").json() == first
    assert desk.refused("POST", f"{ACCOUNT}/failover") == (501, "NotInSandbox")


def test_a_scope_moves_with_its_accounts_identity(desk: Desk) -> None:
    uri = f"{URI}/keys/cmk1/{NEW}"
    found = desk.patch(SCOPE, {"properties": {"keyVaultProperties": {"keyUri": uri}}})["properties"]
    assert found["keyVaultProperties"]["currentVersionedKeyIdentifier"] == uri
    assert "currentVersionedKeyExpirationTimestamp" not in found["keyVaultProperties"]
    desk.patch(ACCOUNT, {"identity": {"type": "None"}})
    body = {"properties": {"keyVaultProperties": {"keyUri": f"{URI}/keys/cmk1"}}}
    assert desk.refused("PATCH", SCOPE, body) == (400, "KeyVaultAuthenticationFailure")


def test_a_scope_of_an_account_on_the_platforms_key_uses_the_only_identity_that_is_attached(desk: Desk) -> None:
    attached = {"type": "UserAssigned", "userAssignedIdentities": {UAI: {}}}
    platform = {"encryption": {"keySource": "Microsoft.Storage"}}
    desk.patch(ACCOUNT, {"identity": attached, "properties": platform})
    uri = f"{URI}/keys/cmk1/{NEW}"
    assert desk.patch(SCOPE, {"properties": {"keyVaultProperties": {"keyUri": uri}}})


def test_scopes_are_made_disabled_and_reverted_but_never_deleted(desk: Desk) -> None:
    path = f"{ACCOUNT}/encryptionScopes/another"
    made = desk.call("PUT", path, {"properties": {}})
    assert (made.status, made.json()["properties"]["source"]) == (201, "Microsoft.Storage")
    assert desk.patch(path, {"properties": {"state": "Disabled"}})["properties"]["state"] == "Disabled"
    found = desk.patch(SCOPE, {"properties": {"source": "Microsoft.Storage"}})["properties"]
    assert "keyVaultProperties" not in found
    assert desk.refused("DELETE", SCOPE) == (405, "MethodNotAllowed")
    assert desk.refused("PATCH", SCOPE, {"properties": {"source": "Microsoft.KeyVault"}}) == (
        400,
        "InvalidValuesForRequestParameters",
    )
    assert desk.refused("PUT", SCOPE.replace("contosost1", "nothere"), {}) == (404, "ParentResourceNotFound")


def test_scopes_come_in_pages_and_by_state(desk: Desk) -> None:
    for number in range(5):
        desk.call("PUT", f"{ACCOUNT}/encryptionScopes/s{number}", {"properties": {}})
    desk.patch(f"{ACCOUNT}/encryptionScopes/s3", {"properties": {"state": "Disabled"}})
    page = desk.get(f"{ACCOUNT}/encryptionScopes", maxpagesize="4")
    rest = desk.get(page["nextLink"])
    assert [one["name"] for one in page["value"] + rest["value"]] == ["s0", "s1", "s2", "s3", "s4", "scope1"]
    assert "nextLink" not in rest
    disabled = desk.get(f"{ACCOUNT}/encryptionScopes", **{"$include": "Disabled"})
    assert [one["name"] for one in disabled["value"]] == ["s3"]
