"""The estate of the second act: one or two resources of every other type, and how each must end when its key rotates.

How each ends is written down here, from what the services document (docs/services.md), not asked of the app.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.arm.keyed import cosmos
from sandbox.demo.estate import OLD, OLDEST, TENANT
from sandbox.identity import principal_of
from sandbox.wire import Json
from sandbox.world import World

KEY: Final = "cmk-services"
VAULT, POLICIES_VAULT = "kv-services", "kv-openai"  # Azure OpenAI takes keys of vaults with access policies only
VAULTS: Final = (VAULT, POLICIES_VAULT)
OPERATIONS: Final = 0.02  # of a long-running operation's real time: 0.1 to 5 s
REGION: Final = "westeurope"
_SUBSCRIPTION: Final = "5e41ce50-0000-4000-8000-000000000001"
_GROUP: Final = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-services"
_CRYPTO_USER: Final = "12338af0-0e69-4776-bea7-57ae8d297424"  # also encrypts and decrypts, as clusters do
_ASSIGNED: Final = f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-services"
_CLIENT, _PRINCIPAL = "5e41ce50-0000-4000-8000-00000000000c", "5e41ce50-0000-4000-8000-00000000000d"
_SYSTEM: Final = "5e41ce50-0000-4000-8000-00000000000e"  # one principal for all: grants are not what this is about
_DATABRICKS: Final = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
WAYS: Final = ("pinned", "following")
VERIFIED, CONFIGURED, UNKNOWN = "verified", "configured", "unknown"

_URI: Final = f"https://{VAULT}.vault.azure.net"
_PINNED, _FOLLOWED = f"{_URI}/keys/{KEY}/{OLD}", f"{_URI}/keys/{KEY}"
_SPLIT: Final = {"keyVaultUri": _URI, "keyName": KEY}
_AT_OLD: Final = {**_SPLIT, "keyVersion": OLD}
_BOTH: Final = {"type": "UserAssigned", "userAssignedIdentities": {_ASSIGNED: {}}}


@dataclass(frozen=True)
class Row:
    """A resource of the second act, and how it must end: verified | configured | unknown | the reason why not."""

    type: str
    name: str  # below its parents: "server/current"
    how: str  # pinned | following
    ends: str
    body: Json = field(default_factory=dict)
    vault: str = VAULT

    @property
    def id(self) -> str:
        """Return the resource's id."""
        provider, *types = self.type.split("/")
        pairs = "/".join(f"{type_}/{name}" for type_, name in zip(types, self.name.split("/"), strict=True))
        return f"{_GROUP}/providers/{provider}/{pairs}"


def _row(type_: str, name: str, how: str, ends: str, properties: Json, **more: Any) -> Row:
    vault = more.pop("vault", VAULT)
    system = {"type": "SystemAssigned", "principalId": _SYSTEM, "tenantId": TENANT}
    top = {} if "/" in name else {"identity": system, "location": REGION, "tags": {"team": "services"}}
    body = {**top, "properties": {"provisioningState": "Succeeded", **properties}, **more}
    return Row(f"Microsoft.{type_}", name, how, ends, body, vault)


def _by_uri(holder: str, source: str = "", **more: Any) -> Iterator[tuple[str, str, Json]]:
    """Yield both ways to name a key by its URI: a suffix, how, and the `encryption` that says so."""
    for how, uri in (("pinned", _PINNED), ("following", _FOLLOWED)):
        chosen = {"keySource": source} if source else {}
        yield how[:3], how, {"encryption": {**chosen, **more, "keyVaultProperties": {holder: uri}}}


