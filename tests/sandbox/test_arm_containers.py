from typing import Any

import pytest

from sandbox.arm.keyed.containers import INSTANCES
from sandbox.identity import principal_of
from sandbox.wire import Json
from tests.sandbox.arm_desk import ASSIGNED, NEW, OLD, UAI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, ended, grant, key, revoke, rotate, wrong

USER = "12338af0-0e69-4776-bea7-57ae8d297424"  # Key Vault Crypto User: encrypts and decrypts
IDENTITY = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {UAI: {}}}}


def cluster(uri: str = key(OLD), version: str = "1.33.2", **more: Any) -> Json:
    kms = {"enabled": True, "keyId": uri, "keyVaultNetworkAccess": "Public", "keyVaultResourceId": "", **more}
    return {
        "kubernetesVersion": version,
        "diskEncryptionSetID": "/des1",
        "agentPoolProfiles": [{"name": "nodepool1"}],
        "securityProfile": {"azureKeyVaultKms": kms},
    }


AKS = body("Microsoft.ContainerService/managedClusters", "aks", cluster(), eTag="one", **IDENTITY)


def group(version: str = OLD, **more: Any) -> Json:
    pointer = {"vaultBaseUrl": "https://contoso-kv.vault.azure.net", "keyName": "cmk1", "keyVersion": version}
    return {"osType": "Linux", "encryptionProperties": pointer | more}


ACI = body("Microsoft.ContainerInstance/containerGroups", "cg", group(identity=UAI), **IDENTITY)


def whole(properties: Json) -> Json:
    return {"location": "westeurope", **IDENTITY, "properties": properties}


@pytest.fixture
def at() -> Desk:
    found = desk(AKS, ACI)
    grant(found, ASSIGNED, USER)
    return found


def test_a_cluster_moves_by_a_put_of_the_whole_that_is_polled(at: Desk) -> None:
    answer = at.call("PUT", AKS["id"], whole(cluster(key(NEW))))
    assert (answer.status, answer.json()["properties"]["provisioningState"]) == (200, "Updating")
    assert ended(at, answer)["status"] == "Succeeded"
    assert effective(at, AKS["id"]) == [NEW]


def test_a_patch_of_a_cluster_or_a_group_takes_tags_only(at: Desk) -> None:
    assert at.refused("PATCH", AKS["id"], {"properties": cluster(key(NEW))}) == (400, "InvalidParameter")
    assert at.refused("PATCH", ACI["id"], {"properties": group(NEW)}) == (400, "InvalidContainerGroupUpdate")
    ended(at, at.call("PATCH", AKS["id"], {"tags": {"a": "b"}}))
    assert at.get(AKS["id"])["tags"] == {"a": "b"}
    assert at.patch(ACI["id"], {"tags": {"a": "b"}})["tags"] == {"a": "b"}


def test_a_put_of_a_cluster_that_was_changed_meanwhile_fails_its_precondition(at: Desk) -> None:
    sent = whole(cluster(key(NEW)))
    old = at.call("PUT", AKS["id"], sent, {"if-match": '"none"'})
    assert (old.status, old.json()["error"]["code"]) == (412, "PreconditionFailed")
    ended(at, at.call("PUT", AKS["id"], sent, {"if-match": '"one"'}))
    assert at.get(AKS["id"])["eTag"] != "one"
    assert at.call("PUT", AKS["id"], sent, {"if-match": "one"}).status == 412


@pytest.mark.parametrize(
    "properties",
    [
        {**cluster(key(NEW)), "agentPoolProfiles": None},
        {**cluster(key(NEW)), "diskEncryptionSetID": "/des2"},
        cluster(key(NEW), keyVaultNetworkAccess="Private"),
        cluster(key(NEW), keyVaultResourceId="/vault"),
        cluster(key(), version="1.32.1"),
        cluster("https://contoso-kv.vault.azure.net/secrets/x"),
    ],
)
def test_a_cluster_refuses_what_kms_and_its_fixed_members_forbid(at: Desk, properties: Json) -> None:
    assert at.refused("PUT", AKS["id"], whole(properties)) == (400, "InvalidParameter")


