"""What lies below a resource, or comes into being with it: keys by the identity above, and hubs whose keys do not pass
down.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.preparation import AssignIdentity, GrantAccess
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped
from shared.domain.work import Cause, CheckResource, Source, Sweep
from shared.usecases.dry_run import plan_for
from shared.usecases.forms import EnforceWish
from shared.usecases.wishes import enforce_item
from tests.support.azure import MID, TENANT, Azure, account, on_azure, principal_of, scope, vault
from tests.support.enforced import KEYS, changes, enforced, item, refusal
from tests.support.enforcing import ALL, UAI, assigned, nothing_yet, plain, policy, user_assigned
from tests.support.keyed import example, in_effect
from tests.support.moving import resource
from tests.support.policies import PolicyFile

EVERYTHING = "may: [create-key, grant, harden, irreversible, unproven, put]"
SYSTEM = {"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT}


def scope_on_platform(of: str = "st1") -> dict[str, Any]:
    return scope(of, "deep", key="")


def test_a_scope_gets_its_key_by_its_accounts_identity_which_is_made_first(tmp_path: Path) -> None:
    one, deep = plain("st1"), scope_on_platform()

    async def story(azure: Azure) -> None:
        report = await enforced(azure, deep)
        assert isinstance(report.outcome, Converged), report.outcome
        assert [type(done.step) for done in report.did] == [AssignIdentity, GrantAccess]
        assert report.did[0].place.lower() == one["id"].lower()
        assert azure.in_use(deep) == MID
        assert azure.body(one)["properties"]["encryption"]["keySource"] == "Microsoft.Storage"

    on_azure(nothing_yet(one, deep, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_a_scope_acts_as_its_account_does_whatever_its_rule_names(tmp_path: Path) -> None:
    one, deep = account("st1", MID), scope_on_platform()
    one["identity"] = assigned(UAI)
    one["properties"]["encryption"]["identity"] = {"userAssignedIdentity": UAI}

    async def story(azure: Azure) -> None:
        report = await enforced(azure, deep)
        assert isinstance(report.outcome, Converged), report.outcome
        assert [type(done.step) for done in report.did] == [GrantAccess]
        assert azure.in_use(deep) == MID

    described = nothing_yet(one, deep, vault(), user_assigned(), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, ALL, "identity: system"))


@pytest.mark.parametrize(
    ("where", "managed"),
    [("where: {names: [deep]}", None), ("where: {names: [deep, st1]}", "/subscriptions/1/owner")],
    ids=["no rule is meant for the account", "somebody manages the account"],
)
def test_an_account_outside_the_policy_gets_no_identity_for_its_scopes(
    tmp_path: Path, where: str, managed: str | None
) -> None:
    one, deep = plain("st1", managedBy=managed), scope_on_platform()

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, deep)) is Reason.OUTSIDE_POLICY
        assert changes(azure) == []

    on_azure(nothing_yet(one, deep, keys=KEYS), story, environ=policy(tmp_path, ALL, where))


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ("freeze: [{from: 2026-04-30, to: 2026-05-02}]", Reason.FROZEN),
        ('windows: [{from: "20:00", to: "21:00"}]', Reason.OUTSIDE_WINDOW),
        ("change: required", Reason.CHANGE_REFERENCE_MISSING),
        ("codeTags: {owner: [ledger]}", Reason.OWNED_BY_CODE),
    ],
)
def test_an_account_gets_its_identity_only_when_its_own_rule_lets_it_be_written(
    tmp_path: Path, held: str, reason: Reason
) -> None:
    one, deep = plain("st1"), scope_on_platform()
    same = (
        "    encryption: fix\n    rotation: fix\n    key: https://kv-main.vault.azure.net/keys/cmk\n    may: [grant]\n"
    )
    rules = f"  - name: accounts\n    where: {{names: [st1]}}\n    {held}\n{same}  - name: scopes\n{same}"

    async def story(azure: Azure) -> None:
        report = await enforced(azure, deep)
        assert report.reasons == (reason,)
        assert f"{one['id']} would get an identity first" in str(report.outcome)
        assert changes(azure) == []

    on_azure(nothing_yet(one, deep, keys=KEYS), story, environ=PolicyFile(tmp_path, rules).environ)


def test_a_sweep_brings_in_scopes_too(tmp_path: Path) -> None:
    one, deep = account("st1", MID), scope_on_platform()

    async def story(azure: Azure) -> None:
        sweep = Sweep(Cause("c", Source.HTTP), azure.time.now())
        told = await plan_for(azure.app.context, sweep)
        assert deep["id"] in [one["id"] for one in told["resources"]]
        await azure.put(sweep)
        await azure.drain()
        assert azure.in_use(deep) == MID

    described = nothing_yet(one, deep, keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, ALL, "where: {types: ['*/encryptionScopes']}"))


def test_a_scope_of_ai_services_is_put_whole_with_its_key(tmp_path: Path) -> None:
    one = example("cognitiveservices_accounts-platform")
    deep = example("cognitiveservices_accounts_encryptionscopes-pinned")
    deep["id"] = f"{one['id']}/encryptionScopes/invoices"
    deep["properties"] = {
        "state": "Enabled",
        "provisioningState": "Succeeded",
        "keySource": "Microsoft.CognitiveServices",
    }

    async def story(azure: Azure) -> None:
        report = await enforced(azure, deep)
        assert isinstance(report.outcome, Converged), report.outcome
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert in_effect(azure, deep) == [key.latest.version]
        assert azure.body(deep)["tags"] == {"owner": "ledger"}

    environ = policy(tmp_path, EVERYTHING, "createKey: {size: 2048}", "where: {types: ['*/accounts*']}")
    on_azure(nothing_yet(one, deep, vault()), story, environ=environ)


def hub(**more: Any) -> dict[str, Any]:
    names = {"storageAccount": plain("sthub")["id"], "containerRegistry": REGISTRY["id"], "keyVault": vault()["id"]}
    return resource("Microsoft.MachineLearningServices/workspaces", "hub", {**names, **more}, kind="Hub")


REGISTRY = resource("Microsoft.ContainerRegistry/registries", "crhub", {"encryption": {"status": "disabled"}})


@pytest.mark.parametrize("source", [Source.EVENT, Source.HTTP])
def test_keys_do_not_pass_down_so_what_a_hub_stands_on_is_brought_under_keys_along_with_it(
    tmp_path: Path, source: Source
) -> None:
    one, below = hub(), plain("sthub")

    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.put(CheckResource(azure.address(one), Cause("c", source), now, now))
        await azure.drain(until=timedelta(minutes=10))
        ends = {
            report.item.address.arm.name: report for report in azure.reports if isinstance(report.item, CheckResource)
        }
        assert set(ends) == {"hub", "sthub", "crhub"}
        assert isinstance(ends["sthub"].outcome, Converged)
        assert azure.in_use(below) == MID
        told = {name: ends[name].reasons for name in ("hub", "crhub")}
        assert told == dict.fromkeys(told, (Reason.CHOSEN_AT_CREATION,))

    on_azure(nothing_yet(one, below, REGISTRY, keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_who_names_a_workspace_has_not_named_the_account_that_code_owns(tmp_path: Path) -> None:
    one, below = hub(), {**plain("sthub"), "tags": {"managed-by": "terraform"}}

    async def story(azure: Azure) -> None:
        await azure.put(enforce_item(EnforceWish(str(one["id"])), Cause("h", Source.HTTP), azure.time.now()))
        told = [report for report in await azure.drain() if report.address == azure.address(below)]
        assert [report.reasons for report in told] == [(Reason.OWNED_BY_CODE,)]
        assert changes(azure) == []

    on_azure(nothing_yet(one, below, REGISTRY, keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_who_names_a_server_has_named_its_protector(tmp_path: Path) -> None:
    properties = {"administratorLogin": "dba", "state": "Ready"}
    one = resource("Microsoft.Sql/servers", "sqls", properties, tags={"managed-by": "terraform"})

    async def story(azure: Azure) -> None:
        await azure.put(enforce_item(EnforceWish(str(one["id"])), Cause("h", Source.HTTP), azure.time.now()))
        await azure.drain()
        assert changes(azure)

    on_azure(nothing_yet(one, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_what_azure_manages_for_a_workspace_is_never_touched(tmp_path: Path) -> None:
    one = hub(serviceProvisionedResourceGroup="rg-managed")
    inside = plain("stinside")
    inside["id"] = inside["id"].replace("rg-data", "rg-managed")
    one["properties"]["storageAccount"] = inside["id"]
    owned = {"id": inside["id"].partition("/providers/")[0], "name": "rg-managed", "managedBy": one["id"]}
    owned |= {"type": "Microsoft.Resources/resourceGroups", "location": "westeurope", "properties": {}}

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.check(inside)
        assert isinstance(azure.reports[-1].outcome, Stopped)
        assert azure.reports[-1].reasons == (Reason.MANAGED_BY_AZURE,)
        assert changes(azure) == []

    on_azure(nothing_yet(one, inside, owned, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_without_a_rule_that_says_fix_nothing_is_looked_at_along_with_a_hub(tmp_path: Path) -> None:
    one, below = hub(), plain("sthub")

    async def story(azure: Azure) -> None:
        await azure.put(item(azure, one))
        assert len(await azure.drain()) == 1

    on_azure(nothing_yet(one, below, keys=KEYS), story, environ=policy(tmp_path, encryption="report"))


def test_speech_and_content_moderator_say_why_they_cannot_be_given_a_key_here(tmp_path: Path) -> None:
    body = example("cognitiveservices_accounts-platform")
    kinds = {"SpeechServices": Reason.KEY_IS_AT_STORAGE, "ContentModerator": Reason.REQUEST_FORM}
    several = [{**body, "id": f"{body['id']}-{kind}", "name": f"{body['name']}-{kind}", "kind": kind} for kind in kinds]

    async def story(azure: Azure) -> None:
        assert [refusal(await enforced(azure, one)) for one in several] == list(kinds.values())

    on_azure(nothing_yet(*several, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))
