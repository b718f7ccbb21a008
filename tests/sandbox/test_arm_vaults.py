from typing import Any

import pytest

from tests.sandbox.arm_desk import ASSIGNED, GROUP, NEW, OLD, ONE, SYSTEM, VAULT, Desk, estate

CHANGED = "Microsoft.KeyVault.VaultAccessPolicyChanged"


@pytest.fixture
def desk() -> Desk:
    return Desk(estate())


def _policy(principal: str, *keys: str) -> dict[str, Any]:
    return {"tenantId": "t", "objectId": principal, "permissions": {"keys": list(keys)}}


def _policies(desk: Desk) -> dict[str, list[str]]:
    found = desk.get(VAULT)["properties"]["accessPolicies"]
    return {one["objectId"]: one["permissions"]["keys"] for one in found}


def test_a_new_vault_gets_what_its_api_version_gives(desk: Desk) -> None:
    path = f"{GROUP}/providers/Microsoft.KeyVault/vaults/fresh"
    sent = {"location": "westeurope", "properties": {"sku": {"family": "A", "name": "premium"}}}
    made = desk.call("PUT", path + "1", sent, version="2026-02-01")
    assert made.status == 201
    assert made.json()["properties"]["enableRbacAuthorization"] is True
    assert made.json()["properties"]["vaultUri"] == "https://fresh1.vault.azure.net/"
    older = desk.call("PUT", path + "2", sent, version="2024-11-01").json()
    assert older["properties"]["enableRbacAuthorization"] is False
    assert desk.refused("PUT", path + "_", sent) == (400, "VaultNameNotValid")
    assert desk.refused("PUT", path + "3", {}) == (400, "LocationRequired")
    desk.call("PUT", f"/subscriptions/{ONE}/resourcegroups/rg2", {"location": "westeurope"})
    assert desk.refused("PUT", VAULT.replace("/rg1/", "/rg2/"), sent) == (409, "VaultAlreadyExists")


def test_purge_protection_and_retention_cannot_be_taken_back(desk: Desk) -> None:
    for properties in (
        {"enablePurgeProtection": False},
        {"enableSoftDelete": False},
        {"softDeleteRetentionInDays": 30},
        {"softDeleteRetentionInDays": 5},
    ):
        assert desk.refused("PATCH", VAULT, {"properties": properties}) == (400, "BadRequest")
    desk.call("PUT", VAULT, {"location": "westeurope", "properties": {"enableRbacAuthorization": True}})
    assert desk.get(VAULT)["properties"]["enablePurgeProtection"] is True


def test_access_policies_in_a_patch_replace_all(desk: Desk) -> None:
    desk.patch(VAULT, {"properties": {"accessPolicies": [_policy(SYSTEM, "get"), _policy(ASSIGNED, "get")]}})
    desk.patch(VAULT, {"properties": {"accessPolicies": [_policy(ASSIGNED, "list")]}})
    assert _policies(desk) == {ASSIGNED: ["list"]}
    desk.patch(VAULT, {"tags": {"a": "b"}})
    assert _policies(desk) == {ASSIGNED: ["list"]}
    too_many = [_policy(str(number)) for number in range(1025)]
    assert desk.refused("PATCH", VAULT, {"properties": {"accessPolicies": too_many}}) == (400, "BadRequest")


def test_one_principals_policy_is_added_replaced_and_removed(desk: Desk) -> None:
    def put(kind: str, *keys: str) -> Any:
        return desk.call(
            "PUT", f"{VAULT}/accessPolicies/{kind}", {"properties": {"accessPolicies": [_policy(SYSTEM, *keys)]}}
        )

    desk.patch(VAULT, {"properties": {"accessPolicies": [_policy(ASSIGNED, "all")]}})
    put("add", "get", "wrapKey")
    assert put("add", "Get", "unwrapKey").json()["type"] == "Microsoft.KeyVault/vaults/accessPolicies"
    assert _policies(desk) == {ASSIGNED: ["all"], SYSTEM: ["get", "wrapKey", "unwrapKey"]}
    put("replace", "list")
    assert _policies(desk)[SYSTEM] == ["list"]
    put("remove", "list")
    assert _policies(desk) == {ASSIGNED: ["all"]}
    assert put("other", "get").status == 400


