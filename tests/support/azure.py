"""The real app on the in-process sandbox under virtual time: real adapters, real SDK pipelines, a real queue."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar
from unittest import mock

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueClient

from sandbox.cloud import Cloud
from sandbox.estate import build_world
from sandbox.eventgrid.topics import received
from sandbox.identity import identity_header
from sandbox.queues import messages
from sandbox.transport import IDENTITY_ENDPOINT, InProcessTransport
from sandbox.virtual import VirtualClock, run
from sandbox.world import World
from shared.bootstrap import App, build
from shared.domain.keys import parse_key_url
from shared.domain.report import Report
from shared.domain.resource import Address, address_of
from shared.domain.work import WORK_QUEUE, Cause, CheckKey, CheckResource, Source, WorkItem
from shared.ports import Clock
from shared.usecases.handle import handle

T = TypeVar("T")
SUB = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
START = datetime.fromisoformat("2026-05-01T08:00:00+00:00")
OLD, MID, NEW = "a1" * 16, "b2" * 16, "c3" * 16
MARCH = "2026-03-01T00:00:00Z"
TOPIC = "cmk-outcomes.westeurope-1.eventgrid.azure.net"
QUEUE_URI = "https://cmkautopilot.queue.core.windows.net"
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"


def group(subscription: str = SUB) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/rg-data"


def principal_of(name: str) -> str:
    return f"00000000-0000-4000-8000-{int.from_bytes(name.encode()[-6:]):012x}"


def account(
    name: str, version: str = OLD, *, key: str = "cmk", vault: str = "kv-main", **properties: Any
) -> dict[str, Any]:
    """Return a storage account's body; version "" follows, key "" is Microsoft-managed."""
    encryption: dict[str, Any] = {
        "services": {"blob": {"enabled": True, "keyType": "Account", "lastEnabledTime": "2026-01-10T09:12:31Z"}},
        "keySource": "Microsoft.Keyvault" if key else "Microsoft.Storage",
    }
    if key:
        encryption["keyvaultproperties"] = {
            "keyvaulturi": f"https://{vault}.vault.azure.net/",
            "keyname": key,
            "keyversion": version,
        }
    return {
        "id": f"{group()}/providers/Microsoft.Storage/storageAccounts/{name}",
        "name": name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": "westeurope",
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS", "tier": "Standard"},
        "tags": {"owner": "ledger"},
        "identity": {"type": "SystemAssigned", "principalId": principal_of(name), "tenantId": TENANT},
        "properties": {"provisioningState": "Succeeded", "encryption": encryption, **properties},
    }


def scope(of: str, name: str, version: str = OLD, *, key: str = "cmk", vault: str = "kv-main") -> dict[str, Any]:
    """Return an encryption scope's body; version "" follows, key "" is Microsoft-managed."""
    properties: dict[str, Any] = {"source": "Microsoft.KeyVault" if key else "Microsoft.Storage", "state": "Enabled"}
    if key:
        uri = f"https://{vault}.vault.azure.net/keys/{key}"
        properties["keyVaultProperties"] = {"keyUri": f"{uri}/{version}" if version else uri}
    return {
        "id": f"{group()}/providers/Microsoft.Storage/storageAccounts/{of}/encryptionScopes/{name}",
        "name": name,
        "type": "Microsoft.Storage/storageAccounts/encryptionScopes",
        "properties": properties,
    }


def vault(name: str = "kv-main", **properties: Any) -> dict[str, Any]:
    """Return a vault's body: RBAC, soft delete and purge protection on."""
    return {
        "id": f"{group()}/providers/Microsoft.KeyVault/vaults/{name}",
        "name": name,
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "premium"},
            "vaultUri": f"https://{name}.vault.azure.net/",
            "enableSoftDelete": True,
            "enablePurgeProtection": True,
            "enableRbacAuthorization": True,
            "accessPolicies": [],
            **properties,
        },
    }


def audit_events(of: str = "kv-main", *logs: dict[str, Any]) -> dict[str, Any]:
    """Return a vault's diagnostic setting; without logs of its own one that keeps every use of a key."""
    kept = list(logs) or [{"categoryGroup": "audit", "enabled": True}]
    to = f"{group()}/providers/Microsoft.OperationalInsights/workspaces/log"
    return {
        "id": f"{vault(of)['id']}/providers/Microsoft.Insights/diagnosticSettings/kept",
        "name": "kept",
        "type": "Microsoft.Insights/diagnosticSettings",
        "properties": {"workspaceId": to, "logs": kept},
    }


