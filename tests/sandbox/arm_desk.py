"""A small estate and somebody who calls ARM: what the tests of the sandbox's ARM share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from azure.core.credentials import AccessToken

from sandbox import arm, identity, vault
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.estate import build_world
from sandbox.transport import InProcessTransport
from sandbox.wire import Answer, Call, Json
from sandbox.world import Event

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
ONE = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{ONE}/resourceGroups/rg1"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/contosost1"
SCOPE = f"{ACCOUNT}/encryptionScopes/scope1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/contoso-kv"
UAI = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cmk"
URI = "https://contoso-kv.vault.azure.net"
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
SYSTEM = "33333333-3333-3333-3333-333333333333"
ASSIGNED = "44444444-4444-4444-4444-444444444444"
OLD, NEW = "0" * 31 + "1", "0" * 31 + "2"


def account(id_: str = ACCOUNT, version: str = OLD, **more: Any) -> Json:
    """Return an account on the key cmk1; version "" follows."""
    encryption = {
        "services": {"blob": {"keyType": "Account", "enabled": True}},
        "keySource": "Microsoft.Keyvault",
        "keyvaultproperties": {"keyvaulturi": URI, "keyname": "cmk1", "keyversion": version},
    }
    body = {
        "id": id_,
        "location": "westeurope",
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS", "tier": "Standard"},
        "identity": {"type": "SystemAssigned", "principalId": SYSTEM},
        "properties": {"encryption": encryption, "creationTime": "2026-01-01T00:00:00.0000000Z"},
    }
    return body | more


def scope(version: str = OLD) -> Json:
    """Return a scope on the key cmk1; version "" follows."""
    uri = f"{URI}/keys/cmk1/{version}".rstrip("/")
    return {
        "id": SCOPE,
        "properties": {"source": "Microsoft.KeyVault", "state": "Enabled", "keyVaultProperties": {"keyUri": uri}},
    }


def estate(*resources: Json, **more: Any) -> Json:
    """Return an estate: a vault with RBAC, a key in two versions, an identity, two grants, and these resources."""
    protected = {"enablePurgeProtection": True, "enableRbacAuthorization": True, "softDeleteRetentionInDays": 90}
    versions = [
        {"version": OLD, "created": "2026-01-01T00:00:00Z"},
        {"version": NEW, "created": "2026-10-01T00:00:00Z", "expires": "2027-10-01T00:00:00Z"},
    ]
    basis: Json = {
        "subscriptions": [{"subscriptionId": ONE, "displayName": "one", "managementGroup": "prod"}],
        "resources": [
            {"id": VAULT, "location": "westeurope", "properties": protected},
            {"id": UAI, "location": "westeurope", "properties": {"principalId": ASSIGNED, "clientId": ASSIGNED}},
            *resources,
        ],
        "keys": {"contoso-kv": [{"name": "cmk1", "versions": versions}]},
        "roleAssignments": [
            {"scope": VAULT, "principalId": one, "roleDefinitionId": ENCRYPTION_USER} for one in (SYSTEM, ASSIGNED)
        ],
        "latency": 0,
    }
    return basis | more


class Desk:
    """Calls ARM with the app's token."""

    def __init__(self, described: Json) -> None:
        self.clock = ManualClock(NOW)
        self.world = build_world(described, clock=self.clock)
        sites = (
            Site(("management.azure.com",), arm.answer, arm.kind),
            Site((".vault.azure.net",), vault.answer, lambda _: "vault"),
        )
        self.cloud = Cloud(self.world, sites)
        self.transport = InProcessTransport(self.cloud)
        self.heard: list[Event] = []
        self.world.event_listeners.append(self.heard.append)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: str
    ) -> Answer:
        """Send one request; query names are given without their "$"."""
        token, _ = identity.issue(self.world, self.world.app_client_id, "https://management.azure.com")
        names = {"top": "$top", "filter": "$filter", "maxpagesize": "$maxpagesize", "version": "api-version"}
        asked = {"api-version": "2026-09-01"} | {names.get(name, name): value for name, value in query.items()}
        url = path if path.startswith("https:") else f"https://management.azure.com{path}?{urlencode(asked)}"
        sent = {"authorization": f"Bearer {token}", "content-type": "application/json", **(headers or {})}
        return self.cloud.answer(Call(method, url, sent, b"" if body is None else json.dumps(body).encode()))

    def get(self, path: str, **query: str) -> Json:
        """GET and expect 200."""
        found = self.call("GET", path, None, None, **query)
        assert found.status == 200, found.body
        return found.json()  # type: ignore[no-any-return]  # JSON objects in all tests

    def patch(self, path: str, body: Json) -> Json:
        """PATCH and expect 200."""
        found = self.call("PATCH", path, body)
        assert found.status == 200, found.body
        return found.json()  # type: ignore[no-any-return]  # JSON objects in all tests

    def refused(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, str]:
        """Return the status and the error code of a call that is refused."""
        found = self.call(method, path, body, None, **query)
        return found.status, found.json()["error"]["code"]

    def code(self, encryption: Json, path: str = ACCOUNT, **more: Any) -> str:
        """PATCH an account's encryption and return the error code, "" for success."""
        found = self.call("PATCH", path, {"properties": {"encryption": encryption}, **more})
        return "" if found.status == 200 else found.json()["error"]["code"]

    def query(self, text: str, **options: Any) -> Json:
        """Ask Resource Graph and expect 200."""
        dollars = {"top": "$top", "skip": "$skip", "skip_token": "$skipToken"}
        body = {"query": text, "options": {dollars.get(name, name): value for name, value in options.items()}}
        found = self.call("POST", "/providers/Microsoft.ResourceGraph/resources", body)
        assert found.status == 200, found.body
        return found.json()  # type: ignore[no-any-return]  # JSON objects in all tests

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.clock.shift(timedelta(**span))

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Be an SDK's credential."""
        token, expires = identity.issue(self.world, self.world.app_client_id, "https://management.azure.com")
        return AccessToken(token, expires)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


def pinned(version: str, **more: Any) -> Json:
    """Return an `encryption` that points at a version of cmk1, "" to follow."""
    pointer = {"keyvaulturi": URI, "keyname": "cmk1", "keyversion": version}
    return {"keySource": "Microsoft.Keyvault", "keyvaultproperties": pointer, **more}
