"""What a person does with az: log in, look at accounts and keys, change them."""

from __future__ import annotations

import json
from typing import Final

from tools.clients.azure import IDENTITY, KEY, NEW, OLD, PINNED, PLAIN, SUBSCRIPTION, TENANT, URI, VAULT, VAULTS, WHO
from tools.clients.azure import account_id as id_of
from tools.clients.looks import (
    follows,
    key_deleted,
    key_has,
    on_platform,
    pinned,
    printed,
    printed_latest,
    printed_names,
    stored,
)
from tools.clients.steps import Step

MOST: Final = 3  # versions that the key cmk has had at the end

_ACCOUNT: Final = ("az", "storage", "account")
_OF: Final = ("-g", "rg-data", "-o", "json")
_KEY: Final = ("az", "keyvault", "key")
_IN: Final = ("--vault-name", VAULT)
_MADE: Final = "made-by-az"
_SCOPE: Final = f"{id_of(PINNED)}/encryptionScopes/invoices"
_POINTER: Final = {"keyvaulturi": URI, "keyname": KEY, "keyversion": OLD}
_PATCH: Final = {"properties": {"encryption": {"keySource": "Microsoft.Keyvault", "keyvaultproperties": _POINTER}}}
_QUERY: Final = {
    "query": "resources | where type =~ 'microsoft.storage/storageaccounts' "
    "| where properties.encryption.keySource =~ 'Microsoft.Keyvault' | project name"
}
_URL: Final = f"https://management.azure.com{id_of(PINNED)}?api-version=2024-01-01"
_GRAPH: Final = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"

LOGIN: Final = Step(
    ("az", "login", "--service-principal", "-u", WHO, "-p", "any", "--tenant", TENANT),
    (printed("0.id", SUBSCRIPTION), printed("0.user.name", WHO)),
)


def update(account: str, *options: str) -> tuple[str, ...]:
    """Return the command that updates a storage account."""
    return (*_ACCOUNT, "update", "-n", account, *_OF, *options)


def pin(version: str, account: str = PINNED) -> Step:
    """Return the step that points an account at a version of its key."""
    return Step(update(account, "--encryption-key-version", version), (pinned(account, version),))


_BY_IDENTITY: Final = ("--user-identity-id", IDENTITY, "--key-vault-user-identity-id", IDENTITY)
_CUSTOMER: Final = (
    *("--encryption-key-source", "Microsoft.Keyvault"),
    *("--encryption-key-vault", URI, "--encryption-key-name", KEY),
)

STORAGE: Final = (
    Step(
        (*_ACCOUNT, "show", "-n", PINNED, *_OF),
        (
            printed("encryption.keyVaultProperties.keyVersion", OLD),
            printed("encryption.keyVaultProperties.currentVersionedKeyIdentifier", f"{URI}/keys/{KEY}/{OLD}"),
        ),
    ),
    Step((*_ACCOUNT, "list", *_OF), (printed_names(PINNED, PLAIN),)),
    pin(NEW),
    pin(OLD),
    Step(update(PINNED, "--encryption-key-version", "9" * 32), (pinned(PINNED, OLD),), "KeyVaultEncryptionKeyNotFound"),
    Step(update(PINNED, "--encryption-key-version", ""), (follows(PINNED),)),
    Step(update(PINNED, "--encryption-key-source", "Microsoft.Storage"), (on_platform(PINNED),)),
    Step(update(PINNED, *_CUSTOMER, "--encryption-key-version", NEW), (pinned(PINNED, NEW),)),
    Step(
        update(PLAIN, "--identity-type", "UserAssigned", *_BY_IDENTITY, *_CUSTOMER),
        (follows(PLAIN), stored(id_of(PLAIN), "identity.type", "UserAssigned")),
    ),
    Step(
        update(PINNED, "--tags", "team=ledger", "seen=az"),
        (pinned(PINNED, NEW), stored(id_of(PINNED), "tags.seen", "az")),
    ),
    Step(
        (
            *_ACCOUNT,
            "encryption-scope",
            "create",
            "--account-name",
            PINNED,
            "-n",
            "invoices",
            *_OF,
            "-s",
            "Microsoft.KeyVault",
            "-u",
            f"{URI}/keys/{KEY}/{OLD}",
        ),
        (stored(_SCOPE, "properties.keyVaultProperties.keyUri", f"{URI}/keys/{KEY}/{OLD}"),),
    ),
    Step(
        (
            *_ACCOUNT,
            "encryption-scope",
            "update",
            "--account-name",
            PINNED,
            "-n",
            "invoices",
            *_OF,
            "-s",
            "Microsoft.KeyVault",
            "-u",
            f"{URI}/keys/{KEY}",
        ),
        (stored(_SCOPE, "properties.keyVaultProperties.currentVersionedKeyIdentifier", f"{URI}/keys/{KEY}/{NEW}"),),
    ),
    Step(
        (*_ACCOUNT, "blob-service-properties", "show", "-n", PINNED, *_OF),
        (printed("deleteRetentionPolicy.enabled", False),),
    ),
)

