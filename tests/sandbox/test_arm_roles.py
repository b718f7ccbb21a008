import pytest

from tests.sandbox.arm_desk import ASSIGNED, ENCRYPTION_USER, GROUP, ONE, SYSTEM, VAULT, Desk, account, estate, pinned

ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"
NAME = "77777777-7777-4777-8777-777777777777"
ROLE = f"/subscriptions/{ONE}/providers/Microsoft.Authorization/roleDefinitions/{ENCRYPTION_USER}"
OTHER = "55555555-5555-5555-5555-555555555555"


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account()))


def _sent(principal: str = OTHER) -> dict[str, dict[str, str]]:
    return {"properties": {"roleDefinitionId": ROLE, "principalId": principal, "principalType": "ServicePrincipal"}}


def test_an_assignment_is_made_with_its_time_and_scope(desk: Desk) -> None:
    made = desk.call("PUT", f"{VAULT}{ASSIGNMENTS}/{NAME}", _sent(), version="2022-04-01")
    assert made.status == 201
    assert made.json()["properties"]["createdOn"] == "2026-11-02T08:00:00.0000000Z"
    assert made.json()["properties"]["scope"] == VAULT
    assert desk.call("PUT", f"{VAULT}{ASSIGNMENTS}/{NAME}", _sent()).json() == made.json()
    assert desk.refused("PUT", f"{VAULT}{ASSIGNMENTS}/{OTHER}", _sent()) == (409, "RoleAssignmentExists")
    changed = desk.refused("PUT", f"{VAULT}{ASSIGNMENTS}/{NAME}", _sent(SYSTEM))
    assert changed == (400, "RoleAssignmentUpdateNotPermitted")
    assert desk.refused("PUT", f"{VAULT}{ASSIGNMENTS}/{OTHER}", {"properties": {}}) == (400, "BadRequestFormat")
    assert desk.call("DELETE", f"{VAULT}{ASSIGNMENTS}/{NAME}").status == 200
    assert desk.call("DELETE", f"{VAULT}{ASSIGNMENTS}/{NAME}").status == 204


def test_assignments_are_listed_at_above_and_below_a_scope(desk: Desk) -> None:
    desk.call("PUT", f"/subscriptions/{ONE}{ASSIGNMENTS}/{NAME}", _sent())

    def principals(scope: str, filter_: str = "") -> list[str]:
        asked = {"filter": filter_} if filter_ else {}
        found = desk.get(f"{scope}{ASSIGNMENTS}", version="2022-04-01", **asked)["value"]
        return sorted(one["properties"]["principalId"] for one in found)

    assert principals(VAULT) == [SYSTEM, ASSIGNED, OTHER]
    assert principals(GROUP) == [SYSTEM, ASSIGNED, OTHER]
    assert principals(GROUP, "atScope()") == [OTHER]
    assert principals(VAULT, f"principalId eq '{SYSTEM}'") == [SYSTEM]
    assert principals(GROUP, f"atScope() and principalId eq '{SYSTEM}'") == []
    assert principals(VAULT, f"assignedTo('{SYSTEM}')") == [SYSTEM]
    assert desk.refused("GET", f"{VAULT}{ASSIGNMENTS}", filter="scope eq 'x'") == (501, "NotInSandbox")


def test_a_grant_through_arm_lets_an_account_use_a_key(desk: Desk) -> None:
    id_ = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/fresh"
    sent = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    principal = desk.call("PUT", id_, sent).json()["identity"]["principalId"]
    assert desk.code(pinned(""), id_) == "KeyVaultAuthenticationFailure"
    desk.call("PUT", f"{VAULT}{ASSIGNMENTS}/{NAME}", _sent(principal))
    assert desk.code(pinned(""), id_) == ""


def test_the_key_vault_roles_are_known_by_name_and_id(desk: Desk) -> None:
    path = f"{VAULT}/providers/Microsoft.Authorization/roleDefinitions"
    assert len(desk.get(path)["value"]) == 5
    found = desk.get(path, filter="roleName eq 'Key Vault Crypto Service Encryption User'")["value"]
    assert [one["name"] for one in found] == [ENCRYPTION_USER]
    assert desk.get(ROLE)["properties"]["type"] == "BuiltInRole"
    assert desk.refused("GET", ROLE[:-1] + "0") == (404, "RoleDefinitionDoesNotExist")