def _plain() -> Iterator[Row]:
    for short, how, properties in _by_uri("keyIdentifier"):
        yield _row("AppConfiguration/configurationStores", f"appcs-{short}", how, _sure(how), properties)
    for short, how, properties in _by_uri("keyIdentifier", "Microsoft.KeyVault"):
        yield _row("Batch/batchAccounts", f"batch{short}", how, _sure(how), properties)
    for short, how, properties in _by_uri("keyIdentifier", status="enabled"):
        yield _row("ContainerRegistry/registries", f"acr{short}", how, VERIFIED, properties)
    for short, how, key in (("pin", "pinned", _AT_OLD), ("fol", "following", _SPLIT)):
        yield _row("Kusto/clusters", f"adx{short}", how, _sure(how), {"state": "Running", "keyVaultProperties": key})
        yield _row("OperationalInsights/clusters", f"log-{short}", how, _sure(how), {"keyVaultProperties": key})
        several = {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": [key]}}
        for type_, name in (("EventHub", "evh"), ("ServiceBus", "sb")):
            premium = {"name": "Premium", "tier": "Premium", "capacity": 1}
            yield _row(f"{type_}/namespaces", f"{name}-{short}", how, _sure(how), several, sku=premium)
        factory = {"encryption": {"vaultBaseUrl": _URI, **{name: key[name] for name in key if name != "keyVaultUri"}}}
        yield _row("DataFactory/factories", f"adf-{short}", how, _sure(how), factory, eTag='"1"')
    automation = {"keyvaultUri": _URI, "keyName": KEY, "keyVersion": OLD}
    properties = {"encryption": {"keySource": "Microsoft.Keyvault", "keyVaultProperties": automation}}
    yield _row("Automation/automationAccounts", "aa-pin", "pinned", CONFIGURED, properties)


def _ai() -> Iterator[Row]:
    on = {"keySource": "Microsoft.KeyVault"}
    pinned = {"encryption": {**on, "keyVaultProperties": _AT_OLD}}
    following = {"encryption": {**on, "keyVaultProperties": _SPLIT}}
    policies = {**_AT_OLD, "keyVaultUri": f"https://{POLICIES_VAULT}.vault.azure.net"}
    accounts = "CognitiveServices/accounts"
    yield _row(accounts, "ai-forms", "pinned", CONFIGURED, pinned, kind="FormRecognizer")
    yield _row(accounts, "ai-foundry", "following", UNKNOWN, following, kind="AIServices")
    openai = {"encryption": {**on, "keyVaultProperties": policies}}
    yield _row(accounts, "ai-openai", "pinned", CONFIGURED, openai, kind="OpenAI", vault=POLICIES_VAULT)
    scope = {"state": "Enabled", **on, "keyVaultProperties": _AT_OLD}
    yield _row(f"{accounts}/encryptionScopes", "ai-forms/invoices", "pinned", CONFIGURED, scope)
    vault = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{VAULT}"
    for kind, ends in (("Default", CONFIGURED), ("Project", "managed_by_azure")):
        key: Json = {"keyVaultArmId": vault, "keyIdentifier": _PINNED, "identityClientId": ""}
        properties: Json = {"encryption": {"status": "Enabled", "keyVaultProperties": key}}
        if kind == "Project":
            properties["hubResourceId"] = f"{_GROUP}/providers/Microsoft.MachineLearningServices/workspaces/hub"
        name = f"ml-{kind.lower()}"
        yield _row("MachineLearningServices/workspaces", name, "pinned", ends, properties, kind=kind)


def _compute() -> Iterator[Row]:
    for short, how in (("pin", "pinned"), ("fol", "following")):
        active: Json = {
            "keyUrl": _PINNED,
            "sourceVault": {"id": f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{VAULT}"},
        }
        properties: Json = {
            "activeKey": active,
            "previousKeys": [],
            "encryptionType": "EncryptionAtRestWithCustomerKey",
        }
        properties["rotationToLatestKeyVersionEnabled"] = how == "following"
        yield _row("Compute/diskEncryptionSets", f"des-{short}", how, VERIFIED, properties)
        kms: Json = {"enabled": True, "keyVaultNetworkAccess": "Public", "keyVaultResourceId": ""}
        kms["keyId"] = _PINNED if how == "pinned" else _FOLLOWED
        cluster: Json = {
            "kubernetesVersion": "1.33.2",
            "dnsPrefix": "aks",
            "agentPoolProfiles": [{"name": "pool", "count": 3}],
        }
        cluster |= {"servicePrincipalProfile": {"clientId": "msi"}, "securityProfile": {"azureKeyVaultKms": kms}}
        type_ = "ContainerService/managedClusters"
        yield _row(type_, f"aks-{short}", how, _sure(how), cluster, identity=_BOTH, eTag="one")
    group = {"vaultBaseUrl": _URI, "keyName": KEY, "keyVersion": OLD, "identity": _ASSIGNED}
    properties = {"osType": "Linux", "containers": [{"name": "app"}], "encryptionProperties": group}
    yield _row("ContainerInstance/containerGroups", "ci-app", "pinned", "recreate_only", properties, identity=_BOTH)


def _data() -> Iterator[Row]:
    cosmos_db = {"defaultIdentity": "FirstPartyIdentity", "keyVaultKeyUri": _FOLLOWED, "capabilities": []}
    yield _row("DocumentDB/databaseAccounts", "cosmos-fol", "following", VERIFIED, cosmos_db)
    for type_, name, how in (("MySQL", "mysql-pin", "pinned"), *(("PostgreSQL", f"pg-{one[:3]}", one) for one in WAYS)):
        uri = _PINNED if how == "pinned" else _FOLLOWED
        key: Json = {"type": "AzureKeyVault", "primaryKeyURI": uri, "primaryUserAssignedIdentityId": _ASSIGNED}
        properties: Json = {"state": "Ready", "dataEncryption": key}
        yield _row(f"DBfor{type_}/flexibleServers", name, how, _sure(how), properties, identity=_BOTH)
    for type_, name, how in (("servers", "sql-pin", "pinned"), ("managedInstances", "sqlmi-fol", "following")):
        protector: Json = {"serverKeyType": "AzureKeyVault", "serverKeyName": f"{VAULT}_{KEY}_{OLD}"}
        protector |= {"autoRotationEnabled": how == "following"}
        yield _row(f"Sql/{type_}/encryptionProtector", f"{name}/current", how, VERIFIED, protector)
    key = {"name": "default", "keyVaultUrl": _FOLLOWED}
    cmk: Json = {"cmk": {"status": "Consistent", "key": key, "kekIdentity": {"useSystemAssignedIdentity": True}}}
    yield _row("Synapse/workspaces", "syn-data", "pinned", "hop_only", {"encryption": cmk})
    vault: Json = {"keySource": "Microsoft.Keyvault"}
    disk: Json = {**vault, "keyVaultProperties": _AT_OLD, "rotationToLatestKeyVersionEnabled": False}
    entities = {"managedServices": {**vault, "keyVaultProperties": _AT_OLD}, "managedDisk": disk}
    dbfs = {**vault, "KeyName": KEY, "keyversion": OLD, "keyvaulturi": _URI}
    workspace = {
        "managedResourceGroupId": f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-managed",
        "managedDiskIdentity": {"principalId": _SYSTEM},
        "storageAccountIdentity": {"principalId": _SYSTEM},
        "parameters": {"prepareEncryption": {"value": True}, "encryption": {"value": dbfs}},
        "encryption": {"entities": entities},
    }
    yield _row("Databricks/workspaces", "dbw-pin", "pinned", CONFIGURED, workspace, sku={"name": "premium"})


def _search() -> Iterator[Row]:
    for collection, name, how in (("indexes", "hotels", "pinned"), ("synonymmaps", "words", "following")):
        version = OLD if how == "pinned" else ""
        key = {"keyVaultUri": _URI, "keyVaultKeyName": KEY, "keyVaultKeyVersion": version, "identity": None}
        own = {"fields": [{"name": "id", "key": True}]} if collection == "indexes" else {"synonyms": "a, b"}
        body = {"name": name, **own, "encryptionKey": key}
        yield Row(f"Microsoft.Search/searchServices/{collection}", f"srch-data/{name}", how, _sure(how), body)


def _sure(how: str) -> str:
    """Return how a service ends that does not say which version is in effect."""
    return CONFIGURED if how == "pinned" else UNKNOWN


ROWS: Final = (*_plain(), *_ai(), *_compute(), *_data(), *_search())


def make(seed: int) -> Json:
    """Return the estate of these resources. The seed must be the first act's: the app's sign-in follows from it."""
    searched: dict[str, list[Json]] = {}
    for row in ROWS:
        if "/searchServices/" in row.type:
            searched.setdefault(row.type.rpartition("/")[2], []).append(row.body)
    rows = [{"id": row.id, **row.body} for row in ROWS if "/searchServices/" not in row.type]
    assigned = {"id": _ASSIGNED, "location": REGION, "properties": {"clientId": _CLIENT, "principalId": _PRINCIPAL}}
    subscription = {"subscriptionId": _SUBSCRIPTION, "displayName": "services", "tenantId": TENANT}
    return {
        "seed": seed,
        "tenantId": TENANT,
        "graphLag": 1,
        "operations": OPERATIONS,
        "subscriptions": [subscription],
        "resources": [*(_vault(name) for name in VAULTS), assigned, *_parents(), *rows],
        "search": {"srch-data": searched},
        "keys": {name: [_key()] for name in VAULTS},
        "roleAssignments": [_grant(one) for one in (_SYSTEM, _PRINCIPAL, *_applications(seed))],
    }


def _parents() -> Iterator[Json]:
    """Yield what only holds others: SQL servers with the keys they know, and the search service."""
    uri = {"serverKeyType": "AzureKeyVault", "uri": _PINNED}
    system = {"type": "SystemAssigned", "principalId": _SYSTEM, "tenantId": TENANT}
    for type_, name in (("servers", "sql-pin"), ("managedInstances", "sqlmi-fol")):
        id_ = f"{_GROUP}/providers/Microsoft.Sql/{type_}/{name}"
        yield {"id": id_, "location": REGION, "identity": system, "properties": {"state": "Ready"}}
        yield {"id": f"{id_}/keys/{VAULT}_{KEY}_{OLD}", "properties": uri}
    id_ = f"{_GROUP}/providers/Microsoft.Search/searchServices/srch-data"
    entra = {"authOptions": {"aadOrApiKey": {"aadAuthFailureMode": "http403"}}}
    sku = {"name": "standard"}
    yield {"id": id_, "location": REGION, "identity": system, "sku": sku, "properties": entra}


def _vault(name: str) -> Json:
    roles = name == VAULT
    rights = {"keys": ["get", "list", "wrapKey", "unwrapKey"]}
    policies = [{"tenantId": TENANT, "objectId": _SYSTEM, "permissions": rights}]
    return {
        "id": f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{name}",
        "location": REGION,
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "premium"},
            "enablePurgeProtection": True,
            "enableRbacAuthorization": roles,
            "accessPolicies": [] if roles else policies,
        },
    }


def _key() -> Json:
    versions = [
        {"version": OLDEST, "created": "2025-11-03T06:00:00Z"},
        {"version": OLD, "created": "2026-05-04T06:00:00Z"},
    ]
    return {"name": KEY, "size": 2048, "versions": versions}  # the one size that all of them take


def _grant(principal: str) -> Json:
    scope = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{VAULT}"
    return {"scope": scope, "principalId": principal, "roleDefinitionId": _CRYPTO_USER}


def _applications(seed: int) -> tuple[str, ...]:
    """Return the object ids of Cosmos DB and Databricks, which reach keys as themselves; they follow from the seed."""
    world = World(seed=seed, tenant_id=TENANT)
    return tuple(principal_of(world, one) for one in (cosmos.APPLICATION, _DATABRICKS))
