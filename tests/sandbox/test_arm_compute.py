from typing import Any

import pytest

from sandbox.wire import Json
from tests.sandbox.arm_desk import GROUP, NEW, OLD, ONE, SYSTEM, VAULT, Desk
from tests.sandbox.keyed_desk import (
    NEWER,
    OTHER,
    body,
    desk,
    effective,
    ended,
    grant,
    key,
    revoke,
    rotate,
    script,
    wrong,
)

SETS = "Microsoft.Compute/diskEncryptionSets"


def active(version: str = NEW, **more: Any) -> Json:
    return {"properties": {"activeKey": {"keyUrl": key(version)}, **more}}


SET = body(SETS, "des1", {**active(OLD)["properties"], "encryptionType": "EncryptionAtRestWithCustomerKey"})
AUTO = body(SETS, "des2", {**active(NEW)["properties"], "rotationToLatestKeyVersionEnabled": True})
ON_SET = {"type": "EncryptionAtRestWithCustomerKey", "diskEncryptionSetId": SET["id"]}
ON_PLATFORM = {"type": "EncryptionAtRestWithPlatformKey"}
DISK = body("Microsoft.Compute/disks", "disk1", {"diskState": "Unattached", "encryption": ON_PLATFORM})


def _url(at: Desk, id_: str) -> str:
    return str(at.get(id_)["properties"]["activeKey"]["keyUrl"])


def test_a_set_moves_as_an_operation_and_names_the_previous_key_meanwhile() -> None:
    at = desk(SET)
    answer = at.call("PATCH", SET["id"], active())
    assert answer.status == 202
    meanwhile = at.get(SET["id"])["properties"]
    assert (meanwhile["provisioningState"], meanwhile["activeKey"]["keyUrl"]) == ("Updating", key(NEW))
    assert [one["keyUrl"] for one in meanwhile["previousKeys"]] == [key(OLD)]
    assert ended(at, answer)["status"] == "Succeeded"
    after = at.get(SET["id"])["properties"]
    assert (after["provisioningState"], after["previousKeys"]) == ("Succeeded", [])
    assert after["lastKeyRotationTimestamp"] > "2026-11-02T08:00:00"
    assert effective(at, SET["id"]) == [NEW]


def test_a_move_that_fails_shows_the_old_key_again() -> None:
    at = desk(SET)
    script(at, do="fail", code="KeyVaultAccessForbidden")
    ended(at, at.call("PATCH", SET["id"], active()))
    after = at.get(SET["id"])["properties"]
    assert (after["provisioningState"], after["activeKey"]["keyUrl"]) == ("Failed", key(OLD))
    assert effective(at, SET["id"]) == [OLD]


@pytest.mark.parametrize(
    "sent",
    [
        {"activeKey": {"keyUrl": key()}},
        {"activeKey": {"keyUrl": key(), "sourceVault": None}, "rotationToLatestKeyVersionEnabled": True},
        {"activeKey": None},
        {"activeKey": {"keyUrl": "https://contoso-kv.vault.azure.net/secrets/cmk1/1"}},
        {"encryptionType": "EncryptionAtRestWithPlatformAndCustomerKeys"},
        {"activeKey": {"keyUrl": key(NEW), "sourceVault": {"id": VAULT.replace(ONE, "9" * 36)}}},
        {"activeKey": {"keyUrl": key(NEW), "sourceVault": {"id": VAULT.replace("contoso", "other")}}},
    ],
)
def test_a_set_always_names_a_version_and_its_own_vault_and_never_changes_its_kind(sent: Json) -> None:
    at = desk(SET)
    assert at.refused("PATCH", SET["id"], {"properties": sent}) == (400, "InvalidParameter")


@pytest.mark.parametrize("uri", [f"https://far-kv.vault.azure.net/keys/cmk1/{OLD}", f"{key()[:-4]}curve/{OLD}"])
def test_a_key_of_another_region_or_of_another_type_fails_at_the_end(uri: str) -> None:
    assert wrong(desk(SET), "PATCH", SET["id"], {"properties": {"activeKey": {"keyUrl": uri}}}) == "InvalidParameter"


