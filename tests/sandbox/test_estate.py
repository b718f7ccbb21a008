import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import ManualClock
from sandbox.estate import EstateError, build_world, load_estate
from sandbox.wire import Json
from sandbox.world import World
from tests.sandbox.arm_desk import (
    ACCOUNT,
    ASSIGNED,
    GROUP,
    NEW,
    NOW,
    OLD,
    ONE,
    SCOPE,
    UAI,
    URI,
    VAULT,
    account,
    estate,
    scope,
)

WRITTEN = """
subscriptions: [{subscriptionId: 11111111-1111-1111-1111-111111111111, displayName: one, managementGroup: prod}]
tenantId: 33333333-3333-3333-3333-333333333333
seed: 7
latency: 0.25
throttling: off
graphLag: 60
resources:
  - id: $rg1/providers/Microsoft.Storage/storageAccounts/st1
    location: westeurope
    properties: {creationTime: 2026-01-10T09:12:31.1250000Z, number: 5}
keys:
  kv-one:
    - name: cmk-storage
      size: 2048
      managed: true
      tags: {owner: ann}
      rotationPolicy: {attributes: {expiryTime: P90D}}
      versions:
        - {version: 00000000000000000000000000000002, created: 2026-02-01T00:00:00Z, enabled: false}
        - version: 00000000000000000000000000000001
          created: 2026-01-01
          notBefore: null
          expires: 2027-01-01T00:00:00+02:00
roleAssignments:
  - scope: /subscriptions/11111111-1111-1111-1111-111111111111
    principalId: p
    roleDefinitionId: e147488a-f6f5-4113-8e2d-b22465e65bf6
eventSubscriptions: [{source: x, endpoint: y}]
"""


def _build(described: Json) -> World:
    return build_world(described, clock=ManualClock(NOW))


def _body(world: World, id_: str) -> Any:
    found = world.resources.get(id_)
    assert found is not None
    return found