def version(name: str, created: str = "2026-01-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    return {"version": name, "created": created, **more}


def with_two_versions(name: str = "cmk", **more: Any) -> dict[str, Any]:
    """Return a key of the versions OLD and MID, which is from March, as an estate describes it."""
    return {"name": name, "versions": [version(OLD), version(MID, MARCH)], **more}


def estate(
    *resources: dict[str, Any],
    keys: dict[str, Any] | None = None,
    denied: tuple[str, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return an estate: a vault kv-main with a key cmk of versions OLD and MID, all accounts granted but `denied`."""
    bodies = list(resources)
    if not any(body["type"] == "Microsoft.KeyVault/vaults" for body in bodies):
        bodies.append(vault())
    grants = [
        {"scope": one["id"], "principalId": body["identity"]["principalId"], "roleDefinitionId": ENCRYPTION_USER}
        for one in bodies
        if one["type"] == "Microsoft.KeyVault/vaults"
        for body in bodies
        if body.get("identity") and body["name"] not in denied
    ]
    return {
        "subscriptions": [{"subscriptionId": SUB, "displayName": "data", "tenantId": TENANT}],
        "resources": bodies,
        "keys": keys if keys is not None else {"kv-main": [with_two_versions()]},
        "roleAssignments": grants,
        **more,
    }


def body_of(world: World, resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as it is stored now."""
    found = world.resources.get(str(resource["id"]))
    assert found is not None
    return found


def version_in_use(world: World, resource: dict[str, Any]) -> str:
    """Return the version in effect, from the sandbox's own state."""
    properties = body_of(world, resource)["properties"]
    key = properties.get("keyVaultProperties") or properties["encryption"]["keyvaultproperties"]
    return str(key["currentVersionedKeyIdentifier"]).rsplit("/", 1)[1]


def calls_of(world: World, *kinds: str) -> list[str]:
    """Return the calls of these kinds, as "METHOD url"."""
    return [f"{one.method} {one.url.partition('?')[0]}" for one in world.log if one.kind in kinds]


class Azure:
    """One world, one app, and the queue between them."""

    def __init__(self, clock: VirtualClock, described: dict[str, Any], environ: dict[str, str] | None = None) -> None:
        self.clock = clock
        self.world: World = build_world(described, clock=clock)
        self.cloud = Cloud(self.world)
        self.environ = {
            "AzureWebJobsStorage__queueServiceUri": QUEUE_URI,
            "CMK_OUTCOME_TOPIC": f"https://{TOPIC}/api/events",
            **(environ or {}),
        }
        self.app: App = self.instance()
        self.reports: list[Report] = []

    def instance(self) -> App:
        """Return another instance of the app on the same Azure."""
        return build(self.environ, make_transport=self._transport, make_credential=self._credential)

    def _transport(self) -> InProcessTransport:
        return InProcessTransport(self.cloud)

    def _credential(self) -> ManagedIdentityCredential:
        return ManagedIdentityCredential(transport=self._transport())

    @property
    def time(self) -> Clock:
        return self.app.context.ports.clock

    async def put(self, item: WorkItem) -> None:
        await self.app.context.ports.queue.put(item)

    async def check_key(self, url: str = "https://kv-main.vault.azure.net/keys/cmk", **more: Any) -> list[Report]:
        """Put a CheckKey item and work until the queue has nothing visible."""
        await self.put(CheckKey(parse_key_url(url).key, Cause("cause-1", Source.EVENT), self.time.now(), **more))
        return await self.drain()

    async def check(self, resource: dict[str, Any] | str) -> list[Report]:
        """Put a CheckResource item and work until the queue has nothing visible."""
        address = address_of(resource if isinstance(resource, str) else str(resource["id"]))
        now = self.time.now()
        await self.put(CheckResource(address, Cause("cause-1", Source.EVENT), now, now))
        return await self.drain()

    async def drain(self, *, until: timedelta = timedelta(0)) -> list[Report]:
        """Handle messages as they become visible, up to `until` from now; return their reports."""
        found: list[Report] = []
        end = self.time.now() + until
        async with self.queue() as queue:
            while True:
                batch = [message async for message in queue.receive_messages(visibility_timeout=600)]
                for message in batch:
                    found.append(await handle(self.app.context, message.content))
                    await queue.delete_message(message)
                if not batch:
                    coming = self.next_visible()
                    if coming is None or coming > end:
                        break
                    await self._sleep_until(coming)
        self.reports += found
        return found

    def next_visible(self) -> datetime | None:
        """Return when the next message on the work queue becomes visible."""
        times = [message.visible for message in messages(self.world, "cmkautopilot", WORK_QUEUE)]
        return datetime.fromtimestamp(min(times), START.tzinfo) if times else None

    async def _sleep_until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.001, (moment - self.time.now()).total_seconds()))

    def queue(self) -> QueueClient:
        return QueueClient(
            QUEUE_URI,
            WORK_QUEUE,
            credential=self._credential(),
            transport=self._transport(),
            message_decode_policy=TextBase64DecodePolicy(),
        )

    def waiting(self) -> list[str]:
        """Return the messages on the work queue, hidden ones too."""
        return [message.text for message in messages(self.world, "cmkautopilot", WORK_QUEUE)]

    def body(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return a resource as it is stored now."""
        return body_of(self.world, resource)

    def in_use(self, resource: dict[str, Any]) -> str:
        """Return the version in effect, from the sandbox's own state."""
        return version_in_use(self.world, resource)

    def calls(self, *kinds: str) -> list[str]:
        """Return the calls of these kinds, as "METHOD url"."""
        return calls_of(self.world, *kinds)

    def outcomes(self) -> list[dict[str, Any]]:
        """Return what the outcome topic received."""
        return received(self.world, TOPIC)

    def address(self, resource: dict[str, Any]) -> Address:
        return address_of(str(resource["id"]))


def on_azure(
    described: dict[str, Any],
    story: Callable[[Azure], Coroutine[Any, Any, T]],
    *,
    environ: dict[str, str] | None = None,
    seed: int = 1,
) -> T:
    """Run a story against a fresh Azure in virtual time."""

    async def main(clock: VirtualClock) -> T:
        azure = Azure(clock, described, environ)
        identity = {"IDENTITY_ENDPOINT": IDENTITY_ENDPOINT, "IDENTITY_HEADER": identity_header(azure.world)}
        with mock.patch.dict(os.environ, identity):
            return await story(azure)

    return run(main, seed=seed, start=START)
