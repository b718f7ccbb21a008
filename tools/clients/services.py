"""What a person does with az about the keys of other services, and about keys that come from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tools.clients.az import LOGIN
from tools.clients.azure import DATA, IDENTITY, KEY, NEW, OLD, URI, VAULT, VAULTS
from tools.clients.looks import printed, printed_latest, printed_names, stored
from tools.clients.steps import Step

ESTATE: Final = Path(__file__).with_name("services.yaml")
_AT: Final = f"{URI}/keys/{KEY}"
_PROVIDERS: Final = f"{DATA}/providers"
_SET: Final = f"{_PROVIDERS}/Microsoft.Compute/diskEncryptionSets/des-clients"
_DISK: Final = f"{_PROVIDERS}/Microsoft.Compute/disks/disk-clients"
_PROTECTOR: Final = f"{_PROVIDERS}/Microsoft.Sql/servers/sql-clients/encryptionProtector/current"
_STORE: Final = f"{_PROVIDERS}/Microsoft.AppConfiguration/configurationStores/appcs-clients"
_REGISTRY: Final = f"{_PROVIDERS}/Microsoft.ContainerRegistry/registries/acrclients"
_AI: Final = f"{_PROVIDERS}/Microsoft.CognitiveServices/accounts/ai-clients"
_POINTER: Final = {"keyName": KEY, "keyVersion": NEW, "keyVaultUri": URI}
_ENCRYPTION: Final = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": _POINTER}
_POLICY: Final = {
    "lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}],
    "attributes": {"expiryTime": "P2Y"},
}
_LOGS: Final = [{"category": "AuditEvent", "enabled": True}]


def _az(*words: str, last: object = None) -> tuple[str, ...]:
    """Return a command: the words of several texts, and what is JSON behind them."""
    return ("az", *" ".join(words).split(), *(() if last is None else (json.dumps(last),)))


def _in_data(*words: str, last: object = None) -> tuple[str, ...]:
    """Return a command about something in the resource group rg-data."""
    return (*_az(*words, last=last), "-g", "rg-data")


COMPUTE: Final = (
    Step(
        _in_data(
            "disk-encryption-set create -n des-new -l westeurope",
            f"--source-vault {VAULTS}/{VAULT} --key-url {_AT}/{OLD}",
        ),
        (printed("identity.type", "SystemAssigned"),),
    ),
    Step(
        _in_data("disk-encryption-set update -n des-clients", f"--source-vault {VAULTS}/{VAULT} --key-url {_AT}/{NEW}"),
        (stored(_SET, "properties.activeKey.keyUrl", f"{_AT}/{NEW}"),),
    ),
    Step(
        _in_data(
            "disk create -n disk-clients --size-gb 4 -l westeurope --disk-encryption-set des-clients",
            "--encryption-type EncryptionAtRestWithCustomerKey",
        ),
        (stored(_DISK, "properties.encryption.diskEncryptionSetId", _SET),),
    ),
    Step(_in_data("disk-encryption-set list-associated-resources -n des-clients"), (printed("0", _DISK),)),
)

DATABASES: Final = (
    Step(
        _in_data(
            f"cosmosdb update -n cosmos-clients --key-uri {_AT} --default-identity UserAssignedIdentity={IDENTITY}"
        ),
        (printed("keyVaultKeyUriVersion", NEW),),
    ),
    Step(_in_data(f"sql server key create -s sql-clients -k {_AT}/{NEW}"), (printed("uri", f"{_AT}/{NEW}"),)),
    Step(
        _in_data(f"sql server tde-key set -s sql-clients -t AzureKeyVault -k {_AT}/{NEW}"),
        (stored(_PROTECTOR, "properties.serverKeyName", f"{VAULT}_{KEY}_{NEW}"),),
    ),
    Step(_in_data("sql server tde-key revalidate -s sql-clients")),
)

OTHERS: Final = (
    Step(
        _in_data("cognitiveservices account update -n ai-clients --encryption", last=_ENCRYPTION),
        (stored(_AI, "properties.encryption.keyVaultProperties.keyVersion", NEW),),
    ),
    Step(
        _in_data(
            "eventhubs namespace encryption add --namespace-name evh-clients",
            f"--encryption-config key-name={KEY} key-vault-uri={URI} key-version={NEW}",
        ),
        (printed("encryption.keyVaultProperties.1.keyVersion", ""),),
    ),
    Step(
        _az(f"acr encryption rotate-key -n acrclients --key-encryption-key {_AT}"),
        (stored(_REGISTRY, "properties.encryption.keyVaultProperties.keyRotationEnabled", True),),
    ),
    Step(_az("appconfig show -n appcs-clients"), (printed("endpoint", "https://appcs-clients.azconfig.io"),)),
    Step(
        _in_data(
            "appconfig update -n appcs-clients",
            f"--encryption-key-name {KEY} --encryption-key-version {NEW} --encryption-key-vault {URI}",
        ),
        (stored(_STORE, "properties.encryption.keyVaultProperties.keyIdentifier", f"{_AT}/{NEW}"),),
    ),
)

AROUND: Final = (
    Step(_az(f"keyvault key backup --vault-name {VAULT} -n {KEY} --file key.backup")),
    Step(
        _az("keyvault key restore --vault-name kv-policies --file key.backup"),
        (printed("key.kid", f"https://kv-policies.vault.azure.net/keys/{KEY}/{NEW}"),),
    ),
    Step(
        _az(f"keyvault key create --vault-name {VAULT} -n short-lived --expires 2099-01-01T00:00:00Z"),
        (printed_latest("short-lived"),),
    ),
    Step(
        _az(f"resource update --set tags.seen=resource-update --ids {_STORE}"),
        (stored(_STORE, "tags.seen", "resource-update"),),
    ),
    Step(
        _az(f"keyvault key rotation-policy update --vault-name {VAULT} -n {KEY} --value", last=_POLICY),
        (printed("expiresIn", "P2Y"),),
    ),
    Step(_az("account management-group list"), (printed_names("clients"),)),
    Step(_az("provider show -n Microsoft.Insights"), (printed("registrationState", "Registered"),)),
    Step(
        _az(
            f"monitor diagnostic-settings create -n audit --resource {VAULTS}/{VAULT}",
            f"--workspace {_PROVIDERS}/Microsoft.OperationalInsights/workspaces/ws --logs",
            last=_LOGS,
        ),
        (printed("logs.0.enabled", True),),
    ),
)

STEPS: Final = (LOGIN, *COMPUTE, *DATABASES, *OTHERS, *AROUND)
