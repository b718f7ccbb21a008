"""Which providers a subscription knows, and what a deny assignment forbids."""

import pytest

from sandbox.arm.providers import TAKES
from tests.sandbox.arm_desk import ACCOUNT, GROUP, ONE, VAULT, Desk, account, estate

PROVIDERS = f"/subscriptions/{ONE}/providers"
NEW = f"{GROUP}/providers/Microsoft.KeyVault/vaults/new-kv"
SENT = {"location": "westeurope", "properties": {"sku": {"name": "standard"}}}


@pytest.fixture
def desk() -> Desk:
    described = estate(account())
    described["subscriptions"] = [{"subscriptionId": ONE, "unregistered": ["Microsoft.KeyVault"]}]
    return Desk(described)


def test_a_provider_that_is_not_registered_takes_no_writes_until_it_is(desk: Desk) -> None:
    assert desk.get(f"{PROVIDERS}/Microsoft.KeyVault")["registrationState"] == "NotRegistered"
    assert desk.get(f"{PROVIDERS}/Microsoft.Storage")["registrationState"] == "Registered"
    assert desk.get(f"{PROVIDERS}/Microsoft.EventGrid")["registrationState"] == "Registered"
    assert desk.refused("PUT", NEW, SENT) == (409, "MissingSubscriptionRegistration")
    assert desk.call("GET", VAULT).status == 200
    asked = desk.call("POST", f"{PROVIDERS}/Microsoft.KeyVault/register")
    assert (asked.status, asked.json()["registrationState"]) == (200, "Registering")
    assert desk.refused("PUT", NEW, SENT) == (409, "MissingSubscriptionRegistration")
    desk.later(seconds=TAKES - 1)
    desk.call("POST", f"{PROVIDERS}/Microsoft.KeyVault/register")
    desk.later(seconds=2)
    assert desk.get(f"{PROVIDERS}/Microsoft.KeyVault")["registrationState"] == "Registered"
    assert desk.call("PUT", NEW, SENT).status == 201


def test_a_deny_assignment_forbids_what_it_names_at_and_below_its_scope(desk: Desk) -> None:
    denials = "providers/Microsoft.Authorization/denyAssignments"
    actions = {"permissions": [{"actions": ["Microsoft.Storage/*/write"]}]}
    desk.world.resources.put(
        {"id": f"{GROUP}/{denials}/d", "type": denials.partition("/")[2], "name": "d", "properties": actions}
    )
    assert desk.refused("PATCH", ACCOUNT, {"tags": {}}) == (403, "DenyAssignmentAuthorizationFailed")
    assert desk.call("GET", ACCOUNT).status == 200
    assert desk.call("PATCH", VAULT, {"properties": {}}).status == 409
    assert desk.call("DELETE", ACCOUNT).status == 200