def test_a_change_of_who_may_what_is_told_to_event_grid(desk: Desk) -> None:
    desk.patch(VAULT, {"properties": {"enableRbacAuthorization": False}})
    desk.patch(VAULT, {"properties": {"accessPolicies": [_policy(SYSTEM, "get")]}})
    desk.patch(VAULT, {"tags": {"a": "b"}})
    told = [event for event in desk.heard if event.type == CHANGED]
    assert [(event.topic, event.subject) for event in told] == [(VAULT, "contoso-kv")] * 2
    assert told[0].data["VaultName"] == "contoso-kv"
    assert told[0].data["Id"] == "https://contoso-kv.vault.azure.net"


def test_a_deleted_vault_holds_its_name_and_comes_back_with_its_keys(desk: Desk) -> None:
    assert desk.call("DELETE", VAULT).status == 200
    assert desk.refused("GET", VAULT) == (404, "ResourceNotFound")
    listed = desk.get(f"/subscriptions/{ONE}/providers/Microsoft.KeyVault/deletedVaults")["value"]
    assert [one["properties"]["vaultId"] for one in listed] == [VAULT]
    one = f"/subscriptions/{ONE}/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/contoso-kv"
    assert desk.get(one)["properties"]["purgeProtectionEnabled"] is True
    assert desk.refused("POST", f"{one}/purge") == (405, "MethodNotAllowed")
    sent: dict[str, Any] = {"location": "westeurope", "properties": {}}
    assert desk.refused("PUT", VAULT, sent) == (409, "ConflictError")
    sent["properties"]["createMode"] = "recover"
    assert desk.call("PUT", VAULT, sent).status == 201
    assert desk.get(f"{VAULT}/keys/cmk1")["name"] == "cmk1"
    desk.call("DELETE", VAULT)
    desk.later(days=91)
    assert desk.get(f"/subscriptions/{ONE}/providers/Microsoft.KeyVault/deletedVaults")["value"] == []


def test_keys_and_versions_are_seen_through_arm_with_the_port_in_their_uris(desk: Desk) -> None:
    base = "https://contoso-kv.vault.azure.net:443/keys/cmk1"
    assert [one["properties"]["keyUri"] for one in desk.get(f"{VAULT}/keys")["value"]] == [base]
    key = desk.get(f"{VAULT}/keys/CMK1")["properties"]
    assert (key["keyUriWithVersion"], key["kty"], key["keySize"]) == (f"{base}/{NEW}", "RSA", 3072)
    assert key["attributes"]["created"] == 1790812800
    versions = desk.get(f"{VAULT}/keys/cmk1/versions")["value"]
    assert [one["name"] for one in versions] == [OLD, NEW]
    assert desk.get(f"{VAULT}/keys/cmk1/versions/{OLD}")["properties"]["keyUriWithVersion"] == f"{base}/{OLD}"
    assert desk.refused("GET", f"{VAULT}/keys/cmk1/versions/{'f' * 32}") == (404, "ResourceNotFound")
    assert desk.refused("GET", f"{VAULT}/keys/nothing") == (404, "ResourceNotFound")
    assert desk.refused("GET", f"{VAULT}x/keys") == (404, "ParentResourceNotFound")


def test_arm_makes_a_keys_first_version_and_no_other(desk: Desk) -> None:
    path = f"{VAULT}/keys/made"
    sent = {"properties": {"kty": "RSA", "keySize": 4096, "attributes": {"exp": 1900000000}}, "tags": {"a": "b"}}
    first = desk.call("PUT", path, sent).json()
    assert (first["properties"]["keySize"], first["tags"]) == (4096, {"a": "b"})
    assert desk.call("PUT", path, sent).json() == first
    assert len(desk.get(f"{path}/versions")["value"]) == 1
    created = [event.subject for event in desk.heard if event.type == "Microsoft.KeyVault.KeyNewVersionCreated"]
    assert created == ["made"]
