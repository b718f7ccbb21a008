"""What az reads and sends when a person works with the keys of services other than storage."""

import base64
import json
from typing import Any

import pytest

from sandbox import identity
from sandbox.cloud import Cloud
from sandbox.wire import Answer, Call, Json
from tests.sandbox.arm_desk import GROUP, NEW, OLD, ONE, URI, Desk
from tests.sandbox.keyed_desk import body, desk, ended, grant, key, revoke

SET: Json = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
SET["properties"] = {"activeKey": {"keyUrl": key(OLD)}, "encryptionType": "EncryptionAtRestWithCustomerKey"}


def _provider(path: str) -> str:
    return f"{GROUP}/providers/Microsoft.{path}"


def _of_vault(at: Desk, method: str, path: str, sent: Any = None) -> Answer:
    token, _ = identity.issue(at.world, "somebody", "https://vault.azure.net")
    content = b"" if sent is None else json.dumps(sent).encode()
    url = f"{URI}/keys/{path}?api-version=7.6-preview.2"
    return Cloud(at.world).answer(Call(method, url, {"authorization": f"Bearer {token}"}, content))


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("DocumentDB/databaseAccounts/new", {}),
        ("Compute/disks/new", {"diskSizeGB": 4}),
        ("Compute/snapshots/new", {}),
        ("Batch/batchAccounts/new", {}),
        ("DataFactory/factories/new", {}),
        ("Compute/diskEncryptionSets/new", SET["properties"]),
    ],
)
def test_what_is_made_is_answered_with_a_status_that_its_sdk_takes(path: str, properties: Json) -> None:
    sent = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
    assert desk().call("PUT", _provider(path), sent).status == 200


def test_a_disk_encryption_set_is_made_before_its_own_identity_is_given_access_and_not_moved_before() -> None:
    at = desk()
    path = _provider("Compute/diskEncryptionSets/new")
    made = at.call("PUT", path, SET)
    assert made.status == 200
    sent = {"properties": {"activeKey": {"keyUrl": key(NEW)}}}
    assert ended(at, at.call("PATCH", path, sent))["error"]["code"] == "KeyVaultAccessForbidden"
    grant(at, made.json()["identity"]["principalId"])
    assert ended(at, at.call("PATCH", path, sent))["status"] == "Succeeded"
    missing = {**SET, "properties": {**SET["properties"], "activeKey": {"keyUrl": f"{URI}/keys/none/{OLD}"}}}
    assert at.call("PUT", _provider("Compute/diskEncryptionSets/none"), missing).status == 400


@pytest.mark.parametrize(
    ("type_", "encryption"),
    [
        ("Microsoft.AppConfiguration/configurationStores", {"keyVaultProperties": {"keyIdentifier": key(OLD)}}),
        (
            "Microsoft.ContainerRegistry/registries",
            {"status": "enabled", "keyVaultProperties": {"keyIdentifier": key(OLD)}},
        ),
    ],
)
def test_registries_and_stores_answer_201_with_an_operation_to_poll(type_: str, encryption: Json) -> None:
    at = desk(body(type_, "one", {"encryption": encryption}))
    sent = {"properties": {"encryption": {**encryption, "keyVaultProperties": {"keyIdentifier": key(NEW)}}}}
    answer = at.call("PATCH", f"{GROUP}/providers/{type_}/one", sent)
    assert (answer.status, answer.json()["name"]) == (201, "one")
    assert ended(at, answer)["status"] == "Succeeded"


def test_what_az_reads_before_it_updates_is_there_though_the_estate_says_nothing_of_it() -> None:
    pools = {"agentPoolProfiles": [{"name": "nodepool1"}]}
    at = desk(
        body("Microsoft.DocumentDB/databaseAccounts", "one", {}),
        body("Microsoft.CognitiveServices/accounts", "one", {}, kind="FormRecognizer"),
        body("Microsoft.AppConfiguration/configurationStores", "one", {}),
        body("Microsoft.ContainerService/managedClusters", "one", pools),
    )
    cosmos = at.get(_provider("DocumentDB/databaseAccounts/one"))["properties"]
    assert cosmos["consistencyPolicy"]["defaultConsistencyLevel"] == "Session"
    assert at.get(_provider("CognitiveServices/accounts/one"))["sku"] == {"name": "S0"}
    store = at.get(_provider("AppConfiguration/configurationStores/one"))["properties"]
    assert store["endpoint"] == "https://one.azconfig.io"
    nodes = at.get(_provider("ContainerService/managedClusters/one"))["properties"]["identityProfile"]
    assert nodes["kubeletidentity"]["resourceId"].endswith("/one-agentpool")
    assert set(nodes["kubeletidentity"]) == {"resourceId", "clientId", "objectId"}


