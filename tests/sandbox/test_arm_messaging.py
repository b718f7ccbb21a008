import pytest

from sandbox.wire import Json
from tests.sandbox.arm_desk import ASSIGNED, NEW, OLD, SYSTEM, UAI, URI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, revoke, rotate

TYPES = ["Microsoft.EventHub/namespaces", "Microsoft.ServiceBus/namespaces"]
PREMIUM = {"sku": {"name": "Premium"}}


def one(version: str = "", name: str = "cmk1", **more: object) -> Json:
    return {"keyName": name, "keyVaultUri": URI, "keyVersion": version, **more}


def keys(*several: Json | None) -> Json:
    return {"properties": {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": list(several)}}}


@pytest.fixture(params=TYPES)
def space(request: pytest.FixtureRequest) -> Json:
    return body(request.param, "ns", keys(one(OLD), one(OLD, "other"))["properties"], **PREMIUM)


@pytest.fixture
def at(space: Json) -> Desk:
    return desk(space)


def test_a_patch_replaces_the_whole_list_at_once(at: Desk, space: Json) -> None:
    assert effective(at, space["id"]) == [OLD, OLD]
    after = at.patch(space["id"], keys(one(NEW)))
    assert after["properties"]["encryption"]["keyVaultProperties"] == [one(NEW)]
    assert effective(at, space["id"]) == [NEW]


def test_a_namespace_has_at_most_three_keys(at: Desk, space: Json) -> None:
    many = [one(OLD), one(NEW), one(OLD, "other"), one(OLD, "small")]
    assert at.refused("PATCH", space["id"], keys(*many)) == (400, "BadRequest")
    assert len(at.patch(space["id"], keys(*many[:3]))["properties"]["encryption"]["keyVaultProperties"]) == 3


@pytest.mark.parametrize(
    "sent", [keys(), {"properties": {"encryption": None}}, keys(one(NEW), {"keyName": "cmk1"}), keys(None)]
)
def test_keys_are_never_left_again_and_each_entry_names_one(at: Desk, space: Json, sent: Json) -> None:
    assert at.refused("PATCH", space["id"], sent) == (400, "BadRequest")


def test_a_first_key_wants_a_premium_namespace_that_is_empty(space: Json) -> None:
    plain = [body(space["id"].split("/providers/")[1].rpartition("/")[0], name, {}) for name in ("a", "b", "c")]
    full = {"id": f"{plain[1]['id']}/{'eventhubs' if 'EventHub' in plain[1]['id'] else 'queues'}/q", "properties": {}}
    at = desk(plain[0], plain[1] | PREMIUM, plain[2] | PREMIUM, full)
    assert at.refused("PATCH", plain[0]["id"], keys(one(NEW))) == (400, "BadRequest")
    assert at.refused("PATCH", plain[1]["id"], keys(one(NEW))) == (400, "BadRequest")
    assert at.patch(plain[2]["id"], keys(one(NEW)))["id"] == plain[2]["id"]


def test_every_key_of_the_list_must_be_usable(at: Desk, space: Json) -> None:
    rotate(at).enabled = False
    assert at.refused("PATCH", space["id"], keys(one(NEW), one(NEWER))) == (400, "KeyVaultAccessForbidden")
    assert at.refused("PATCH", space["id"], keys(one(NEW), one(OLD, "curve"))) == (400, "BadRequest")


def test_a_key_that_is_sent_again_as_it_was_is_not_asked_for_while_another_moves(at: Desk, space: Json) -> None:
    theirs = {**one(OLD), "keyVaultUri": "https://kv-theirs.vault.azure.net"}
    held = at.world.resources.get(space["id"])
    assert held is not None
    at.world.resources.put({**held, **keys(one(OLD), theirs)})
    assert at.patch(space["id"], keys(one(NEW), theirs))["properties"]["encryption"]["keyVaultProperties"][1] == theirs
    assert at.refused("PATCH", space["id"], keys(one(NEW), theirs)) == (400, "BadRequest")


def test_an_entry_names_the_identity_that_reaches_its_key(at: Desk, space: Json) -> None:
    chosen = keys(one(NEW, identity={"userAssignedIdentity": UAI}))
    assert at.refused("PATCH", space["id"], chosen) == (400, "KeyVaultAccessForbidden")
    both = {"type": "SystemAssigned,UserAssigned", "principalId": SYSTEM, "userAssignedIdentities": {UAI: {}}}
    revoke(at)
    assert at.patch(space["id"], {"identity": both, **chosen})["identity"]["userAssignedIdentities"][UAI]
    revoke(at, ASSIGNED)
    assert at.refused("PATCH", space["id"], chosen) == (400, "KeyVaultAccessForbidden")


def test_an_entry_without_a_version_follows_every_five_minutes_and_one_with_a_version_stays(
    at: Desk, space: Json
) -> None:
    at.patch(space["id"], keys(one(), one(OLD, "other")))
    rotate(at)
    rotate(at, "other")
    at.later(minutes=5)
    assert effective(at, space["id"]) == [NEWER, OLD]
