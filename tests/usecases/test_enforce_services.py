"""A first key for every service that can be given one: one event about a new resource, until its end."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.keyed.databases import DATABRICKS
from sandbox.identity import principal_of as object_id
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Report, Stopped
from shared.domain.service import May, Verb
from shared.domain.work import CheckResource, Source
from shared.services.registry import services
from shared.usecases.intake import take_events
from tests.services.applying import differences
from tests.support.azure import Azure, on_azure, vault
from tests.support.enforced import KEYS, changes
from tests.support.enforcing import CREATE, OTHER_UAI, UAI, assigned, nothing_yet, plain, policy, user_assigned
from tests.support.grid_events import resource_event
from tests.support.keyed import example, in_effect
from tests.support.moving import URI, resource, wished

EVERYTHING = f"may: [{', '.join(one.value for one in May)}]"
IDENTITIES = {"system": "system", "user-assigned": UAI}
SQL = {"administratorLogin": "dba", "state": "Ready"}
NAMESPACE = {"provisioningState": "Succeeded", "disableLocalAuth": True}
PLAIN: dict[str, dict[str, Any]] = {
    "storage": plain("stnew"),
    "forms": example("cognitiveservices_accounts-platform"),
    "openai": {**example("cognitiveservices_accounts-platform"), "kind": "OpenAI"},
    "foundry": {**example("cognitiveservices_accounts-platform"), "kind": "AIServices"},
    "cosmos": example("documentdb_databaseaccounts-platform"),
    "stores": example("appconfiguration_configurationstores-platform"),
    "automation": example("automation_automationaccounts-platform"),
    "kubernetes": example("containerservice_managedclusters-platform"),
    "kusto": resource("Microsoft.Kusto/clusters", "adx", {"provisioningState": "Succeeded", "state": "Running"}),
    "logs": resource("Microsoft.OperationalInsights/clusters", "law", {"provisioningState": "Succeeded"}),
    "factory": resource("Microsoft.DataFactory/factories", "adf", {"provisioningState": "Succeeded"}, eTag="one"),
    "databricks": resource(
        "Microsoft.Databricks/workspaces",
        "dbw",
        {"provisioningState": "Succeeded", "managedResourceGroupId": "/subscriptions/1/resourceGroups/m"},
        sku={"name": "premium"},
    ),
    "eventhub": resource("Microsoft.EventHub/namespaces", "ehn", NAMESPACE, sku={"name": "Premium"}),
    "servicebus": resource("Microsoft.ServiceBus/namespaces", "sbn", NAMESPACE, sku={"name": "Premium"}),
    "mysql": resource("Microsoft.DBforMySQL/flexibleServers", "my", {"state": "Ready", "version": "8.0.21"}),
    "sql": resource("Microsoft.Sql/servers", "sqls", SQL),
    "instance": resource("Microsoft.Sql/managedInstances", "sqlmi", SQL),
}
"""The bodies, all on the platform's key, by a short name."""
REFUSED = {
    ("openai", "system", True): Reason.VAULT_WITHOUT_POLICIES,
    ("openai", "user-assigned", True): Reason.IDENTITY_NOT_TAKEN,
    ("openai", "user-assigned", False): Reason.IDENTITY_NOT_TAKEN,
    ("mysql", "system", True): Reason.IDENTITY_NOT_TAKEN,
    ("mysql", "system", False): Reason.IDENTITY_NOT_TAKEN,
    ("kubernetes", "system", True): Reason.IDENTITY_NOT_TAKEN,
    ("kubernetes", "system", False): Reason.IDENTITY_NOT_TAKEN,
}
CHANGED = {
    "cosmos": ("/properties/keyVaultKeyUri", "/properties/customerManagedKeyStatus", "/properties/defaultIdentity"),
    "kusto": ("/properties/keyVaultProperties",),
    "logs": ("/properties/keyVaultProperties",),
    "mysql": ("/properties/dataEncryption",),
    "kubernetes": ("/properties/securityProfile", "/tags"),
}


