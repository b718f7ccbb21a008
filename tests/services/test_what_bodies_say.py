"""What single members of a body mean for what is done to the resource: tiers, states, tenants, secrets, other ids."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.resource import Json
from shared.domain.service import Service, Settled
from shared.services.connections import named_in
from shared.services.registry import service_for
from tests.support.azure import MID, OLD, group

KEY = "https://kv-main.vault.azure.net/keys/cmk"
CLIENT = "88888888-0000-4000-8000-000000000000"
SPLIT = {"keyVaultUri": "https://kv-main.vault.azure.net", "keyName": "cmk", "keyVersion": OLD}
POSTGRESQL = "Microsoft.DBforPostgreSQL/flexibleServers"
CLUSTERS = "Microsoft.ContainerService/managedClusters"
COSMOS = "Microsoft.DocumentDB/databaseAccounts"
SETS = "Microsoft.Compute/diskEncryptionSets"
LEARNING = "Microsoft.MachineLearningServices/workspaces"


def service(type_: str) -> Service:
    found = service_for(type_)
    assert found is not None
    return found


def body(properties: Json, **more: Any) -> Json:
    return {"properties": properties, **more}


@pytest.mark.parametrize(
    ("type_", "said", "settled"),
    [
        *((POSTGRESQL, {"state": one}, Settled.FAILED) for one in ("Disabled", "Dropping", "Inaccessible", "Stopped")),
        *((POSTGRESQL, {"state": one}, Settled.BUSY) for one in ("Updating", "Starting", "Provisioning")),
        *((POSTGRESQL, {"state": one}, Settled.READY) for one in ("", "Ready")),
        *((COSMOS, {"provisioningState": one}, Settled.FAILED) for one in ("Failed", "Canceled")),
        *((COSMOS, {"provisioningState": one}, Settled.READY) for one in ("", "Succeeded")),
        (COSMOS, {"provisioningState": "Deleting"}, Settled.BUSY),
        (CLUSTERS, {"provisioningState": "Succeeded", "powerState": {"code": "Stopped"}}, Settled.FAILED),
        (CLUSTERS, {"provisioningState": "Succeeded", "powerState": {"code": "Running"}}, Settled.READY),
    ],
)
def test_whether_a_resource_can_take_a_change(type_: str, said: Json, settled: Settled) -> None:
    assert service(type_).settled(body(said)) is settled


FOREIGN = [
    (SETS, {"activeKey": {"keyUrl": f"{KEY}/{OLD}"}, "federatedClientId": CLIENT}),
    (COSMOS, {"keyVaultKeyUri": KEY, "defaultIdentity": f"UserAssignedIdentity=/x&FederatedClientId={CLIENT}"}),
    *(
        (type_, {"keyVaultProperties": {**SPLIT, "federatedIdentityClientId": CLIENT}})
        for type_ in ("Microsoft.Kusto/clusters", "Microsoft.OperationalInsights/clusters")
    ),
    (
        "Microsoft.Storage/storageAccounts",
        {
            "encryption": {
                "keySource": "Microsoft.Keyvault",
                "keyvaultproperties": {"keyvaulturi": "https://kv-main.vault.azure.net", "keyname": "cmk"},
                "identity": {"federatedIdentityClientId": CLIENT},
            }
        },
    ),
    *(
        (
            type_,
            {
                "dataEncryption": {
                    "type": "AzureKeyVault",
                    "primaryKeyURI": KEY,
                    "primaryFederatedIdentityClientId": CLIENT,
                }
            },
        )
        for type_ in (POSTGRESQL, "Microsoft.DBforMySQL/flexibleServers")
    ),
]


@pytest.mark.parametrize(("type_", "said"), FOREIGN, ids=[type_ for type_, _ in FOREIGN])
def test_a_key_that_is_reached_as_another_tenant_s_application_is_known_for_one(type_: str, said: Json) -> None:
    (use,) = service(type_).read(body(said))
    assert use.tenant_is_foreign


@pytest.mark.parametrize("client", ["", "None", "none", None])
def test_a_set_whose_application_was_taken_away_is_its_own_tenant_s(client: str | None) -> None:
    (use,) = service(SETS).read(body({"activeKey": {"keyUrl": f"{KEY}/{OLD}"}, "federatedClientId": client}))
    assert not use.tenant_is_foreign


@pytest.mark.parametrize(
    ("before", "effective"),
    [
        ([], MID),
        ([{"keyUrl": f"{KEY}/{OLD}"}], OLD),
        ([{"keyUrl": f"{KEY}-other/{OLD}"}], None),
        ([{"keyUrl": "nonsense"}], None),
    ],
    ids=["no rotation", "a rotation under way", "from another key", "from nobody knows where"],
)
def test_while_a_set_rotates_the_version_that_it_leaves_is_the_one_in_effect(
    before: list[Json], effective: str | None
) -> None:
    (use,) = service(SETS).read(body({"activeKey": {"keyUrl": f"{KEY}/{MID}"}, "previousKeys": before}))
    assert use.effective == effective


@pytest.mark.parametrize(
    ("properties", "trouble"),
    [
        ({"keyVaultKeyUri": KEY, "customerManagedKeyStatus": "Access to your account is currently revoked."}, True),
        ({"keyVaultKeyUri": KEY, "customerManagedKeyStatus": "Access to the configured key confirmed."}, False),
    ],
)
def test_an_account_that_says_that_its_access_is_revoked_is_heard(properties: Json, trouble: bool) -> None:  # noqa: FBT001
    (use,) = service(COSMOS).read(body(properties))
    assert bool(use.trouble) is trouble


@pytest.mark.parametrize("name", ["EnableCassandra", "enablenosqlvectorsearch"])
def test_an_account_that_takes_a_key_only_when_it_is_made_says_so(name: str) -> None:
    said = {"capabilities": [{"name": "EnableServerless"}, {"name": name}]}
    assert name in service(COSMOS).incapable(body(said))
    assert service(COSMOS).incapable(body({"capabilities": [{"name": "EnableServerless"}]})) == ""


SKILLS: list[tuple[Json, str]] = [
    ({"cognitiveServices": {"@odata.type": "#Microsoft.Azure.Search.CognitiveServicesByKey"}}, "cognitiveServices.key"),
    (
        {"cognitiveServices": {"@odata.type": "#Microsoft.Azure.Search.AIServicesByKey", "key": ""}},
        "cognitiveServices.key",
    ),
    (
        {"encryptionKey": {"accessCredentials": {"applicationId": "a"}}},
        "encryptionKey.accessCredentials.applicationSecret",
    ),
    ({"knowledgeStore": {"storageConnectionString": ""}}, "knowledgeStore.storageConnectionString"),
    ({"anything": [{"of": "<Redacted>"}]}, "anything[0].of"),
]


@pytest.mark.parametrize(("hidden", "where"), SKILLS, ids=[where for _, where in SKILLS])
def test_an_object_that_keeps_a_secret_to_itself_says_where(hidden: Json, where: str) -> None:
    skillset = service("Microsoft.Search/searchServices/skillsets")
    assert skillset.withheld({"name": "skills", **hidden}) == where
    shown = {"cognitiveServices": {"@odata.type": "#Microsoft.Azure.Search.AIServicesByIdentity", "key": None}}
    assert skillset.withheld({"name": "skills", **shown}) == ""


def test_a_workspace_names_the_four_that_it_stands_on_and_a_project_its_hub() -> None:
    ids = {name: f"{group()}/providers/x/y/{name}" for name in ("storageAccount", "containerRegistry", "keyVault")}
    ids["applicationInsights"] = f"{group()}/providers/x/y/applicationInsights"
    assert sorted(service(LEARNING).dependents(body({**ids, "friendlyName": "x"}))) == sorted(ids.values())
    assert service(LEARNING).through(body({"hubResourceId": "/hub"}, kind="project")) == ("/hub",)


@pytest.mark.parametrize("status", ["Disabled", "disabled"])
def test_a_workspace_whose_encryption_is_off_uses_no_key(status: str) -> None:
    encryption = {"status": status, "keyVaultProperties": {"keyIdentifier": f"{KEY}/{OLD}"}}
    assert service(LEARNING).read(body({"encryption": encryption})) == ()


@pytest.mark.parametrize("project", ["../../other", "a/b", "a?b", "", "a" * 65, 7])
def test_a_project_whose_name_would_lead_elsewhere_is_not_asked_for_its_connections(project: Any) -> None:
    account = body({"associatedProjects": ["ledger", project]}, kind="AIServices")
    paths = [one.path for one in service("Microsoft.CognitiveServices/accounts").naming(account)]
    assert paths == ["connections", "projects/ledger/connections"]
    assert service("Microsoft.CognitiveServices/accounts").naming({**account, "kind": "OpenAI"}) == ()


@pytest.mark.parametrize(
    "category",
    [
        *("AIServices", "AzureOpenAI", "CognitiveService", "CognitiveSearch", "AzureBlob", "AzureStorageAccount"),
        *("ADLSGen2", "CosmosDB"),
    ],
)
def test_a_connection_to_what_may_hold_a_key_names_it_by_its_metadata_and_its_target(category: str) -> None:
    said = {"category": category, "metadata": {"resourceId": f"{group()}/a"}, "target": f"{group()}/b"}
    assert named_in(body(said)) == (f"{group()}/a", f"{group()}/b")
    assert named_in(body({**said, "category": "GitHub"})) == ()
    assert named_in(body({**said, "metadata": {}, "target": "https://x.openai.azure.com"})) == ()


@pytest.mark.parametrize(
    ("type_", "sku", "capable"),
    [
        ("Microsoft.EventHub/namespaces", "Premium", True),
        ("Microsoft.ServiceBus/namespaces", "Standard", False),
        ("Microsoft.Databricks/workspaces", "standard", False),
        ("Microsoft.Databricks/workspaces", "premium", True),
        ("Microsoft.AppConfiguration/configurationStores", "Free", False),
        ("Microsoft.AppConfiguration/configurationStores", "Developer", False),
        ("Microsoft.AppConfiguration/configurationStores", "Standard", True),
    ],
)
def test_a_tier_that_takes_no_key_is_known(type_: str, sku: str, capable: bool) -> None:  # noqa: FBT001
    assert bool(service(type_).incapable(body({}, sku={"name": sku}))) is not capable


@pytest.mark.parametrize(
    ("said", "capable"),
    [
        ({"capabilities": [{"name": "CustomerManagedKey"}]}, True),
        ({"capabilities": [{"name": "VirtualNetworks"}]}, False),
        ({"capabilities": []}, True),
    ],
)
def test_an_ai_account_that_lists_what_it_can_and_not_this_takes_no_key(said: Json, capable: bool) -> None:  # noqa: FBT001
    found = service("Microsoft.CognitiveServices/accounts").incapable(body(said, sku={"name": "F0"}))
    assert bool(found) is not capable