def test_what_the_service_fills_in_outlasts_a_put_that_leaves_it_out(at: Desk) -> None:
    shown = {
        "agentPoolProfiles": [{"name": "gone", "status": {}}, {"name": "p", "nodeImageVersion": "x", "eTag": "y"}],
        "addonProfiles": {"policy": {"enabled": True, "identity": {"clientId": "x"}}},
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://x"},
    }
    known = at.get(AKS["id"])
    at.world.resources.put({**known, "properties": {**known["properties"], **shown}})
    sent = {
        "agentPoolProfiles": [{"name": "p", "count": 2}],
        "addonProfiles": {"policy": {"enabled": False}},
        "oidcIssuerProfile": {"enabled": True},
    }
    ended(at, at.call("PUT", AKS["id"], whole({**cluster(key(NEW)), **sent})))
    found = at.get(AKS["id"])["properties"]
    assert {name: found[name] for name in sent} == {
        "agentPoolProfiles": [{"name": "p", "count": 2, "nodeImageVersion": "x", "eTag": "y"}],
        "addonProfiles": {"policy": {"enabled": False, "identity": {"clientId": "x"}}},
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://x"},
    }


def test_a_public_cluster_that_names_its_vault_all_the_same_may_be_sent_back(at: Desk) -> None:
    known = cluster(keyVaultResourceId="/vault")
    public = {**at.get(AKS["id"]), "properties": known}
    at.world.resources.put(public)
    ended(at, at.call("PUT", public["id"], whole(cluster(key(NEW), keyVaultResourceId="/vault"))))
    assert effective(at, public["id"]) == [NEW]


def test_kms_needs_a_user_assigned_identity_that_may_encrypt_and_decrypt(at: Desk) -> None:
    system = {"location": "westeurope", "properties": cluster(key(NEW)), "identity": {"type": "SystemAssigned"}}
    assert at.refused("PUT", AKS["id"], system) == (400, "InvalidParameter")
    revoke(at, ASSIGNED)
    grant(at, ASSIGNED)  # wraps and unwraps
    assert wrong(at, "PUT", AKS["id"], whole(cluster(key(NEW)))) == "KeyVaultAccessForbidden"


def test_legacy_kms_stays_where_it_is_and_may_be_switched_off(at: Desk) -> None:
    rotate(at)
    at.later(days=2)
    assert effective(at, AKS["id"]) == [OLD]
    assert wrong(at, "PUT", AKS["id"], whole(cluster(key(OLD), enabled=False))) == ""
    assert effective(at, AKS["id"]) == []


def test_a_key_without_a_version_is_new_kms_which_looks_every_six_hours_and_is_never_left(at: Desk) -> None:
    assert wrong(at, "PUT", AKS["id"], whole(cluster(key()))) == ""
    rotate(at)
    assert effective(at, AKS["id"]) == [NEW]
    at.later(hours=6)
    assert effective(at, AKS["id"]) == [NEWER]
    for back in (cluster(key(NEW)), cluster(key(), enabled=False)):
        assert at.refused("PUT", AKS["id"], whole(back)) == (400, "InvalidParameter")


def test_a_second_write_of_a_cluster_meanwhile_is_not_allowed(at: Desk) -> None:
    at.call("PUT", AKS["id"], whole(cluster(key(NEW))))
    assert at.refused("PUT", AKS["id"], whole(cluster(key(NEW)))) == (409, "OperationNotAllowed")


@pytest.mark.parametrize("version", [NEW, ""])
def test_the_key_of_a_container_group_that_is_there_never_changes(at: Desk, version: str) -> None:
    refused = at.refused("PUT", ACI["id"], whole(group(version, identity=UAI)))
    assert refused == (400, "InvalidContainerGroupUpdate")
    assert at.call("PUT", ACI["id"], whole(group(identity=UAI))).status == 200


def test_a_container_group_is_deleted_and_made_anew_with_another_version(at: Desk) -> None:
    assert at.call("DELETE", ACI["id"]).status == 200
    assert at.refused("PUT", ACI["id"], whole(group(""))) == (400, "InvalidContainerGroupUpdate")
    assert at.call("PUT", ACI["id"], whole(group(NEW, identity=UAI))).status == 201
    assert effective(at, ACI["id"]) == [NEW]


def test_without_an_identity_the_first_partys_principal_reaches_a_groups_key(at: Desk) -> None:
    path = f"{ACI['id']}2"
    assert at.refused("PUT", path, whole(group(NEW))) == (400, "KeyVaultAccessForbidden")
    grant(at, principal_of(at.world, INSTANCES))
    assert at.call("PUT", path, whole(group(NEW))).status == 201