KEYS: Final = (
    Step(("az", "keyvault", "show", "-n", VAULT, "-o", "json"), (printed("properties.enablePurgeProtection", True),)),
    Step(("az", "keyvault", "list", "-o", "json"), (printed_names(VAULT, "kv-policies"),)),
    Step((*_KEY, "create", *_IN, "-n", _MADE, "--size", "3072"), (printed_latest(_MADE), key_has(_MADE, 1))),
    Step((*_KEY, "show", *_IN, "-n", KEY), (printed_latest(KEY), printed("key.kid", f"{URI}/keys/{KEY}/{NEW}"))),
    Step((*_KEY, "show", "--id", f"{URI}/keys/{KEY}/{OLD}"), (printed("key.kid", f"{URI}/keys/{KEY}/{OLD}"),)),
    Step((*_KEY, "list", *_IN), (printed_names(KEY, _MADE, path="kid"),)),
    Step((*_KEY, "list-versions", *_IN, "-n", KEY), (printed_names(OLD, NEW, path="kid"),)),
    Step((*_KEY, "rotate", *_IN, "-n", _MADE), (printed_latest(_MADE), key_has(_MADE, 2, enabled=True))),
    Step((*_KEY, "set-attributes", *_IN, "-n", _MADE, "--enabled", "false"), (key_has(_MADE, 2, enabled=False),)),
    Step((*_KEY, "rotate", *_IN, "-n", _MADE), (key_has(_MADE, 2),), "Forbidden"),
    Step(
        (
            *_KEY,
            "set-attributes",
            *_IN,
            "-n",
            _MADE,
            "--enabled",
            "true",
            "--expires",
            "2099-06-01T00:00:00Z",
            "--ops",
            "wrapKey",
            "unwrapKey",
            "--tags",
            "by=az",
        ),
        (
            key_has(_MADE, 2, enabled=True, expires="2099-06-01T00:00:00+00:00", tags={"by": "az"}),
            key_has(_MADE, 2, operations=["wrapKey", "unwrapKey"]),
        ),
    ),
    Step((*_KEY, "rotation-policy", "show", *_IN, "-n", _MADE), (printed("id", None),)),
    Step((*_KEY, "delete", *_IN, "-n", _MADE), (key_deleted(_MADE, yes=True),)),
    Step((*_KEY, "recover", *_IN, "-n", _MADE), (key_deleted(_MADE, yes=False),)),
)

REST: Final = (
    Step(("az", "rest", "--method", "get", "--url", _URL), (printed("name", PINNED),)),
    Step(("az", "rest", "--method", "patch", "--url", _URL, "--body", json.dumps(_PATCH)), (pinned(PINNED, OLD),)),
    Step(
        ("az", "rest", "--method", "post", "--url", _GRAPH, "--body", json.dumps(_QUERY)),
        (printed("totalRecords", 2), printed("data.0.name", PINNED), printed("data.1.name", PLAIN)),
    ),
    Step(
        ("az", "rest", "--url", f"{URI}/keys/{KEY}?api-version=7.4", "--resource", "https://vault.azure.net"),
        (printed_latest(KEY),),
    ),
)

AROUND: Final = (
    Step(
        (
            "az",
            "role",
            "assignment",
            "create",
            "--assignee",
            WHO,
            "--role",
            "Key Vault Crypto User",
            "--scope",
            f"{VAULTS}/{VAULT}",
        ),
        (printed("scope", f"{VAULTS}/{VAULT}"),),
    ),
    Step(
        ("az", "role", "assignment", "list", "--scope", f"{VAULTS}/{VAULT}", "--assignee", WHO),
        (printed("0.principalName", WHO), printed("0.roleDefinitionName", "Key Vault Crypto User")),
    ),
    Step(
        (
            "az",
            "lock",
            "create",
            "--lock-type",
            "ReadOnly",
            "-n",
            "closed",
            "--resource",
            PINNED,
            "-g",
            "rg-data",
            "--resource-type",
            "Microsoft.Storage/storageAccounts",
        ),
        (printed("level", "ReadOnly"),),
    ),
    Step(update(PINNED, "--encryption-key-version", NEW), (pinned(PINNED, OLD),), "ScopeLocked"),
    Step(
        (
            "az",
            "lock",
            "delete",
            "-n",
            "closed",
            "--resource",
            PINNED,
            "-g",
            "rg-data",
            "--resource-type",
            "Microsoft.Storage/storageAccounts",
        )
    ),
    Step(
        ("az", "tag", "update", "--resource-id", id_of(PINNED), "--operation", "merge", "--tags", "merged=yes"),
        (stored(id_of(PINNED), "tags", {"team": "ledger", "seen": "az", "merged": "yes"}),),
    ),
)

AS_IDENTITY: Final = (
    Step(("az", "logout")),
    Step(
        ("az", "login", "--identity", "--client-id", "55555555-5555-4555-8555-555555555555"),
        (printed("0.user.name", "userAssignedIdentity"),),
    ),
    Step(("az", "logout")),
    Step(("az", "login", "--identity"), (printed("0.user.name", "systemAssignedIdentity"),)),
    Step((*_ACCOUNT, "show", "-n", PINNED, *_OF), (printed("encryption.keyVaultProperties.keyVersion", OLD),)),
    pin(NEW),
    Step((*_KEY, "rotate", *_IN, "-n", KEY), (printed_latest(KEY), key_has(KEY, MOST))),
)

STEPS: Final = (LOGIN, *STORAGE, *KEYS, *REST, *AROUND, *AS_IDENTITY)
