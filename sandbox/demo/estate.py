"""The estate of the demo: several subscriptions, regions and vaults; accounts and scopes, pinned and following."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from sandbox.wire import Json

TENANT = "22222222-2222-4222-8222-222222222222"
KEY_VAULT = "kv-ledger"
KEY = "cmk-storage"
REGIONS = ("westeurope", "northeurope", "swedencentral")
OLDEST, OLD = "5d1c0b7e9f3a4c62b8d7e6f5a4b3c2d1", "8e2f1a0b3c4d5e6f708192a3b4c5d6e7"
_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User
# What the resources are, in parts of a hundred. The last two do not use the key: nobody may touch them.
MIX = {
    "pinned account": 30,
    "pinned scope": 46,
    "following account": 4,
    "following scope": 8,
    "account on Microsoft's key": 8,
    "account on another key": 4,
}


def make(resources: int, seed: int, mix: Mapping[str, int] = MIX) -> Json:
    """Return an estate of that many accounts and scopes. The same seed gives the same estate."""
    chance = random.Random(f"estate {seed}")
    subscriptions = [_guid(chance) for _ in range(min(16, max(6, resources // 125)))]
    kinds = [kind for kind, share in mix.items() for _ in range(max(1, resources * share // 100))]
    kinds = (kinds + ["pinned account"] * resources)[:resources]
    homes = [_account(chance, number, kind, subscriptions) for number, kind in enumerate(kinds) if "account" in kind]
    scopes = [_scope(chance, number, kind, homes) for number, kind in enumerate(kinds) if "scope" in kind]
    vaults = [_vault(name, subscriptions[number]) for number, name in enumerate((KEY_VAULT, "kv-archive", "kv-people"))]
    return {
        "seed": seed,
        "tenantId": TENANT,
        "graphLag": 1,
        "subscriptions": [
            {"subscriptionId": id_, "displayName": f"team-{number:02}", "tenantId": TENANT, "managementGroup": "ledger"}
            for number, id_ in enumerate(subscriptions)
        ],
        "resources": [*vaults, *homes, *scopes],
        "keys": {KEY_VAULT: [_key(KEY)], "kv-archive": [_key("cmk-archive")], "kv-people": [_key("cmk-people")]},
        "roleAssignments": [_grant(vault, home) for vault in vaults for home in homes if _reaches(home, vault)],
    }


def _account(chance: random.Random, number: int, kind: str, subscriptions: list[str]) -> Json:
    subscription = subscriptions[number % len(subscriptions)]
    name = f"stledger{number:05}"
    encryption: dict[str, Any] = {
        "services": {what: {"enabled": True, "keyType": "Account"} for what in ("blob", "file")},
        "keySource": "Microsoft.Storage",
    }
    if "Microsoft" not in kind:
        other = kind == "account on another key"
        encryption["keySource"] = "Microsoft.Keyvault"
        encryption["keyvaultproperties"] = {
            "keyvaulturi": f"https://{'kv-archive' if other else KEY_VAULT}.vault.azure.net/",
            "keyname": "cmk-archive" if other else KEY,
            "keyversion": "" if kind.startswith("following") else OLD,
        }
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/rg-ledger-{number % 7}"
        f"/providers/Microsoft.Storage/storageAccounts/{name}",
        "name": name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": REGIONS[number // len(subscriptions) % len(REGIONS)],
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS", "tier": "Standard"},
        "tags": {"team": f"team-{number % len(subscriptions):02}"},
        "identity": {"type": "SystemAssigned", "principalId": _guid(chance), "tenantId": TENANT},
        "properties": {"provisioningState": "Succeeded", "accessTier": "Hot", "encryption": encryption},
    }


def _scope(chance: random.Random, number: int, kind: str, homes: list[Json]) -> Json:
    home = chance.choice(homes)
    uri = f"https://{KEY_VAULT}.vault.azure.net/keys/{KEY}"
    return {
        "id": f"{home['id']}/encryptionScopes/scope{number:05}",
        "name": f"scope{number:05}",
        "type": "Microsoft.Storage/storageAccounts/encryptionScopes",
        "properties": {
            "source": "Microsoft.KeyVault",
            "state": "Enabled",
            "keyVaultProperties": {"keyUri": uri if kind.startswith("following") else f"{uri}/{OLD}"},
        },
    }


def _vault(name: str, subscription: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/rg-keys/providers/Microsoft.KeyVault/vaults/{name}",
        "name": name,
        "type": "Microsoft.KeyVault/vaults",
        "location": REGIONS[0],
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "premium"},
            "vaultUri": f"https://{name}.vault.azure.net/",
            "enableSoftDelete": True,
            "enablePurgeProtection": True,
            "enableRbacAuthorization": True,
            "accessPolicies": [],
        },
    }


def _key(name: str) -> Json:
    versions = [
        {"version": OLDEST, "created": "2025-11-03T06:00:00Z", "enabled": True, "notBefore": None, "expires": None},
        {"version": OLD, "created": "2026-05-04T06:00:00Z", "enabled": True, "notBefore": None, "expires": None},
    ]
    return {"name": name, "kty": "RSA-HSM", "size": 3072, "versions": versions}


def _reaches(home: Json, vault: Json) -> bool:
    key = home["properties"]["encryption"].get("keyvaultproperties") or {}
    # Scopes go by their account's identity, and any account may hold scopes on the ledger's key.
    return vault["name"] == KEY_VAULT or f"/{vault['name']}." in str(key.get("keyvaulturi"))


def _grant(vault: Json, home: Json) -> Json:
    return {
        "scope": vault["id"],
        "principalId": home["identity"]["principalId"],
        "roleDefinitionId": _ENCRYPTION_USER,
    }


def _guid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
