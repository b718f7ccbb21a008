import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import time_machine
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.keyvault.aio import KeyVaultManagementClient
from azure.mgmt.keyvault.models import AccessPolicyUpdateKind, VaultAccessPolicyParameters
from azure.mgmt.resourcegraph.aio import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import (
    Encryption,
    EncryptionScope,
    KeyVaultProperties,
    StorageAccountUpdateParameters,
)

from tests.sandbox.arm_desk import ACCOUNT, NEW, NOW, ONE, SCOPE, URI, Desk, account, estate, pinned, scope


def _run(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()

    with time_machine.travel(NOW, tick=True):
        asyncio.run(run())


def _update(**properties: Any) -> StorageAccountUpdateParameters:
    return StorageAccountUpdateParameters({"properties": properties})


def test_the_storage_sdk_moves_accounts_and_scopes() -> None:
    desk = Desk(estate(account(), scope()))

    async def main() -> None:
        async with StorageManagementClient(desk, ONE, transport=desk.transport) as client:
            properties = KeyVaultProperties(key_vault_uri=URI, key_name="cmk1", key_version=NEW)
            wanted = Encryption(key_source="Microsoft.Keyvault", key_vault_properties=properties)
            after = await client.storage_accounts.update("rg1", "contosost1", _update(encryption=wanted.as_dict()))
            assert after.encryption is not None
            assert after.encryption.key_vault_properties is not None
            assert after.encryption.key_vault_properties.current_versioned_key_identifier == f"{URI}/keys/cmk1/{NEW}"
            names = [one.name async for one in client.encryption_scopes.list("rg1", "contosost1", maxpagesize=1)]
            assert names == ["scope1"]
            moved = EncryptionScope({"properties": {"keyVaultProperties": {"keyUri": f"{URI}/keys/cmk1/{NEW}"}}})
            assert (await client.encryption_scopes.patch("rg1", "contosost1", "scope1", moved)).id == SCOPE
            assert [one.id async for one in client.storage_accounts.list()] == [ACCOUNT]
            with pytest.raises(HttpResponseError) as refused:
                await client.storage_accounts.update("rg1", "contosost1", _update(encryption=pinned("f" * 32)))
            assert refused.value.error is not None
            assert refused.value.error.code == "KeyVaultEncryptionKeyNotFound"
            with pytest.raises(ResourceNotFoundError):
                await client.storage_accounts.get_properties("rg1", "nothere")

    _run(main)


def test_the_storage_sdk_creates_and_deletes_accounts() -> None:
    desk = Desk(estate())

    async def main() -> None:
        async with StorageManagementClient(desk, ONE, transport=desk.transport) as client:
            poller = await client.storage_accounts.begin_create(
                "rg1", "fresh", {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
            )
            assert (await poller.result()).name == "fresh"
            await client.storage_accounts.delete("rg1", "fresh")
            assert [one.id async for one in client.storage_accounts.list()] == []

    _run(main)


def test_the_key_vault_sdk_reads_vaults_and_keys_and_changes_policies() -> None:
    desk = Desk(estate())

    async def main() -> None:
        async with KeyVaultManagementClient(desk, ONE, transport=desk.transport) as client:
            assert [one.name async for one in client.vaults.list_by_subscription()] == ["contoso-kv"]
            assert [one.name async for one in client.vaults.list_by_resource_group("rg1", top=1)] == ["contoso-kv"]
            assert [one.name async for one in client.keys.list("rg1", "contoso-kv")] == ["cmk1"]
            versions = [one.name async for one in client.keys.list_versions("rg1", "contoso-kv", "cmk1")]
            assert versions[-1] == NEW
            entry = {"tenantId": ONE, "objectId": ONE, "permissions": {"keys": ["get"]}}
            parameters = VaultAccessPolicyParameters({"properties": {"accessPolicies": [entry]}})
            await client.vaults.update_access_policy("rg1", "contoso-kv", AccessPolicyUpdateKind.ADD, parameters)
            vault = await client.vaults.get("rg1", "contoso-kv")
            assert [one.object_id for one in vault.properties.access_policies or []] == [ONE]

    _run(main)


def test_the_resource_graph_sdk_pages_through_all_rows() -> None:
    ids = [ACCOUNT.replace("contosost1", f"st{number:04}") for number in range(25)]
    desk = Desk(estate(*(account(id_) for id_ in ids)))

    async def main() -> None:
        async with ResourceGraphClient(desk, transport=desk.transport) as client:
            found: list[str] = []
            token: str | None = None
            while True:
                options = QueryRequestOptions(top=10, skip_token=token)
                text = "resources | where type =~ 'Microsoft.Storage/storageAccounts' | project id | order by id asc"
                answer = await client.resources(QueryRequest(query=text, options=options))
                rows: Any = answer.data
                found += [row["id"] for row in rows]
                assert answer.total_records == 25
                token = answer.skip_token
                if token is None:
                    break
            assert found == ids

    _run(main)


def test_a_throttled_sdk_waits_as_it_is_told_and_goes_on() -> None:
    desk = Desk(estate(account()))

    async def main() -> None:
        async with StorageManagementClient(desk, ONE, transport=desk.transport) as client:
            for _ in range(10):
                await client.storage_accounts.update("rg1", "contosost1", StorageAccountUpdateParameters(tags={}))
            with pytest.raises(HttpResponseError) as refused:
                await client.storage_accounts.update(
                    "rg1", "contosost1", StorageAccountUpdateParameters(tags={}), retry_total=0
                )
            response: Any = refused.value.response
            assert response.headers["Retry-After"] == "1"

    _run(main)


def test_a_call_costs_well_under_a_millisecond_with_ten_thousand_resources() -> None:
    ids = [ACCOUNT.replace("contosost1", f"st{number:05}") for number in range(10_000)]
    desk = Desk(estate(*(account(id_, version="") for id_ in ids), throttling="off"))
    begin = time.perf_counter()
    for id_ in ids[::50]:
        assert desk.call("GET", id_).status == 200
        assert desk.call("PATCH", id_, {"properties": {"encryption": pinned(NEW)}}).status == 200
    assert (time.perf_counter() - begin) / 400 < 0.003  # generous: other tests run beside this one