def begun(name: str, *, rbac: bool, identity: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an estate with the resource, and an identity that was there before unless it says otherwise."""
    one = copy.deepcopy(PLAIN[name])
    one["identity"] = assigned(OTHER_UAI) if identity is None else identity
    return nothing_yet(one, vault(enableRbacAuthorization=rbac), user_assigned(), user_assigned(OTHER_UAI))


async def told(azure: Azure, id_: str) -> Report:
    """Deliver the event of a write, work until nothing is due for a while, and return what came of the resource."""
    numbers = iter(range(100))
    body = json.dumps([resource_event(id_)])
    await take_events(azure.app.context, body, source=Source.EVENT, new_id=lambda: f"e{next(numbers)}")
    await azure.drain(until=timedelta(hours=30))  # a follower that does not report is waited for a day
    wanted = f"{id_}/encryptionProtector/current" if "Microsoft.Sql" in id_ else id_
    mine = [one for one in azure.reports if isinstance(one.item, CheckResource)]
    return [one for one in mine if one.item.address.folded == wanted.lower()][-1]  # type: ignore[union-attr]


@pytest.mark.parametrize("rbac", [True, False], ids=["roles", "policies"])
@pytest.mark.parametrize("identity", list(IDENTITIES))
@pytest.mark.parametrize("name", list(PLAIN))
def test_one_event_brings_a_new_resource_of_any_service_under_its_key_or_says_why_not(
    tmp_path: Path, name: str, identity: str, *, rbac: bool
) -> None:
    one = PLAIN[name]
    alone = name in {"logs", "kubernetes"}
    mine = (assigned(UAI) if identity != "system" else {"type": "None"}) if alone else None
    described = begun(name, rbac=rbac, identity=mine)

    async def story(azure: Azure) -> None:
        azure.environ["CMK_FIRST_PARTY"] = f"{DATABRICKS}={object_id(azure.world, DATABRICKS)}"
        azure.app = azure.instance()
        before = copy.deepcopy(azure.body(one))
        report = await told(azure, str(one["id"]))
        if reason := REFUSED.get((name, identity, rbac)):
            assert isinstance(report.outcome, Stopped), report.outcome
            assert report.reasons == (reason,)
            assert azure.body(one) == before
            return
        assert isinstance(report.outcome, Converged), report.outcome
        assert report.outcome.certainty in {Certainty.REPORTED, Certainty.CONFIGURED, Certainty.UNKNOWN}
        at = azure.body({"id": report.item.address.url})  # type: ignore[union-attr]
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert in_effect(azure, at) == [key.latest.version] or name == "storage"
        kept = (azure.body(one).get("identity") or {}).get("userAssignedIdentities") or {}
        assert set((before.get("identity") or {}).get("userAssignedIdentities") or {}) <= set(kept)
        after = {path for path in differences(before, azure.body(one)) if not path.startswith(("/identity", "/eTag"))}
        mended = tuple(CHANGED.get(name, ("/properties/encryption",)))
        assert all(path.startswith(mended) for path in after), after

    environ = policy(tmp_path, EVERYTHING, "createKey: {size: 2048}", f"identity: {IDENTITIES[identity]}")
    on_azure(described, story, environ=environ)


def test_every_service_that_can_be_given_a_first_key_is_tried_here() -> None:
    can = {
        type_
        for type_, service in services().items()
        if service.main_slot and not isinstance(service.traits.ability(Verb.ENABLE), Reason)
    }
    tried = {str(one["type"]).lower() for one in PLAIN.values()}
    below = {type_ for type_ in can if type_.rsplit("/", 1)[0] in tried | {"microsoft.cognitiveservices/accounts"}}
    assert can - below <= tried


LACKING = [
    ("eventhub", {"sku": {"name": "Standard", "tier": "Standard"}}, "Standard"),
    ("servicebus", {"sku": {"name": "Basic"}}, "Basic"),
    ("stores", {"sku": {"name": "free"}}, "free"),
    ("databricks", {"sku": {"name": "standard"}}, "standard"),
    ("cosmos", {"properties": {"capabilities": [{"name": "EnableCassandra"}]}}, "EnableCassandra"),
    ("cosmos", {"properties": {"capabilities": [{"name": "EnableNoSQLVectorSearch"}]}}, "EnableNoSQLVectorSearch"),
    ("forms", {"sku": {"name": "F0"}, "properties": {"capabilities": [{"name": "VirtualNetworks"}]}}, "F0"),
]


def lacking(name: str, changed: dict[str, Any]) -> dict[str, Any]:
    one = copy.deepcopy(PLAIN[name])
    return {**one, **changed, "properties": {**one["properties"], **changed.get("properties", {})}}


@pytest.mark.parametrize(("name", "changed", "said"), LACKING, ids=[f"{name}-{said}" for name, _, said in LACKING])
def test_nothing_is_begun_for_a_resource_that_by_its_own_body_takes_no_key(
    tmp_path: Path, name: str, changed: dict[str, Any], said: str
) -> None:
    one = lacking(name, changed)

    async def story(azure: Azure) -> None:
        report = await told(azure, str(one["id"]))
        assert report.reasons == (Reason.NOT_CAPABLE,)
        assert said in report.outcome.blocked[0].detail  # type: ignore[union-attr]
        assert changes(azure) == []
        wish = await wished(azure, str(one["id"]), key=f"{URI}/keys/cmk")
        assert wish.reasons == (Reason.NOT_CAPABLE,)
        assert changes(azure) == []

    described = nothing_yet(one, vault(enablePurgeProtection=None), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, CREATE))


def test_a_namespace_of_a_dedicated_cluster_takes_a_key_whatever_its_tier_is_called(tmp_path: Path) -> None:
    cluster = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.EventHub/clusters/dedicated"
    one = lacking("eventhub", {"sku": {"name": "Standard"}, "properties": {"clusterArmId": cluster}})

    async def story(azure: Azure) -> None:
        assert isinstance((await told(azure, str(one["id"]))).outcome, Converged)

    on_azure(nothing_yet(one, vault()), story, environ=policy(tmp_path, EVERYTHING, "createKey: {size: 2048}"))


# The firewall lets the app through, and trusted services.
SHUT = {"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": [{"value": "127.0.0.1"}]}


@pytest.mark.parametrize(("name", "expected"), [("storage", ""), ("stores", "no source says"), ("kubernetes", None)])
def test_a_vaults_firewall_is_no_bar_to_services_that_it_trusts(
    tmp_path: Path, name: str, expected: str | None
) -> None:
    one = {**copy.deepcopy(PLAIN[name]), "identity": assigned(UAI)}
    described = nothing_yet(one, vault(networkAcls=SHUT), user_assigned())

    async def story(azure: Azure) -> None:
        report = await told(azure, str(one["id"]))
        if expected is None:
            assert report.reasons == (Reason.VAULT_CLOSED,)
            assert "defaultAction Deny" in report.outcome.blocked[0].detail  # type: ignore[union-attr]
            return
        assert in_effect(azure, one) or name == "storage"
        told_of = {each.to_do for each in azure.reports if each.wrote}
        assert told_of == {""} if not expected else all(expected in each for each in told_of)

    environ = policy(tmp_path, EVERYTHING, CREATE, f"identity: {UAI}")
    on_azure(described, story, environ=environ)


def test_what_a_perimeter_lets_in_nobody_reads_so_it_is_told_of_where_a_resource_begins_behind_one(
    tmp_path: Path,
) -> None:
    one = PLAIN["storage"]

    async def story(azure: Azure) -> None:
        assert isinstance((await told(azure, str(one["id"]))).outcome, Converged)
        assert all("SecuredByPerimeter" in each.to_do for each in azure.reports if each.wrote)

    described = nothing_yet(one, vault(publicNetworkAccess="SecuredByPerimeter"))
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, CREATE))


@pytest.mark.parametrize("given", [{}, {"CMK_FIRST_PARTY": f"{DATABRICKS}=not-an-id"}], ids=["nothing", "no id"])
def test_an_application_of_azures_own_is_granted_only_when_its_object_id_is_given(
    tmp_path: Path, given: dict[str, str]
) -> None:
    async def story(azure: Azure) -> None:
        report = await told(azure, str(PLAIN["databricks"]["id"]))
        assert report.reasons == (Reason.FIRST_PARTY_UNKNOWN,)
        assert bool(azure.app.problems) is bool(given)

    environ = policy(tmp_path, EVERYTHING, CREATE) | given
    on_azure(begun("databricks", rbac=True), story, environ=environ)


def test_an_identity_that_is_not_the_only_one_is_refused_where_no_request_can_name_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        report = await told(azure, str(PLAIN["logs"]["id"]))
        assert report.reasons == (Reason.IDENTITY_NOT_TAKEN,)

    on_azure(begun("logs", rbac=True), story, environ=policy(tmp_path, EVERYTHING, CREATE))


def test_a_cluster_of_kubernetes_gets_no_identity_from_the_app(tmp_path: Path) -> None:
    described = begun("kubernetes", rbac=True, identity={"type": "SystemAssigned"})

    async def story(azure: Azure) -> None:
        report = await told(azure, str(PLAIN["kubernetes"]["id"]))
        assert report.reasons == (Reason.IDENTITY_NOT_TAKEN,)

    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, CREATE, f"identity: {UAI}"))
