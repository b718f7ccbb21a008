"""The rules by type, in lower case. A service is a row here; one with operations of its own has a row in routes too."""

from __future__ import annotations

from typing import Final

from sandbox.arm.keyed import cognitive, compute, containers, cosmos, databases, learning, messaging, others, sql
from sandbox.arm.keyed.rules import Keyed

TABLE: Final[dict[str, Keyed]] = {
    "microsoft.appconfiguration/configurationstores": others.STORES,
    "microsoft.automation/automationaccounts": others.AUTOMATION,
    "microsoft.batch/batchaccounts": others.BATCH,
    "microsoft.cognitiveservices/accounts": cognitive.ACCOUNTS,
    "microsoft.cognitiveservices/accounts/encryptionscopes": cognitive.SCOPES,
    "microsoft.compute/diskencryptionsets": compute.SETS,
    "microsoft.containerinstance/containergroups": containers.GROUPS,
    "microsoft.containerregistry/registries": others.REGISTRIES,
    "microsoft.containerservice/managedclusters": containers.CLUSTERS,
    "microsoft.databricks/workspaces": databases.BRICKS,
    "microsoft.datafactory/factories": others.FACTORIES,
    "microsoft.dbformysql/flexibleservers": databases.MYSQL,
    "microsoft.dbforpostgresql/flexibleservers": databases.SERVERS,
    "microsoft.documentdb/databaseaccounts": cosmos.ACCOUNTS,
    "microsoft.eventhub/namespaces": messaging.NAMESPACES,
    "microsoft.kusto/clusters": others.KUSTO,
    "microsoft.machinelearningservices/workspaces": learning.WORKSPACES,
    "microsoft.operationalinsights/clusters": others.LOGS,
    "microsoft.servicebus/namespaces": messaging.NAMESPACES,
    "microsoft.sql/managedinstances/encryptionprotector": sql.PROTECTOR,
    "microsoft.sql/managedinstances/keys": sql.KEYS,
    "microsoft.sql/servers/encryptionprotector": sql.PROTECTOR,
    "microsoft.sql/servers/keys": sql.KEYS,
    "microsoft.synapse/workspaces": databases.SYNAPSE,
    "microsoft.synapse/workspaces/keys": databases.SYNAPSE_KEYS,
}
