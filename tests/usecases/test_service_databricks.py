"""Databricks workspaces on the sandbox: three keys, and a PUT of the whole."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.identity import principal_of as application_of
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged
from tests.support.azure import MID, NEW, OLD, Azure, estate, on_azure, version
from tests.support.keyed import in_effect as in_effect_now
from tests.support.keyed import later, new_version, script
from tests.support.moving import URI, asked, changed, end_of, grant, in_effect, resource, snapshot, split, why, wished
from tests.support.policies import allowing

DISKS, STORAGE = "77777777-0000-4000-8000-000000000001", "77777777-0000-4000-8000-000000000002"
DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTITIES, DBFS = "/properties/encryption/entities", "/properties/parameters/encryption/value"


def workspace(*, auto: bool = False) -> dict[str, Any]:
    vault = {"keySource": "Microsoft.Keyvault"}
    entities = {
        "managedServices": {**vault, "keyVaultProperties": split(OLD)},
        "managedDisk": {**vault, "keyVaultProperties": split(OLD), "rotationToLatestKeyVersionEnabled": auto},
    }
    dbfs = {**vault, "KeyName": "cmk", "keyversion": OLD, "keyvaulturi": f"{URI}/"}
    properties = {
        "provisioningState": "Succeeded",
        "managedResourceGroupId": "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-managed",
        "workspaceId": "1234567890123456",
        "workspaceUrl": "adb-1.1.azuredatabricks.net",
        "createdDateTime": "2026-01-10T09:12:31Z",
        "managedDiskIdentity": {"principalId": DISKS, "type": "SystemAssigned"},
        "storageAccountIdentity": {"principalId": STORAGE, "type": "SystemAssigned"},
        "parameters": {"prepareEncryption": {"value": True}, "encryption": {"value": dbfs}},
        "encryption": {"entities": entities},
        "somethingNew": {"nested": [1, 2]},
    }
    return resource("Microsoft.Databricks/workspaces", "dbw1", properties, sku={"name": "premium"})


def described(one: dict[str, Any]) -> dict[str, Any]:
    found = estate(one)
    found["roleAssignments"] += [grant(DISKS), grant(STORAGE)]
    return found


def let_in(azure: Azure) -> None:
    """Grant the key to Databricks itself, an application whose object id goes by the tenant."""
    body = grant(application_of(azure.world, DATABRICKS))
    azure.world.resources.put(
        {
            "id": f"{body['scope']}/providers/Microsoft.Authorization/roleAssignments/2",
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {**body, "roleDefinitionId": f"/x/{body['roleDefinitionId']}"},
        }
    )


def test_the_three_keys_move_by_one_put_and_nothing_else_changes(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        let_in(azure)
        before = snapshot(azure, one)
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        assert asked(azure) == ["PUT dbw1"]
        assert changed(azure, before) == {
            f"{ENTITIES}/managedServices/keyVaultProperties/keyVersion": MID,
            f"{ENTITIES}/managedDisk/keyVaultProperties/keyVersion": MID,
            f"{DBFS}/keyversion": MID,
        }
        assert list(in_effect(azure, one["id"]).values()) == [MID] * 3
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.CONFIGURED

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put"))


@pytest.mark.parametrize("may", [(), ("unproven",), ("put",)])
def test_nothing_is_written_where_no_rule_allows_it(may: tuple[str, ...], tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        assert why((await azure.check(one))[-1]) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, *may))


def test_disks_that_rotate_by_themselves_are_left_to_it_and_the_other_two_move(tmp_path: Path) -> None:
    one = workspace(auto=True)

    async def story(azure: Azure) -> None:
        let_in(azure)
        before = snapshot(azure, one)
        await azure.check(one)
        await azure.drain(until=timedelta(hours=4))
        assert changed(azure, before) == {
            f"{ENTITIES}/managedServices/keyVaultProperties/keyVersion": MID,
            f"{ENTITIES}/managedDisk/keyVaultProperties/keyVersion": MID,  # that they follow to: all is sent
            f"{DBFS}/keyversion": MID,
        }
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.UNKNOWN

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put"))


def test_disks_that_have_followed_are_never_taken_back_by_the_move_of_the_others(tmp_path: Path) -> None:
    one = workspace(auto=True)

    async def story(azure: Azure) -> None:
        let_in(azure)
        new_version(azure, NEW)
        await later(azure, hours=2)
        assert NEW in in_effect_now(azure, one)  # while the body still names OLD
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        assert set(in_effect(azure, one["id"]).values()) == {NEW}

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put"))


def test_nothing_is_sent_while_what_the_disks_follow_cannot_be_named(tmp_path: Path) -> None:
    one = workspace(auto=True)
    one["properties"]["encryption"]["entities"]["managedDisk"]["keyVaultProperties"]["keyName"] = "disks"
    found = described(one)
    rows = [version(OLD), version(MID, "2026-03-01T00:00:00Z", enabled=False)]
    found["keys"] = {"kv-main": [*found["keys"]["kv-main"], {"name": "disks", "versions": rows}]}

    async def story(azure: Azure) -> None:
        let_in(azure)
        assert Reason.LATEST_UNUSABLE in why((await azure.check(one))[-1])
        assert asked(azure) == []

    on_azure(found, story, environ=allowing(tmp_path, "unproven", "put"))


def test_only_the_disks_follow_where_a_rule_asks_for_it(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        let_in(azure)
        before = snapshot(azure, one)
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        paths = changed(azure, before)
        assert paths.pop(f"{ENTITIES}/managedDisk/rotationToLatestKeyVersionEnabled") is True
        assert set(paths.values()) == {MID}
        assert len(paths) == 3

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put", version="follow"))


def test_an_operation_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        let_in(azure)
        script(azure, do="fail", seconds=30, code="KeyVaultAccessForbidden")
        await azure.check(one)
        await azure.drain(until=timedelta(seconds=100))
        assert why(azure.reports[-1]) == {Reason.KEY_ACCESS_DENIED}
        assert azure.body(one)["properties"]["parameters"]["encryption"]["value"]["keyversion"] == OLD
        assert set(in_effect(azure, one["id"]).values()) == {OLD}
        await azure.drain(until=timedelta(minutes=15))  # the grant may only have been spreading, so it is tried again
        assert isinstance(end_of(azure, one["id"]).outcome, Converged)

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_wish_for_a_slot_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        assert why(await wished(azure, one["id"], key=f"{URI}/keys/cmk", slot="disk")) == {Reason.BAD_REQUEST}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put", "irreversible"))


def test_the_dbfs_root_alone_goes_back_to_the_platforms_key(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        let_in(azure)
        before = snapshot(azure, one)
        report = await wished(azure, one["id"], revert=True)
        assert report.reasons == (Reason.CANNOT, Reason.CANNOT)
        gone = dict.fromkeys((f"{DBFS}/KeyName", f"{DBFS}/keyversion", f"{DBFS}/keyvaulturi"))
        assert changed(azure, before) == {f"{DBFS}/keySource": "Default", **gone}

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "put"))
