import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.clock import ManualClock
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault, may, wrap_problem
from sandbox.wire import Json
from sandbox.world import World

NOW = datetime(2026, 11, 2, tzinfo=UTC)
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/contoso-kv"
HOST = "contoso-kv.vault.azure.net"
IDENTITY = "33333333-3333-3333-3333-333333333333"
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
READER = "21090545-7ca7-4776-b22c-e363652d74d2"


def _vault(world: World, **properties: Any) -> Json:
    body = {"id": VAULT, "name": "contoso-kv", "type": "Microsoft.KeyVault/vaults", "location": "westeurope"}
    world.resources.put(body | {"properties": {"vaultUri": f"https://{HOST}/"} | properties})
    return body | {"properties": properties}


def _world(**properties: Any) -> World:
    world = World(clock=ManualClock(NOW))
    policy = {"objectId": IDENTITY.upper(), "permissions": {"keys": ["Get", "WRAPKEY", "unwrapKey"]}}
    _vault(world, **({"accessPolicies": [policy]} | properties))
    world.keyring.add(Key("contoso-kv", "cmk", versions=[KeyVersion("0" * 32, NOW, NOW)]))
    return world


def _grant(world: World, scope: str, role: str = ENCRYPTION_USER, **properties: Any) -> None:
    definition = f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{role}"
    world.resources.put(
        {
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{world.new_id()}",
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {"scope": scope, "principalId": IDENTITY, "roleDefinitionId": definition} | properties,
        }
    )


def _problem(world: World, **changes: Any) -> str | None:
    asked = {"vault_host": HOST, "key_name": "CMK", "version": None, "principal_id": IDENTITY} | changes
    return wrap_problem(world, **asked)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({}, None),
        ({"enabled": False}, "disabled"),
        ({"expires": NOW}, "expired"),
        ({"not_before": NOW + timedelta(seconds=1)}, "not-yet-valid"),
        ({"operations": ("sign", "verify")}, "forbidden"),
    ],
)
def test_a_version_wraps_only_in_its_right_state(attributes: dict[str, Any], problem: str | None) -> None:
    world = _world()
    key = world.keyring.get("contoso-kv", "cmk")
    assert key is not None
    for name, value in attributes.items():
        setattr(key.latest, name, value)
    assert _problem(world) == problem
    assert _problem(world, version="0" * 32) == problem


def test_what_is_not_there_is_named() -> None:
    world = _world()
    assert _problem(world, vault_host="elsewhere.vault.azure.net") == "vault-not-found"
    assert _problem(world, key_name="other") == "key-not-found"
    assert _problem(world, version="1" * 32) == "key-not-found"
    key = world.keyring.get("contoso-kv", "cmk")
    assert key is not None
    key.deleted = NOW
    assert _problem(world) == "deleted"


def test_a_policy_must_give_get_wrap_and_unwrap_whatever_the_case() -> None:
    world = _world()
    assert _problem(world) is None
    assert _problem(world, principal_id="44444444-4444-4444-8444-444444444444") == "forbidden"
    vault = _vault(world, accessPolicies=[{"objectId": IDENTITY, "permissions": {"keys": ["get", "wrapKey"]}}])
    assert _problem(world) == "forbidden"
    assert may(world, vault, IDENTITY, "WrapKey")
    assert not may(world, vault, IDENTITY, "unwrapKey")
    _vault(world, accessPolicies=[{"objectId": IDENTITY, "permissions": {"keys": ["all"]}}])
    assert _problem(world) is None


@pytest.mark.parametrize(
    ("scope", "enough"),
    [
        (VAULT.upper(), True),
        (f"{VAULT}/keys/cmk", True),
        (GROUP, True),
        (GROUP.partition("/resourceGroups")[0], True),
        ("/providers/Microsoft.Management/managementGroups/corp", True),
        ("/", True),
        (f"{VAULT}/keys/other", False),
        (f"{VAULT}2", False),
        (f"{GROUP}0", False),
        ("/providers/Microsoft.Management/managementGroups/others", False),
    ],
)
def test_on_a_vault_with_rbac_a_role_at_or_above_the_key_counts_and_policies_do_not(scope: str, enough: bool) -> None:  # noqa: FBT001
    world = _world(enableRbacAuthorization=True)
    world.subscriptions["11111111-1111-1111-1111-111111111111"] = {"managementGroup": "Corp"}
    assert _problem(world) == "forbidden"
    _grant(world, scope)
    assert (_problem(world) is None) == enough


def test_a_role_that_is_taken_away_no_longer_counts() -> None:
    world = _world(enableRbacAuthorization=True)
    _grant(world, VAULT)
    assert _problem(world) is None
    grant = next(iter(world.resources.of_type("Microsoft.Authorization/roleAssignments")))
    world.resources.remove(grant["id"])
    assert _problem(world) == "forbidden"


def test_a_role_counts_by_its_data_actions_the_sandbox_s_own_definitions_too() -> None:
    world = _world(enableRbacAuthorization=True)
    vault = _vault(world, enableRbacAuthorization=True)
    _grant(world, VAULT, READER)
    asked = ("get", "list", "getrotationpolicy", "wrapKey", "rotate")
    assert [may(world, vault, IDENTITY, one) for one in asked] == [True, True, True, False, False]
    own = "55555555-5555-4555-8555-555555555555"
    actions = ["Microsoft.KeyVault/vaults/keys/rotate/action"]
    world.resources.put(
        {
            "id": f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{own}",
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {"permissions": [{"dataActions": actions}]},
        }
    )
    _grant(world, VAULT, own)
    assert may(world, vault, IDENTITY, "rotate")
    assert not may(world, vault, IDENTITY, "create")


def test_a_role_takes_effect_after_the_time_that_is_set() -> None:
    world = _world(enableRbacAuthorization=True)
    world.memory["vault"] = {"propagation": 300}
    _grant(world, VAULT, createdOn="2026-11-02T00:00:00.1234567Z")
    assert _problem(world) == "forbidden"
    world.clock.shift(timedelta(seconds=301))
    assert _problem(world) is None


def test_services_pass_a_closed_vault_unless_nothing_bypasses() -> None:
    closed = {"publicNetworkAccess": "Disabled"}
    assert _problem(_world(**closed, networkAcls={"bypass": "AzureServices"})) is None
    assert _problem(_world(**closed, networkAcls={"bypass": "None"})) == "forbidden"


def test_a_vault_that_moves_or_goes_is_no_longer_found() -> None:
    world = _world()
    assert find_vault(world, HOST.upper()) is not None
    world.resources.remove(VAULT)
    assert find_vault(world, HOST) is None


def test_ten_thousand_resources_and_grants_do_not_slow_a_check_down() -> None:
    world = _world(enableRbacAuthorization=True)
    for number in range(10_000):
        world.resources.put({"id": f"{GROUP}/providers/X.Y/zs/{number}", "type": "X.Y/zs"})
    for number in range(2_000):
        _grant(world, f"{GROUP}{number}")
    _grant(world, VAULT)
    assert _problem(world) is None
    start = time.perf_counter()
    for _ in range(20):
        assert _problem(world) is None
    assert time.perf_counter() - start < 0.2
