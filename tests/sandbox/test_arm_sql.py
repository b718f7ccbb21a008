import pytest

from sandbox.estate import EstateError
from sandbox.wire import Json
from tests.sandbox.arm_desk import ASSIGNED, NEW, NOW, OLD, UAI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, ended, key, revoke, rotate, wrong

SERVERS = "Microsoft.Sql/servers"


def name(version: str = NEW) -> str:
    return f"contoso-kv_cmk1_{version}"


def server_key(uri: str) -> Json:
    return {"properties": {"serverKeyType": "AzureKeyVault", "uri": uri}}


def protector(version: str = NEW, **more: object) -> Json:
    return {"properties": {"serverKeyType": "AzureKeyVault", "serverKeyName": name(version), **more}}


ONE = body(SERVERS, "one", {})
TWO = body(SERVERS, "two", {})
GROUP = {"id": f"{ONE['id']}/failoverGroups/both", "properties": {"partnerServers": [{"id": TWO["id"]}]}}
CURRENT = f"{ONE['id']}/encryptionProtector/current"


def registered(server: Json, version: str) -> Json:
    return {"id": f"{server['id']}/keys/{name(version)}", **server_key(key(version))}


@pytest.fixture
def at() -> Desk:
    return desk(ONE, TWO, registered(ONE, OLD), {"id": CURRENT, **protector(OLD)}, bits=2048)


def test_every_server_has_a_protector_of_the_service_and_takes_another(at: Desk) -> None:
    path = f"{TWO['id']}/encryptionProtector"
    assert at.get(path)["value"][0]["properties"]["serverKeyType"] == "ServiceManaged"
    assert at.get(f"{path}/current")["kind"] == "servicemanaged"
    assert at.refused("GET", f"{path}/other")[0] == 400


def test_a_key_is_named_by_vault_key_and_version_and_must_be_usable(at: Desk) -> None:
    keys = f"{ONE['id']}/keys"
    assert at.call("PUT", f"{keys}/{name()}", server_key(key(NEW))).status == 201
    assert at.refused("PUT", f"{keys}/mine", server_key(key(NEW))) == (400, "InvalidParameter")
    assert at.refused("PUT", f"{keys}/contoso-kv_cmk1_", server_key(key())) == (400, "InvalidParameter")
    rotate(at).expires = NOW
    assert at.refused("PUT", f"{keys}/{name(NEWER)}", server_key(key(NEWER))) == (
        400,
        "AzureKeyVaultMissingPermissions",
    )
    revoke(at)
    assert at.refused("PUT", f"{keys}/{name()}", server_key(key(NEW))) == (400, "AzureKeyVaultMissingPermissions")


def test_a_protector_names_a_key_of_its_server_and_shows_its_uri_and_thumbprint(at: Desk) -> None:
    assert at.refused("PUT", CURRENT, protector()) == (404, "ServerKeyNotFound")
    at.call("PUT", f"{ONE['id']}/keys/{name()}", server_key(key(NEW)))
    answer = at.call("PUT", CURRENT, protector())
    assert (answer.status, "Azure-AsyncOperation" in answer.headers) == (202, False)
    assert at.get(CURRENT)["properties"]["uri"] == key(OLD)
    after = ended(at, answer)
    assert (after["kind"], after["properties"]["uri"]) == ("azurekeyvault", key(NEW))
    assert len(after["properties"]["thumbprint"]) == 40
    assert effective(at, CURRENT) == [NEW]


def test_what_the_server_cannot_use_at_the_end_leaves_the_old_protector(at: Desk) -> None:
    at.call("PUT", f"{ONE['id']}/keys/{name()}", server_key(key(NEW)))
    answer = at.call("PUT", CURRENT, protector())
    revoke(at)
    assert ended(at, answer)["error"]["code"] == "AzureKeyVaultMissingPermissions"
    assert at.get(CURRENT)["properties"]["serverKeyName"] == name(OLD)
    assert effective(at, CURRENT) == [OLD]


def test_a_second_write_meanwhile_is_refused(at: Desk) -> None:
    at.call("PUT", CURRENT, protector(OLD))
    assert at.refused("PUT", CURRENT, protector(OLD)) == (409, "OperationInProgress")


def test_a_server_goes_back_to_the_services_key(at: Desk) -> None:
    back = {"properties": {"serverKeyType": "ServiceManaged", "serverKeyName": "ServiceManaged"}}
    after = ended(at, at.call("PUT", CURRENT, back))
    assert (after["kind"], "uri" in after["properties"]) == ("servicemanaged", False)
    assert effective(at, CURRENT) == []


def test_partners_in_a_failover_group_must_have_the_key_first() -> None:
    at = desk(ONE, TWO, GROUP, registered(ONE, NEW), bits=2048)
    assert at.refused("PUT", CURRENT, protector()) == (400, "SameKeyMaterialNotFoundOnRemoteServer")
    at.call("PUT", f"{TWO['id']}/keys/{name()}", server_key(key(NEW)))
    assert wrong(at, "PUT", f"{TWO['id']}/encryptionProtector/current", protector()) == ""
    assert wrong(at, "PUT", CURRENT, protector()) == ""


def test_with_auto_rotation_the_protector_follows_within_an_hour_and_adds_the_key(at: Desk) -> None:
    ended(at, at.call("PUT", CURRENT, protector(OLD, autoRotationEnabled=True)))
    rotate(at)
    at.later(hours=1)
    assert at.get(CURRENT)["properties"]["serverKeyName"] == name(NEWER)
    assert at.get(f"{ONE['id']}/keys/{name(NEWER)}")["properties"]["uri"] == key(NEWER)
    assert effective(at, CURRENT) == [NEWER]


def test_the_primary_identity_of_the_server_reaches_the_key() -> None:
    both = {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {UAI: {}}}
    at = desk(body(SERVERS, "one", {"primaryUserAssignedIdentityId": UAI}) | {"identity": both}, bits=2048)
    path = f"{ONE['id']}/keys/{name()}"
    assert at.call("PUT", path, server_key(key(NEW))).status == 201
    revoke(at, ASSIGNED)
    assert at.refused("PUT", path, server_key(key(NEW)))[0] == 400


def test_keys_and_protectors_have_no_patch_and_managed_instances_have_both(at: Desk) -> None:
    assert at.refused("PATCH", CURRENT, {})[0] == 405
    assert at.refused("PATCH", f"{ONE['id']}/keys/{name(OLD)}", {})[0] == 405
    instance = body("Microsoft.Sql/managedInstances", "mi", {})
    there = desk(instance, registered(instance, NEW), bits=2048)
    assert wrong(there, "PUT", f"{instance['id']}/encryptionProtector/current", protector()) == ""


def test_an_estate_whose_protector_names_a_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(EstateError, match="contoso-kv_cmk1"):
        desk(ONE, {"id": CURRENT, **protector(OLD)})
