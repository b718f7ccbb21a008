from typing import Any

import pytest

from sandbox.arm.keyed.databases import DATABRICKS
from sandbox.identity import principal_of
from sandbox.wire import Json
from tests.sandbox.arm_desk import ASSIGNED, NEW, OLD, SYSTEM, UAI, URI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, ended, grant, key, revoke, rotate, wrong

IDENTITY = {"type": "UserAssigned", "userAssignedIdentities": {UAI: {}}}


def data(primary: str = key(OLD), **more: Any) -> Json:
    found = {"type": "AzureKeyVault", "primaryKeyURI": primary, "primaryUserAssignedIdentityId": UAI, **more}
    return {"dataEncryption": found}


PG = body("Microsoft.DBforPostgreSQL/flexibleServers", "pg", {"state": "Ready", **data()}) | {"identity": IDENTITY}
PLAIN = body("Microsoft.DBforPostgreSQL/flexibleServers", "plain", {"state": "Ready"}) | {"identity": IDENTITY}


def test_postgresql_moves_as_an_operation_and_says_that_the_key_is_valid() -> None:
    at = desk(PG)
    answer = at.call("PATCH", PG["id"], {"properties": data(key(NEW))})
    assert (answer.status, "Azure-AsyncOperation" in answer.headers, "Location" in answer.headers) == (202, True, True)
    assert at.get(PG["id"])["properties"]["state"] == "Updating"
    assert ended(at, answer)["status"] == "Succeeded"
    after = at.get(PG["id"])["properties"]
    assert (after["state"], after["dataEncryption"]["primaryEncryptionKeyStatus"]) == ("Ready", "Valid")
    assert effective(at, PG["id"]) == [NEW]


def test_postgresql_gets_no_key_later_and_leaves_none() -> None:
    at = desk(PG, PLAIN)
    assert at.refused("PATCH", PLAIN["id"], {"properties": data()}) == (400, "BadRequest")
    assert at.refused("PATCH", PG["id"], {"properties": {"dataEncryption": {"type": "SystemManaged"}}})[0] == 400
    assert at.refused("PATCH", PG["id"], {"properties": data("")}) == (400, "BadRequest")


def test_postgresql_has_a_second_key_for_its_backups_with_an_identity_of_its_own() -> None:
    geo = {"geoBackupKeyURI": key(OLD), "geoBackupUserAssignedIdentityId": UAI}
    server = PG | {"properties": {"state": "Ready", **data(**geo)}}
    at = desk(server)
    assert effective(at, PG["id"]) == [OLD, OLD]
    sent = {"properties": {"dataEncryption": {"geoBackupKeyURI": key(NEW)}}}
    assert wrong(at, "PATCH", PG["id"], sent) == ""
    assert effective(at, PG["id"]) == [OLD, NEW]
    sent["properties"]["dataEncryption"] |= {"geoBackupUserAssignedIdentityId": f"{UAI}2"}
    assert wrong(at, "PATCH", PG["id"], sent) == "KeyVaultAccessForbidden"


def test_postgresql_follows_within_half_an_hour_where_it_names_no_version() -> None:
    at = desk(PG)
    assert wrong(at, "PATCH", PG["id"], {"properties": data(key())}) == ""
    rotate(at)
    at.later(minutes=30)
    assert effective(at, PG["id"]) == [NEWER]


def test_postgresql_keeps_its_key_when_the_identity_cannot_use_the_new_one() -> None:
    at = desk(PG)
    revoke(at, ASSIGNED)
    assert wrong(at, "PATCH", PG["id"], {"properties": data(key(NEW))}) == "KeyVaultAccessForbidden"
    after = at.get(PG["id"])["properties"]
    assert (after["state"], after["dataEncryption"]["primaryKeyURI"]) == ("Ready", key(OLD))
    answer = at.call("PATCH", PG["id"], {"tags": {}})
    assert answer.status == 202
    assert at.refused("PATCH", PG["id"], {"tags": {}}) == (409, "ServerIsBusy")


def synapse(name: str = "cmk1") -> Json:
    active = {"name": name, "keyVaultUrl": f"{URI}/keys/{name}"}
    return {"encryption": {"cmk": {"status": "Consistent", "key": active}}}


def workspace_key(name: str, *, active: bool = True) -> Json:
    return {"properties": {"keyVaultUrl": f"{URI}/keys/{name}", "isActiveCMK": active}}


WS = body("Microsoft.Synapse/workspaces", "ws", synapse())
ACTIVE = {"id": f"{WS['id']}/keys/cmk1", **workspace_key("cmk1")}
OTHER = f"{WS['id']}/keys/other"


@pytest.fixture
def at() -> Desk:
    return desk(WS, ACTIVE, bits=2048)


