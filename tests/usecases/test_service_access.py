"""What each service's identity needs of a vault, and where that vault must be, on a sandbox that asks for the same."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.keyed.table import TABLE
from sandbox.vault.access import VAULTS
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Reason
from shared.domain.report import Converged
from shared.domain.service import Verb
from shared.domain.vault import CRYPTO_USER, ENCRYPTION_USER
from shared.services.registry import services
from tests.support.azure import Azure, group, on_azure, vault
from tests.support.enforced import KEYS, changes, enforced, refusal
from tests.support.enforcing import nothing_yet, policy, user_assigned
from tests.support.keyed import example
from tests.support.moving import resource

ALL = "may: [grant, put, irreversible, unproven]"
SMALL = {"kv-main": [{**KEYS["kv-main"][0], "size": 2048}]}
FACTORY = resource("Microsoft.DataFactory/factories", "adf1", {"provisioningState": "Succeeded"}, eTag='"1"')
SPACE = resource("Microsoft.EventHub/namespaces", "ns1", {"provisioningState": "Succeeded"}, sku={"name": "Premium"})
SPACE["properties"]["encryption"] = {}
CLUSTER = example("containerservice_managedclusters-platform")
AUTOMATION = resource("Microsoft.Automation/automationAccounts", "aa1", {"state": "Ok"})
NEAR = [
    resource("Microsoft.CognitiveServices/accounts", "ai1", {"provisioningState": "Succeeded"}, kind="AIServices"),
    resource("Microsoft.Kusto/clusters", "adx1", {"provisioningState": "Succeeded"}),
    resource("Microsoft.OperationalInsights/clusters", "log1", {"provisioningState": "Succeeded"}),
    FACTORY,
]


@pytest.mark.parametrize("one", NEAR, ids=[str(one["type"]) for one in NEAR])
def test_a_service_that_takes_keys_of_its_region_only_is_told_and_neither_it_nor_the_vault_is_written(
    tmp_path: Path, one: dict[str, Any]
) -> None:
    far = {**vault(), "location": "northeurope"}

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        assert refusal(report) is Reason.SAME_REGION_ONLY
        assert "northeurope" in str(report.outcome)
        assert changes(azure) == []

    on_azure(nothing_yet(one, far, keys=SMALL), story, environ=policy(tmp_path, ALL))


@pytest.mark.parametrize(
    ("one", "permissions"), [(SPACE, {"list"}), (AUTOMATION, {"recover"})], ids=["list", "recover"]
)
def test_an_access_policy_gets_what_the_service_needs_besides_and_the_key_is_taken(
    tmp_path: Path, one: dict[str, Any], permissions: set[str]
) -> None:
    home = vault(enableRbacAuthorization=False, accessPolicies=[])

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(hours=3))
        assert isinstance(azure.reports[-1].outcome, Converged)
        (policy_,) = azure.body(home)["properties"]["accessPolicies"]
        assert set(policy_["permissions"]["keys"]) == {"get", "wrapKey", "unwrapKey"} | permissions

    on_azure(nothing_yet(one, home, keys=SMALL), story, environ=policy(tmp_path, ALL))


@pytest.mark.parametrize(
    ("one", "identity", "role"),
    [
        (SPACE, "system", ENCRYPTION_USER),
        (AUTOMATION, "system", ENCRYPTION_USER),
        (CLUSTER, next(iter(CLUSTER["identity"]["userAssignedIdentities"])), CRYPTO_USER),
    ],
    ids=["messaging", "automation", "kubernetes"],
)
def test_where_roles_decide_one_role_is_given_once_and_is_enough(
    tmp_path: Path, one: dict[str, Any], identity: str, role: str
) -> None:
    assigned = {**user_assigned(identity), "properties": {"principalId": "33333333-3333-4333-8333-333333333333"}}

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(hours=3))
        assert isinstance(azure.reports[-1].outcome, Converged)
        given = [done.step for report in azure.reports for done in report.did if isinstance(done.step, GrantAccess)]
        assert [step.role for step in given] == [role]

    more = [assigned] if identity != "system" else []
    on_azure(
        nothing_yet(one, vault(), *more, keys=SMALL), story, environ=policy(tmp_path, ALL, f"identity: {identity}")
    )


def test_the_sandbox_asks_for_the_same_region_and_the_same_permissions_as_the_traits_say() -> None:
    for type_, rule in TABLE.items():
        service = services().get(type_)
        if service is None:
            continue
        assert service.traits.same_region == ("region" in rule.same), type_
        needed = set(service.traits.access.permissions)
        assert {*rule.needs} <= needed | {"get"}, type_
        assert needed - {"recover"} <= {*rule.needs} | {"list"}, type_


def test_first_keys_in_another_region_are_refused_for_every_service_that_says_so() -> None:
    """What is chosen at creation needs no check here: nothing begins to use a key."""
    near = {type_ for type_, one in services().items() if one.traits.same_region}
    begin = {type_ for type_ in near if not isinstance(services()[type_].traits.ability(Verb.ENABLE), Reason)}
    tried = {str(one["type"]).lower() for one in NEAR}
    assert begin - tried == {"microsoft.cognitiveservices/accounts/encryptionscopes"}, (
        "scopes have their account's vault"
    )
    assert VAULTS.lower() not in near


def test_a_cluster_gets_no_identity_by_a_change_that_takes_tags_only(tmp_path: Path) -> None:
    other = f"{group()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-other"

    one = {name: value for name, value in CLUSTER.items() if name != "identity"}

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.IDENTITY_NOT_TAKEN
        assert changes(azure) == []

    environ = policy(tmp_path, ALL, f"identity: {other}")
    on_azure(nothing_yet(one, user_assigned(other), vault(), keys=SMALL), story, environ=environ)