def test_a_registry_says_whether_it_follows_also_when_the_version_in_effect_stays() -> None:
    encryption = {"status": "enabled", "keyVaultProperties": {"keyIdentifier": key(NEW)}}
    at = desk(body("Microsoft.ContainerRegistry/registries", "one", {"encryption": encryption}))
    path = _provider("ContainerRegistry/registries/one")
    assert at.get(path)["properties"]["encryption"]["keyVaultProperties"]["keyRotationEnabled"] is False
    following = {**encryption, "keyVaultProperties": {"keyIdentifier": key()}}
    ended(at, at.call("PATCH", path, {"properties": {"encryption": following}}))
    assert at.get(path)["properties"]["encryption"]["keyVaultProperties"]["keyRotationEnabled"] is True


def test_a_namespace_shows_an_empty_version_for_a_key_that_it_follows() -> None:
    held = [{"keyName": "cmk1", "keyVaultUri": URI}, {"keyName": "other", "keyVaultUri": URI, "keyVersion": OLD}]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": held}
    space = body("Microsoft.EventHub/namespaces", "one", {"encryption": encryption}, sku={"name": "Premium"})
    at = desk(space)
    found = at.get(_provider("EventHub/namespaces/one"))["properties"]["encryption"]
    assert [one["keyVersion"] for one in found["keyVaultProperties"]] == ["", OLD]
    assert found["requireInfrastructureEncryption"] is False
    sent = {"properties": {"encryption": {**encryption, "keyVaultProperties": held[:1]}}}
    assert at.patch(_provider("EventHub/namespaces/one"), sent)["properties"]["encryption"]["keyVaultProperties"] == [
        {**held[0], "keyVersion": ""}
    ]


def test_a_protector_is_validated_again_by_asking_for_its_key() -> None:
    server = body("Microsoft.Sql/servers", "one", {"state": "Ready"})
    name = f"contoso-kv_cmk1_{OLD}"
    known = {"id": f"{server['id']}/keys/{name}", "properties": {"serverKeyType": "AzureKeyVault", "uri": key(OLD)}}
    protector = {"serverKeyType": "AzureKeyVault", "serverKeyName": name}
    at = desk(server, known, {"id": f"{server['id']}/encryptionProtector/current", "properties": protector})
    path = f"{server['id']}/encryptionProtector/current/revalidate"
    assert at.call("POST", path).status == 200
    revoke(at)
    assert at.refused("POST", path) == (400, "AzureKeyVaultMissingPermissions")


def test_the_name_of_a_vault_is_taken_though_the_question_names_no_type() -> None:
    url = f"/subscriptions/{ONE}/providers/Microsoft.KeyVault/checkNameAvailability"
    at = desk()
    assert at.call("POST", url, {"name": "CONTOSO-KV"}).json()["reason"] == "AlreadyExists"
    assert at.call("POST", url, {"name": "free-kv"}).json() == {"nameAvailable": True}
    modules = url.replace("checkName", "checkMhsmName")
    assert at.call("POST", modules, {"name": "contoso-kv"}).json() == {"nameAvailable": True}


@pytest.mark.parametrize("name", ["Microsoft.Insights", "Microsoft.Management", "Microsoft.DocumentDB"])
def test_providers_are_known_and_written_as_azure_writes_them(name: str) -> None:
    at = desk()
    found = at.get(f"/subscriptions/{ONE}/providers/{name.lower()}")
    assert (found["namespace"], found["registrationState"]) == (name, "Registered")
    assert found["resourceTypes"]
    assert name in {one["namespace"] for one in at.get(f"/subscriptions/{ONE}/providers")["value"]}


def test_a_backup_brings_a_key_back_with_all_its_versions_where_its_name_is_free() -> None:
    at = desk()
    blob = _of_vault(at, "POST", "cmk1/backup").json()
    assert _of_vault(at, "POST", "restore", blob).status == 409
    at.world.keyring.remove("contoso-kv", "cmk1")
    assert _of_vault(at, "GET", "cmk1").status == 404
    assert _of_vault(at, "POST", "restore", blob).json()["key"]["kid"] == key(NEW)
    assert _of_vault(at, "GET", f"cmk1/{OLD}").status == 200
    assert _of_vault(at, "POST", "restore", {"value": "bm9uZQ"}).status == 400


def test_an_imported_key_has_the_numbers_that_were_sent_and_is_told_of() -> None:
    at = desk()
    modulus = bytes([0x80]) + bytes(254) + bytes([1])
    number = base64.urlsafe_b64encode(modulus).decode().rstrip("=")
    sent = {"key": {"kty": "RSA", "n": number, "e": "AQAB", "d": "c2VjcmV0"}, "tags": {"origin": "imported"}}
    made = _of_vault(at, "PUT", "mine", sent).json()
    assert (made["key"]["n"], made["tags"]) == (number, {"origin": "imported"})
    assert "d" not in made["key"]
    assert [one.type for one in at.heard] == ["Microsoft.KeyVault.KeyNewVersionCreated"]
    assert _of_vault(at, "PUT", "mine", {"key": {"kty": "oct", "k": "x"}}).status == 400