def test_synapse_takes_a_new_version_only_by_way_of_another_key_and_back(at: Desk) -> None:
    rotate(at)
    at.later(days=9)
    assert effective(at, WS["id"]) == [NEW]
    assert at.call("PUT", ACTIVE["id"], workspace_key("cmk1")).status == 200
    assert effective(at, WS["id"]) == [NEW]
    assert at.call("PUT", OTHER, workspace_key("other")).status == 201
    assert (effective(at, WS["id"]), at.get(WS["id"])["properties"]["encryption"]["cmk"]["key"]["name"]) == (
        [OLD],
        "other",
    )
    assert at.get(ACTIVE["id"])["properties"]["isActiveCMK"] is False
    assert at.refused("PUT", ACTIVE["id"], workspace_key("cmk1")) == (409, "Conflict")
    at.later(minutes=15)
    assert at.call("PUT", ACTIVE["id"], workspace_key("cmk1")).status == 200
    assert effective(at, WS["id"]) == [NEWER]


def test_synapse_refuses_versions_keys_it_cannot_use_and_other_ways_to_its_key(at: Desk) -> None:
    versioned = {"properties": {"keyVaultUrl": key(NEW), "isActiveCMK": True}}
    assert at.refused("PUT", OTHER, versioned) == (400, "BadRequest")
    assert at.refused("PUT", OTHER, workspace_key("curve")) == (400, "BadRequest")
    assert at.refused("PATCH", WS["id"], {"properties": synapse("other")}) == (400, "BadRequest")
    assert at.refused("PATCH", WS["id"], {"properties": {"encryption": None}}) == (400, "BadRequest")
    revoke(at)
    assert at.refused("PUT", OTHER, workspace_key("other")) == (400, "KeyVaultAccessForbidden")


def test_synapse_without_a_key_from_the_start_has_no_keys() -> None:
    plain = body("Microsoft.Synapse/workspaces", "ws", {})
    assert desk(plain).refused("PUT", OTHER, workspace_key("other")) == (400, "BadRequest")


def bricks(services: str = OLD, disk: str = OLD, dbfs: str = OLD, *, auto: bool = False, **more: Any) -> Json:
    def entity(version: str, **also: Any) -> Json:
        pointer = {"keyVaultUri": URI, "keyName": "cmk1", "keyVersion": version}
        return {"keySource": "Microsoft.Keyvault", "keyVaultProperties": pointer, **also}

    entities = {
        "managedServices": entity(services),
        "managedDisk": entity(disk, rotationToLatestKeyVersionEnabled=auto),
    }
    root = {"keySource": "Microsoft.Keyvault", "KeyName": "cmk1", "keyversion": dbfs, "keyvaulturi": URI}
    parameters = {"prepareEncryption": {"value": True}, "encryption": {"value": root}}
    return {"encryption": {"entities": entities}, "parameters": parameters, **more}


PREMIUM = {"sku": {"name": "premium"}, "location": "westeurope"}
IDENTITIES: dict[str, Any] = {f"{name}Identity": {"principalId": SYSTEM} for name in ("managedDisk", "storageAccount")}
DBW = body("Microsoft.Databricks/workspaces", "dbw", bricks(**IDENTITIES), **PREMIUM)


def _bricks() -> Desk:
    found = desk(DBW)
    grant(found, principal_of(found.world, DATABRICKS))
    return found


def test_databricks_has_three_keys_and_moves_them_by_a_put_of_the_whole() -> None:
    at = _bricks()
    assert effective(at, DBW["id"]) == [OLD, OLD, OLD]
    assert at.refused("PATCH", DBW["id"], {"properties": bricks(NEW)}) == (400, "BadRequest")
    answer = at.call("PUT", DBW["id"], {**PREMIUM, "properties": bricks(NEW, OLD, NEW)})
    assert (answer.status, ended(at, answer)["status"]) == (202, "Succeeded")
    assert effective(at, DBW["id"]) == [NEW, OLD, NEW]
    assert at.get(DBW["id"])["properties"]["managedDiskIdentity"] == {"principalId": SYSTEM}


def test_databricks_needs_every_version_named_and_premium_and_leaves_no_key() -> None:
    at = _bricks()
    unprepared = bricks()
    unprepared["parameters"]["prepareEncryption"]["value"] = False
    gone = bricks()
    del gone["encryption"]["entities"]["managedServices"]
    for properties in (bricks(""), bricks(NEW, ""), bricks(dbfs=""), unprepared, gone):
        assert at.refused("PUT", DBW["id"], {**PREMIUM, "properties": properties}) == (400, "BadRequest")
    standard = {**PREMIUM, "sku": {"name": "standard"}, "properties": bricks()}
    assert at.refused("PUT", DBW["id"], standard) == (400, "BadRequest")


def test_each_of_databricks_keys_is_reached_by_an_identity_of_its_own() -> None:
    at = _bricks()
    revoke(at, principal_of(at.world, DATABRICKS))
    sent = {**PREMIUM, "properties": bricks(NEW)}
    assert wrong(at, "PUT", DBW["id"], sent) == "KeyVaultAccessForbidden"
    grant(at, principal_of(at.world, DATABRICKS))
    revoke(at)
    assert wrong(at, "PUT", DBW["id"], sent) == "KeyVaultAccessForbidden"


def test_databricks_disks_follow_where_they_are_told_to_and_nothing_else_does() -> None:
    at = _bricks()
    assert wrong(at, "PUT", DBW["id"], {**PREMIUM, "properties": bricks(NEW, NEW, NEW, auto=True)}) == ""
    rotate(at)
    at.later(hours=1)
    assert effective(at, DBW["id"]) == [NEW, NEWER, NEW]