def test_an_estate_is_read_from_yaml_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(WRITTEN.replace("$rg1", GROUP))
    world = _build(load_estate(file))
    assert (world.seed, world.tenant_id) == (7, "33333333-3333-3333-3333-333333333333")
    assert (world.memory["latency"], world.memory["throttling"], world.memory["graph"]["lag"]) == (0.25, False, 60.0)
    assert world.memory["eventSubscriptions"] == [{"source": "x", "endpoint": "y"}]
    body = _body(world, f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st1")
    assert (body["name"], body["type"]) == ("st1", "Microsoft.Storage/storageAccounts")
    assert body["properties"]["creationTime"] == "2026-01-10T09:12:31.1250000Z"
    key = world.keyring.get("kv-one", "cmk-storage")
    assert key is not None
    assert (key.kty, key.bits, key.managed) == ("RSA", 2048, True)
    assert key.rotation_policy == {"attributes": {"expiryTime": "P90D"}}
    assert [one.version[-1] for one in key.versions] == ["1", "2"]
    assert [len(one.version) for one in key.versions] == [32, 32]
    assert [one.enabled for one in key.versions] == [True, False]
    assert key.versions[0].expires == datetime(2026, 12, 31, 22, tzinfo=UTC)
    assert key.versions[0].created == datetime(2026, 1, 1, tzinfo=UTC)
    assert key.latest.tags == {"owner": "ann"}
    (vault,) = world.resources.of_type("Microsoft.KeyVault/vaults")
    assert vault["properties"]["enablePurgeProtection"] is True
    (grant,) = world.resources.of_type("Microsoft.Authorization/roleAssignments")
    assert grant["properties"]["scope"] == f"/subscriptions/{ONE}"
    assert grant["properties"]["roleDefinitionId"].endswith("/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6")


def test_json_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "estate.json"
    file.write_text(json.dumps(estate(account())))
    assert _body(_build(load_estate(file)), ACCOUNT)["name"] == "contosost1"
    file.write_text("{subscriptions: []}")
    assert load_estate(file) == {"subscriptions": []}


@pytest.mark.parametrize("text", ["- a", "a: [", "{'a", ""])
def test_a_file_that_is_no_estate_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(text)
    with pytest.raises(EstateError, match=r"estate\.yaml"):
        load_estate(file)


def test_what_storage_reports_is_filled_in_where_nothing_is_said() -> None:
    world = _build(estate(account(), scope(version="")))
    key = _body(world, ACCOUNT)["properties"]["encryption"]["keyvaultproperties"]
    assert key["currentVersionedKeyIdentifier"] == f"{URI}/keys/cmk1/{OLD}"
    assert key["currentVersionedKeyExpirationTimestamp"] == "1970-01-01T00:00:00Z"
    assert key["lastKeyRotationTimestamp"] == "2026-01-01T00:00:00.0000000Z"
    held = _body(world, SCOPE)["properties"]["keyVaultProperties"]
    assert held["currentVersionedKeyIdentifier"] == f"{URI}/keys/cmk1/{NEW}"


def test_what_an_estate_says_itself_stays() -> None:
    body = account()
    said = {
        "currentVersionedKeyIdentifier": f"{URI}/keys/cmk1/{NEW}",
        "lastKeyRotationTimestamp": "2026-05-05T00:00:00Z",
    }
    body["properties"]["encryption"]["keyvaultproperties"] |= said
    body["properties"]["nothing"] = None
    found = _body(_build(estate(body)), ACCOUNT)["properties"]
    assert found["encryption"]["keyvaultproperties"] == {
        **body["properties"]["encryption"]["keyvaultproperties"],
        "currentVersionedKeyExpirationTimestamp": "1970-01-01T00:00:00Z",
    }
    assert found["nothing"] is None


def test_groups_and_subscriptions_that_are_not_listed_exist_all_the_same() -> None:
    group = {"id": GROUP, "location": "northeurope", "managedBy": VAULT}
    other = ACCOUNT.replace(ONE, "22222222-2222-2222-2222-222222222222")
    world = _build(estate(account(), account(other), group))
    listed = _body(world, GROUP)
    assert (listed["location"], listed["managedBy"], listed["type"]) == (
        "northeurope",
        VAULT,
        "Microsoft.Resources/resourceGroups",
    )
    assert "22222222-2222-2222-2222-222222222222" in world.subscriptions
    assert _body(world, GROUP.replace(ONE, "22222222-2222-2222-2222-222222222222"))["name"] == "rg1"


def test_identities_get_the_principals_that_are_left_out() -> None:
    attached = {
        "type": "SystemAssigned, UserAssigned",
        "userAssignedIdentities": {UAI: {}, UAI + "2": {"clientId": "c"}},
    }
    described = estate(account(identity=attached), {"id": UAI + "2", "location": "westeurope"})
    found = _body(_build(described), ACCOUNT)["identity"]
    assert found["principalId"]
    assert found["userAssignedIdentities"][UAI]["principalId"] == ASSIGNED
    second = found["userAssignedIdentities"][UAI + "2"]
    assert second["clientId"] == "c"
    assert second["principalId"] == _body(_build(described), UAI + "2")["properties"]["principalId"]


def test_keys_may_be_written_as_arm_shows_them() -> None:
    uri = "https://contoso-kv.vault.azure.net:443/keys/cmk2"
    attributes = {"enabled": False, "created": 1767772800, "updated": 1767772801, "exp": 1900000000}
    properties = {"kty": "RSA", "keySize": 2048, "attributes": attributes, "keyUriWithVersion": f"{uri}/{OLD}"}
    body = {"id": f"{VAULT}/keys/cmk2", "properties": properties}
    later = {**properties, "attributes": {"created": 1767772900}, "keyUriWithVersion": f"{uri}/{NEW}"}
    version = {"id": f"{VAULT}/keys/cmk2/versions/{NEW}", "properties": later}
    key = _build(estate(version, body)).keyring.get("contoso-kv", "cmk2")
    assert key is not None
    assert [(one.version, one.enabled) for one in key.versions] == [(OLD, False), (NEW, True)]
    assert key.versions[0].expires == datetime.fromtimestamp(1900000000, UTC)
    assert key.bits == 2048


def test_the_same_seed_gives_the_same_world() -> None:
    described = estate(account(identity={"type": "SystemAssigned"}))
    principals = [_body(_build({**described, "seed": seed}), ACCOUNT)["identity"]["principalId"] for seed in (1, 1, 2)]
    assert principals[0] == principals[1] != principals[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resource": []}, r"^resource: an estate has no such entry"),
        ({"resources": [{"location": "x"}]}, r"^resources\[0\]: has no id"),
        ({"resources": [3]}, r"^resources\[0\]: must be a mapping"),
        ({"resources": {}}, r"^$"),
        ({"resources": {"a": 1}}, r"^resources: must be a list"),
        (
            {"resources": [{"id": "/subscriptions/x/resourceGroups"}]},
            r"^resources\[0\] \(/subscriptions/x/.*does not name",
        ),
        ({"resources": [{"id": "st1"}]}, r"^resources\[0\] \(st1\)"),
        ({"subscriptions": [{}]}, r"^subscriptions\[0\]: has no subscriptionId"),
        ({"roleAssignments": [{"scope": "/"}]}, r"^roleAssignments\[0\]: has no principalId"),
        ({"keys": []}, r"^$"),
        ({"keys": ["a"]}, r"^keys: must map"),
        ({"keys": {"kv": [{}]}}, r"^keys\.kv\[0\]: has no name"),
        (
            {"keys": {"kv": [{"name": "k", "versions": [{"created": "soon"}]}]}},
            r"^keys\.kv\[0\] \(k\): versions\[0\]: ",
        ),
        ({"keys": {"kv": [{"name": "k", "versions": [{"version": "a"}] * 2}]}}, r"^keys\.kv\[0\] \(k\): two of its"),
        ({"latency": 2}, r"^latency: must be between"),
        ({"latency": "slow"}, r"^latency: "),
        ({"graphLag": "long"}, r"^graphLag: "),
        ({"seed": "x"}, r"^seed: "),
        ({"keys": {"kv": [{"name": "k"}]}, "subscriptions": [], "resources": []}, r"^keys\.kv: the vault is not among"),
    ],
)
def test_a_wrong_entry_is_named(change: Json, message: str) -> None:
    described = {"subscriptions": [{"subscriptionId": ONE}], **change}
    if message == "^$":
        assert _build(described)
        return
    with pytest.raises(EstateError, match=message):
        _build(described)


def test_a_curve_needs_no_size() -> None:
    versions = [{"version": "a" * 32, "created": "2026-01-01T00:00:00Z"}]
    keys = {"kv": [{"name": "ec", "kty": "EC", "versions": versions}]}
    found = build_world(
        {"subscriptions": [{"subscriptionId": "s"}], "keys": keys}, clock=ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
    )
    key = found.keyring.get("kv", "ec")
    assert key is not None
    assert key.bits_of(key.latest) == 256