def test_another_key_of_the_vault_is_taken_and_one_that_the_identity_cannot_use_is_not() -> None:
    at = desk(SET)
    assert wrong(at, "PATCH", SET["id"], {"properties": {"activeKey": {"keyUrl": OTHER}}}) == ""
    revoke(at)
    assert wrong(at, "PATCH", SET["id"], active()) == "KeyVaultAccessForbidden"


def test_a_second_write_meanwhile_is_a_conflict() -> None:
    at = desk(SET)
    at.call("PATCH", SET["id"], active())
    assert at.refused("PATCH", SET["id"], active(OLD)) == (409, "Conflict")


def test_with_rotation_to_the_latest_a_set_rewrites_its_url_within_an_hour() -> None:
    at = desk(SET, AUTO)
    rotate(at)
    assert _url(at, AUTO["id"]) == key(NEW)
    at.later(hours=1)
    assert _url(at, AUTO["id"]) == key(NEWER)
    assert _url(at, SET["id"]) == key(OLD)


def test_a_set_that_cannot_look_says_so_and_goes_on_when_it_can_again() -> None:
    at = desk(AUTO)
    revoke(at)
    rotate(at)
    at.later(hours=1)
    assert at.get(AUTO["id"])["properties"]["autoKeyRotationError"]["code"] == "KeyVaultAccessForbidden"
    assert _url(at, AUTO["id"]) == key(NEW)
    grant(at, SYSTEM)
    at.later(hours=1)
    assert _url(at, AUTO["id"]) == key(NEWER)
    assert "autoKeyRotationError" not in at.get(AUTO["id"])["properties"]


def test_rotation_is_switched_on_with_a_versioned_url_and_then_follows() -> None:
    at = desk(SET)
    sent = active(NEW, rotationToLatestKeyVersionEnabled=True)
    assert wrong(at, "PATCH", SET["id"], sent) == ""
    rotate(at)
    at.later(hours=1)
    assert effective(at, SET["id"]) == [NEWER]


def test_a_disk_is_put_on_a_set_and_the_set_names_it() -> None:
    cluster = body("Microsoft.Web/sites", "app", {"diskEncryptionSetID": SET["id"].upper()})
    at = desk(SET, DISK, cluster)
    ended(at, at.call("PATCH", DISK["id"], {"properties": {"encryption": ON_SET}}))
    found = at.get(f"{SET['id']}/associatedResources")
    assert found["value"] == [DISK["id"], cluster["id"]]
    assert at.get(DISK["id"])["properties"]["provisioningState"] == "Succeeded"


def test_a_disk_goes_back_unless_it_is_attached_or_has_incremental_snapshots() -> None:
    used = body("Microsoft.Compute/disks", "used", {"encryption": ON_SET}, managedBy=f"{GROUP}/x/y/z")
    free = body("Microsoft.Compute/disks", "free", {"encryption": ON_SET})
    kept = body("Microsoft.Compute/disks", "kept", {"encryption": ON_SET})
    copy = {"incremental": True, "creationData": {"sourceResourceId": kept["id"]}}
    at = desk(SET, used, free, kept, body("Microsoft.Compute/snapshots", "copy", copy))
    back = {"properties": {"encryption": ON_PLATFORM}}
    for one in (used, kept):
        assert at.refused("PATCH", one["id"], back) == (409, "OperationNotAllowed")
    ended(at, at.call("PATCH", free["id"], back))
    assert at.get(free["id"])["properties"]["encryption"] == ON_PLATFORM


def test_a_disk_wants_a_set_that_is_there_and_in_its_region() -> None:
    at = desk(SET | {"location": "eastus"}, DISK)
    nowhere = ON_SET | {"diskEncryptionSetId": f"{SET['id']}9"}
    assert at.refused("PATCH", DISK["id"], {"properties": {"encryption": nowhere}}) == (404, "NotFound")
    assert at.refused("PATCH", DISK["id"], {"properties": {"encryption": ON_SET}}) == (400, "InvalidParameter")
