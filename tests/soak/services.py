"""Resources of other types than storage, as a run's estate has them: each points at the key in its service's way.

Together they answer a change in every way that there is: at once, with an operation to poll, with a Location only, and
with a body and an operation all the same; some want an ETag, some take a whole PUT, one takes two requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.arm.keyed import cosmos
from tests.support.azure import TENANT, group, principal_of, vault
from tests.support.moving import URI, key, resource, split

Json = dict[str, Any]
PINNED, FOLLOWING = "pinned", "following"
_IDENTITY = f"{group()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-soak"
_PRINCIPAL, _CLIENT = principal_of("id-soak"), "99999999-0000-4000-8000-00000000000c"
IDENTITY: Json = {
    "id": _IDENTITY,
    "name": "id-soak",
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "location": "westeurope",
    "properties": {"principalId": _PRINCIPAL, "clientId": _CLIENT, "tenantId": TENANT},
}
ASSIGNED: Json = {
    "type": "UserAssigned",
    "userAssignedIdentities": {_IDENTITY: {"principalId": _PRINCIPAL, "clientId": _CLIENT}},
}
_ATTACHED = {"identity": {**ASSIGNED, "principalId": _PRINCIPAL}}  # for the estate's grants


@dataclass(frozen=True)
class Kind:
    """A service: how its properties look on a version ("" where it follows), and what else its body has."""

    type: str
    properties: Callable[[str], Json]
    ways: tuple[str, ...] = (PINNED, FOLLOWING)
    more: Callable[[], Json] = dict

    def body(self, name: str, version: str) -> Json:
        """Return a resource of this kind."""
        return resource(self.type, name, {"provisioningState": "Succeeded", **self.properties(version)}, **self.more())


def _by_source(version: str) -> Json:
    return {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": split(version)}}


def _by_uri(version: str) -> Json:
    return {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": {"keyIdentifier": key(version)}}}


def _registry(version: str) -> Json:
    return {"encryption": {"status": "enabled", "keyVaultProperties": {"keyIdentifier": key(version)}}}


def _store(version: str) -> Json:
    return {"encryption": {"keyVaultProperties": {"keyIdentifier": key(version)}}}


def _automation(version: str) -> Json:
    pointer = {"keyvaultUri": URI, "keyName": "cmk", "keyVersion": version}
    return {"encryption": {"keySource": "Microsoft.Keyvault", "keyVaultProperties": pointer}}


def _factory(version: str) -> Json:
    return {"encryption": {"vaultBaseUrl": URI, "keyName": "cmk", "keyVersion": version}}


def _cluster(version: str) -> Json:
    return {"state": "Running", "keyVaultProperties": split(version)}


def _namespace(version: str) -> Json:
    return {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": [split(version)]}}


def _server(version: str) -> Json:
    data = {"type": "AzureKeyVault", "primaryKeyURI": key(version), "primaryUserAssignedIdentityId": _IDENTITY}
    return {"state": "Ready", "dataEncryption": data}


def _set(version: str, *, follows: bool = False) -> Json:
    return {
        "activeKey": {"keyUrl": key(version), "sourceVault": {"id": vault()["id"]}},
        "previousKeys": [],
        "encryptionType": "EncryptionAtRestWithCustomerKey",
        "rotationToLatestKeyVersionEnabled": follows,
    }


def _workspace(version: str) -> Json:
    pointer = {"keyVaultArmId": vault()["id"], "keyIdentifier": key(version), "identityClientId": ""}
    return {"encryption": {"status": "Enabled", "keyVaultProperties": pointer}}


def _database(_version: str) -> Json:
    return {"defaultIdentity": "SystemAssignedIdentity", "keyVaultKeyUri": key(""), "capabilities": []}


def _premium() -> Json:
    return {"sku": {"name": "Premium", "tier": "Premium", "capacity": 1}}


KINDS = (
    Kind("Microsoft.CognitiveServices/accounts", _by_source, (PINNED,), lambda: {"kind": "FormRecognizer"}),
    Kind("Microsoft.CognitiveServices/accounts", _by_source, more=lambda: {"kind": "AIServices"}),
    Kind("Microsoft.Compute/diskEncryptionSets", _set, (PINNED,)),
    Kind("Microsoft.ContainerRegistry/registries", _registry, more=_premium),
    Kind("Microsoft.AppConfiguration/configurationStores", _store),
    Kind("Microsoft.Automation/automationAccounts", _automation, (PINNED,)),
    Kind("Microsoft.Batch/batchAccounts", _by_uri),
    Kind("Microsoft.DataFactory/factories", _factory, more=lambda: {"eTag": '"1"'}),
    Kind("Microsoft.Kusto/clusters", _cluster),
    Kind("Microsoft.OperationalInsights/clusters", _cluster),
    Kind("Microsoft.EventHub/namespaces", _namespace, more=_premium),
    Kind("Microsoft.ServiceBus/namespaces", _namespace, more=_premium),
    Kind("Microsoft.DBforPostgreSQL/flexibleServers", _server, more=lambda: _ATTACHED),
    Kind("Microsoft.DBforMySQL/flexibleServers", _server, (PINNED,), lambda: _ATTACHED),
    Kind("Microsoft.MachineLearningServices/workspaces", _workspace, (PINNED,), lambda: {"kind": "Default"}),
    Kind("Microsoft.DocumentDB/databaseAccounts", _database, (FOLLOWING,)),
)
_AT_ONCE = ("Automation", "Batch", "DataFactory", "EventHub", "ServiceBus", "DocumentDB")
LONG = tuple(number for number, kind in enumerate(KINDS) if not any(f".{one}/" in kind.type for one in _AT_ONCE))
APPLICATION = cosmos.APPLICATION  # reaches the key itself, for the workspaces above


def drawn(dice: random.Random, number: int, versions: tuple[str, ...]) -> tuple[list[Json], dict[str, Any]]:
    """Return one or more bodies that belong together, and the objects of a search service by collection."""
    name, version = f"svc{number}", dice.choice(versions)
    chosen = dice.choice(LONG) if dice.random() < 0.4 else dice.randrange(len(KINDS) + 4)
    if chosen < len(KINDS):
        kind = KINDS[chosen]
        follows = dice.choice((kind.ways[0], *kind.ways)) == FOLLOWING  # who is pinned has to be moved
        return [kind.body(name, "" if follows else version)], {}
    if chosen == len(KINDS):
        return [resource("Microsoft.Compute/diskEncryptionSets", name, _set(version, follows=True))], {}
    if chosen == len(KINDS) + 1:
        return _search(name), {name: _objects(dice, versions)}
    return _sql(name, version, follows=dice.random() < 0.3), {}


def _sql(name: str, version: str, *, follows: bool) -> list[Json]:
    server = resource("Microsoft.Sql/servers", name, {"state": "Ready"})
    known = f"kv-main_cmk_{version}"
    properties = {"serverKeyType": "AzureKeyVault", "uri": key(version)}
    pointing = {"serverKeyType": "AzureKeyVault", "serverKeyName": known, "autoRotationEnabled": follows}
    return [
        server,
        _below(server, "keys", known, properties),
        {**_below(server, "encryptionProtector", "current", pointing), "location": "westeurope"},
    ]


def _below(parent: Json, collection: str, name: str, properties: Json) -> Json:
    id_ = f"{parent['id']}/{collection}/{name}"
    return {"id": id_, "name": name, "type": f"{parent['type']}/{collection}", "properties": properties}


def _search(name: str) -> list[Json]:
    entra = {"provisioningState": "succeeded", "authOptions": {"aadOrApiKey": {"aadAuthFailureMode": "http403"}}}
    return [resource("Microsoft.Search/searchServices", name, entra, sku={"name": "standard"})]


def _objects(dice: random.Random, versions: tuple[str, ...]) -> dict[str, list[Json]]:
    def keyed(version: str) -> Json:
        pointer = {"keyVaultUri": URI, "keyVaultKeyName": "cmk", "keyVaultKeyVersion": version, "identity": None}
        return {"encryptionKey": pointer}

    fields = [{"name": "id", "type": "Edm.String", "key": True}]
    return {
        "indexes": [{"name": "hotels", "fields": fields, **keyed(dice.choice(versions))}],
        "synonymmaps": [{"name": "words", "format": "solr", "synonyms": "a, b", **keyed(dice.choice((*versions, "")))}],
    }
