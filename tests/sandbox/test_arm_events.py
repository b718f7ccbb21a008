import pytest

from sandbox.world import Event
from tests.sandbox.arm_desk import ACCOUNT, GROUP, NEW, ONE, SCOPE, VAULT, Desk, account, estate, pinned, scope

WRITE = "Microsoft.Resources.ResourceWriteSuccess"
OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account(), scope()))


def _one(desk: Desk, type_: str) -> Event:
    (found,) = [event for event in desk.heard if event.type == type_]
    return found


def test_a_write_names_who_did_what_to_which_resource(desk: Desk) -> None:
    headers = {"x-ms-correlation-request-id": "c-1", "x-ms-client-request-id": "r-1"}
    desk.call("PATCH", ACCOUNT, {"properties": {"encryption": pinned(NEW)}}, headers)
    event = _one(desk, WRITE)
    lowered = ACCOUNT.replace("resourceGroups", "resourcegroups")
    assert (event.topic, event.subject, event.data_version) == (f"/subscriptions/{ONE}", lowered, "2")
    data = event.data
    assert data["claims"][OID] == desk.world.app_principal_id
    assert data["claims"]["appid"] == desk.world.app_client_id
    assert data["correlationId"] == "c-1"
    assert data["httpRequest"]["clientRequestId"] == "r-1"
    assert data["httpRequest"]["method"] == "PATCH"
    assert data["operationName"] == data["authorization"]["action"] == "Microsoft.Storage/storageAccounts/write"
    assert (data["resourceProvider"], data["resourceUri"], data["status"]) == (
        "Microsoft.Storage",
        lowered,
        "Succeeded",
    )


def test_a_creation_carries_no_request(desk: Desk) -> None:
    desk.call("PUT", f"{GROUP}/providers/Microsoft.Web/sites/app", {"location": "westeurope"})
    assert "httpRequest" not in _one(desk, WRITE).data


def test_a_notification_shows_the_resource_with_numbers_for_booleans(desk: Desk) -> None:
    desk.call("PATCH", ACCOUNT, {"properties": {"allowBlobPublicAccess": False}}, version="2019-06-01")
    event = _one(desk, "Microsoft.ResourceNotifications.Resources.CreatedOrUpdated")
    shown = event.data["resourceInfo"]
    assert (event.subject, shown["id"], event.data["apiVersion"]) == (ACCOUNT, ACCOUNT, "2019-06-01")
    assert shown["properties"]["allowBlobPublicAccess"] == 0
    assert shown["properties"]["allowBlobPublicAccess"] is not False
    assert shown["properties"]["encryption"]["keySource"] == "Microsoft.Keyvault"


def test_a_delete_is_told_twice_over_and_only_when_something_was_there(desk: Desk) -> None:
    desk.call("DELETE", ACCOUNT)
    desk.call("DELETE", ACCOUNT)
    deleted = _one(desk, "Microsoft.Resources.ResourceDeleteSuccess")
    assert (deleted.subject, deleted.data["operationName"]) == (ACCOUNT, "Microsoft.Storage/storageAccounts/delete")
    shown = _one(desk, "Microsoft.ResourceNotifications.Resources.Deleted").data
    assert shown["resourceInfo"] == {"id": ACCOUNT, "name": "contosost1", "type": "Microsoft.Storage/storageAccounts"}


def test_children_extensions_and_actions_have_their_own_operations(desk: Desk) -> None:
    desk.call("PATCH", SCOPE, {"properties": {"state": "Disabled"}})
    desk.call("PUT", f"{VAULT}/providers/Microsoft.Authorization/locks/l", {"properties": {"level": "CanNotDelete"}})
    desk.call("POST", f"{ACCOUNT}/listKeys")
    named = [event.data["operationName"] for event in desk.heard if event.type.startswith("Microsoft.Resources.")]
    assert named == [
        "Microsoft.Storage/storageAccounts/encryptionScopes/write",
        "Microsoft.Authorization/locks/write",
        "Microsoft.Storage/storageAccounts/listKeys/action",
    ]


def test_reading_and_being_refused_tells_nothing(desk: Desk) -> None:
    desk.call("GET", ACCOUNT)
    desk.call("PATCH", ACCOUNT, {"properties": {"encryption": pinned("f" * 32)}})
    desk.call("DELETE", SCOPE)
    assert desk.heard == []
