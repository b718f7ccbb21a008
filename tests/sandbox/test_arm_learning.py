from typing import Any

import pytest

from sandbox.arm.keyed.cosmos import APPLICATION
from sandbox.identity import principal_of
from sandbox.wire import Json
from tests.sandbox.arm_desk import NEW, NOW, OLD, ONE, VAULT, Desk
from tests.sandbox.keyed_desk import body, desk, effective, ended, grant, key, revoke, rotate, wrong

TYPE = "Microsoft.MachineLearningServices/workspaces"


def encrypted(uri: str = key(OLD), **more: Any) -> Json:
    return {
        "encryption": {"status": "Enabled", "keyVaultProperties": {"keyVaultArmId": VAULT, "keyIdentifier": uri}},
        "serviceProvisionedResourceGroup": "azureml-rg-ws",
        **more,
    }


def moved(uri: str = key(NEW)) -> Json:
    return {"properties": {"encryption": {"keyVaultProperties": {"keyIdentifier": uri}}}}


WS = body(TYPE, "ws", encrypted(), kind="Default")
PLAIN = body(TYPE, "plain", {}, kind="Default")
SERVICE = body(TYPE, "service", encrypted(enableServiceSideCMKEncryption=True), kind="Default")
PROJECT = body(TYPE, "project", encrypted(), kind="Project")
HUB = body(TYPE, "hub", encrypted(), kind="Hub")


@pytest.fixture
def at() -> Desk:
    found = desk(WS, PLAIN, SERVICE, PROJECT, HUB)
    grant(found, principal_of(found.world, APPLICATION))
    return found


def test_a_write_answers_202_with_a_location_that_gives_the_workspace_in_the_end(at: Desk) -> None:
    answer = at.call("PATCH", WS["id"], moved())
    assert (answer.status, "Azure-AsyncOperation" in answer.headers) == (202, False)
    assert at.get(WS["id"])["properties"]["provisioningState"] == "Updating"
    assert ended(at, answer)["properties"]["encryption"]["keyVaultProperties"]["keyIdentifier"] == key(NEW)
    assert effective(at, WS["id"]) == [NEW]


def test_what_fails_is_what_the_location_answers_in_the_end(at: Desk) -> None:
    made = rotate(at)
    made.expires = NOW
    assert wrong(at, "PATCH", WS["id"], moved(key(made.version))) == "KeyVaultAccessForbidden"
    assert at.get(WS["id"])["properties"]["encryption"]["keyVaultProperties"]["keyIdentifier"] == key(OLD)


@pytest.mark.parametrize(
    "encryption",
    [
        {"status": "Disabled"},
        {"keyVaultProperties": {"keyVaultArmId": VAULT, "keyIdentifier": key(NEW)}},
        {"keyVaultProperties": {"keyIdentifier": key()}},
        {"keyVaultProperties": {"keyIdentifier": f"https://far-kv.vault.azure.net/keys/cmk1/{OLD}"}},
        {"keyVaultProperties": {"keyIdentifier": None}},
        {"keyVaultProperties": None},
    ],
)
def test_a_patch_changes_the_identifier_only_to_a_version_in_the_same_vault(at: Desk, encryption: Json) -> None:
    assert at.refused("PATCH", WS["id"], {"properties": {"encryption": encryption}}) == (400, "BadRequest")


def test_a_workspace_gets_no_key_later_and_none_is_taken_away_by_a_put(at: Desk) -> None:
    assert at.refused("PUT", PLAIN["id"], {"location": "westeurope", "properties": encrypted()})[0] == 400
    assert at.refused("PUT", WS["id"], {"location": "westeurope", "properties": {}})[0] == 400


def test_azure_cosmos_db_needs_the_rights_too_in_customer_side_mode(at: Desk) -> None:
    revoke(at, principal_of(at.world, APPLICATION))
    assert at.refused("PATCH", WS["id"], moved()) == (400, "KeyVaultAccessForbidden")


def test_in_service_side_mode_the_key_stays_and_a_project_has_none_of_its_own(at: Desk) -> None:
    for one in (SERVICE, PROJECT):
        assert at.refused("PATCH", one["id"], moved()) == (400, "BadRequest")
        assert (
            ended(at, at.call("PATCH", one["id"], {"properties": {"friendlyName": "x"}}))["name"]
            == one["id"].rpartition("/")[2]
        )


def test_a_new_hub_wants_a_vault_with_access_policies(at: Desk) -> None:
    assert at.refused("PUT", HUB["id"].replace("/hub", "/newhub"), HUB) == (400, "BadRequest")


def test_the_vault_of_a_new_workspace_is_of_its_subscription() -> None:
    elsewhere = PLAIN | {"id": PLAIN["id"].replace(ONE, "9" * 8)}
    at = desk(elsewhere)
    grant(at, principal_of(at.world, APPLICATION))
    assert at.refused("PUT", elsewhere["id"].replace("/plain", "/new"), WS) == (400, "BadRequest")


def test_the_managed_resource_group_shows_who_manages_it_and_its_resources_take_writes() -> None:
    group = {
        "id": f"/subscriptions/{ONE}/resourceGroups/azureml-rg-ws",
        "location": "westeurope",
        "managedBy": WS["id"],
    }
    inner = {"id": f"{group['id']}/providers/Microsoft.Search/searchServices/s", "location": "westeurope"}
    at = desk(WS, group, inner)
    assert at.get(group["id"])["managedBy"] == WS["id"]
    assert at.patch(inner["id"], {"tags": {"a": "b"}})["tags"] == {"a": "b"}
