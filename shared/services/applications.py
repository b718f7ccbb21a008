"""Azure's own applications that reach keys, where it is not (or not only) the resource's identity that does."""

from __future__ import annotations

from shared.domain.service import Application

# [learn cosmos-db/how-to-setup-customer-managed-keys; azure-cli recording test_cosmosdb_key_vault_key_uri]
COSMOS_DB = Application("Azure Cosmos DB", "a232010e-820c-4083-83bb-3ace5fc29d0b")
# [learn container-instances/container-instances-encrypt-data]
CONTAINER_INSTANCES = Application("Azure Container Instance Service", "6bb8e274-af5d-4df2-98a3-4fd78b4cafd9")
# [learn databricks/security/keys/cmk-managed-services-azure/customer-managed-key-managed-services-azure]
DATABRICKS = Application("AzureDatabricks", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d")
