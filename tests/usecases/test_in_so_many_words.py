"""What requests say though Azure might take it for granted, and what answers must say before anything rests on them."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.store import drop
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped, Waiting
from shared.domain.resource import Audience, Request, address_of
from shared.domain.revocation import Revoked
from shared.domain.work import Cause, CheckKey, CheckResource, CheckVault, EndingKey, Source
from shared.errors import NotThere, Refusal
from shared.usecases import ending
from shared.usecases.forms import RotateWish
from shared.usecases.wishes import put_or_plan, rotate_item
from tests.support.azure import MID, OLD, SUB, TENANT, Azure, account, estate, on_azure, vault, version
from tests.support.enforced import KEYS, changes, enforced
from tests.support.enforcing import ALL, CREATE, UAI, assigned, bare_vault, nothing_yet, plain, policy, user_assigned
from tests.support.keyed import example
from tests.support.moving import resource, wished
from tests.support.policies import PolicyFile
from tests.support.revoking import UAI_PRINCIPAL, allowed, granted, revoked, shared
from tests.usecases.test_enforce_vaults import PLACE, policy_of

FIREWALL: dict[str, Any] = {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}}


def sending(azure: Azure, *endings: str) -> list[dict[str, Any]]:
    """Return where the bodies of writes to these places are going to be."""
    sent: list[dict[str, Any]] = []

    def before(call: Call) -> Answer | None:
        if call.method in {"PUT", "PATCH"} and call.path.endswith(endings):
            sent.append(json.loads(call.body))
        return None

    azure.world.hooks = Hooks(before=before)
    return sent


def test_what_of_a_new_vault_can_never_be_taken_back_is_said_and_not_left_to_azure(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        sent = sending(azure, PLACE.rpartition("/")[2])
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        (body,) = sent
        said = {
            "enableRbacAuthorization": True,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "enablePurgeProtection": True,
            "accessPolicies": [],
        }
        assert {name: body["properties"].get(name) for name in said} == said

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))


def test_protecting_a_vault_says_that_soft_delete_is_on_too_and_nothing_else_of_it(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        sent = sending(azure, "/vaults/kv-main")
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        assert sent == [{"properties": {"enableSoftDelete": True, "enablePurgeProtection": True}}]

    on_azure(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, CREATE))


def test_who_has_an_identity_whose_id_only_begins_alike_loses_nothing_with_it(tmp_path: Path) -> None:
    one, other = shared("stone"), shared("stother")
    alike = f"{UAI}-of-another"
    other["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {alike: {}}}

    async def story(azure: Azure) -> None:
        assert isinstance((await revoked(azure, one, also_affects=0)).outcome, Revoked)

    described = estate(one, other, user_assigned(), user_assigned(alike), denied=("stone", "stother"))
    described |= {"roleAssignments": [granted(str(vault()["id"]), UAI_PRINCIPAL)]}
    on_azure(described, story, environ=allowed(tmp_path))


def test_an_identity_whose_id_would_end_a_query_s_text_is_refused_and_the_index_is_not_asked() -> None:
    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="bad_request"):
            await azure.app.context.ports.finder.with_identity(f"{UAI}' or '' == '")
        assert azure.calls("graph") == []

    on_azure(estate(account("st1")), story)


def test_a_grant_that_somebody_else_takes_away_first_is_gone_all_the_same(tmp_path: Path) -> None:
    one = account("st1")

    def faster(azure: Azure) -> Callable[[Call], Answer | None]:
        def before(call: Call) -> Answer | None:
            if call.method != "DELETE" or "/roleassignments/" not in call.path.lower():
                return None
            drop(azure.world, call.path)
            return Answer.of({"error": {"code": "ResourceNotFound", "message": "gone"}}, 404)

        return before

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=faster(azure))
        assert isinstance((await revoked(azure, one)).outcome, Revoked)

    on_azure(estate(one), story, environ=allowed(tmp_path))


def test_a_key_in_hardware_that_is_not_ours_to_ask_is_called_so_when_its_grant_shall_go(tmp_path: Path) -> None:
    one = account("st1")
    properties = one["properties"]["encryption"]["keyvaultproperties"]
    one["properties"]["encryption"]["keyvaultproperties"] = {
        **properties,
        "keyvaulturi": "https://h.managedhsm.azure.net",
    }

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="managed_hsm"):
            await revoked(azure, one)

    on_azure(estate(one), story, environ=allowed(tmp_path))


def test_a_wish_is_not_refused_for_a_role_with_a_condition_though_the_vault_was_just_asked_without(
    tmp_path: Path,
) -> None:
    one = account("st1", MID)
    keys = {"kv-main": [*KEYS["kv-main"], {"name": "other", "versions": [version(OLD)]}]}

    async def story(azure: Azure) -> None:
        for grant in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
            properties = {**grant["properties"], "condition": "@Resource[x] StringEquals 'y'"}
            azure.world.resources.put({**grant, "properties": properties})
        await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=str(vault()["id"])))
        assert any(Reason.ACCESS_LOST in one.reasons for one in await azure.drain())
        report = await wished(azure, str(one["id"]), key="https://kv-main.vault.azure.net/keys/other")
        assert isinstance(report.outcome, Converged), report.outcome

    on_azure(estate(one, keys=keys), story, environ=PolicyFile(tmp_path).environ)


def test_a_key_of_another_tenant_is_told_of_though_its_vault_does_not_answer() -> None:
    one = account("st1")
    one["properties"]["encryption"]["identity"] = {"federatedIdentityClientId": "99999999-0000-4000-8000-000000000001"}

    def before(call: Call) -> Answer | None:
        if call.host == "kv-main.vault.azure.net":
            raise Unreachable("no route to the vault")
        return None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        assert (await azure.check(one))[-1].reasons == (Reason.CROSS_TENANT,)
        assert azure.calls("vault") == []

    on_azure(estate(one), story)


def listed(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Hooks:
    """Change what Resource Manager lists of a key's versions."""

    def after(call: Call, answer: Answer) -> Answer:
        if call.host != "management.azure.com" or not call.path.endswith("/keys/cmk/versions"):
            return answer
        body: dict[str, Any] = copy.deepcopy(answer.json())
        return Answer.of({**body, "value": change(body["value"])})

    return Hooks(after=after)


def silent(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for one in shown:
        one["properties"]["attributes"].pop("enabled")
    return shown


@pytest.mark.parametrize(
    ("change", "at"),
    [(silent, MID), (lambda shown: [one for one in shown if MID not in one["name"]], OLD)],
    ids=["whether a version is enabled", "the latest version"],
)
def test_a_list_of_versions_that_leaves_something_out_tells_nothing_of_a_closed_vault_s_key(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], at: str
) -> None:
    one = account("st1", at)

    async def story(azure: Azure) -> None:
        azure.world.hooks = listed(change)
        assert (await azure.check(one))[-1].reasons == (Reason.VAULT_FORBIDDEN,)
        assert azure.calls("write") == []

    on_azure(estate(one, vault(**FIREWALL)), story)


def test_an_index_without_an_end_is_no_count_of_who_uses_a_key_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    one = account("st1")
    monkeypatch.setattr(ending, "MOST_PAGES", 3)
    pages = count()

    def before(call: Call) -> Answer | None:
        if "ResourceGraph" not in call.url or b"where type in~" not in call.body:
            return None
        return Answer.of({"count": 0, "totalRecords": 9, "data": [], "$skipToken": f"t{next(pages)}"})

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        key = KeyId("kv-main.vault.azure.net", "cmk")
        await azure.put(EndingKey(key, Cause("c", Source.EVENT), azure.time.now()))
        *earlier, report = await azure.drain()
        assert len(earlier) == 3
        assert isinstance(report.outcome, Waiting)
        assert report.reasons == (Reason.SERVICE_UNAVAILABLE,)

    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD, expires="2026-05-20T00:00:00Z")]}]}
    on_azure(estate(one, keys=keys), story)


def test_a_rule_for_a_management_group_is_meant_for_its_subscriptions_however_their_ids_are_spelled(
    tmp_path: Path,
) -> None:
    other = "aaaaaaaa-1111-4111-8111-111111111111"
    one = account("st1")
    one["id"] = one["id"].replace(SUB, other.upper())
    rules = "  - {name: landing, where: {managementGroups: [mg-data]}, rotation: fix}\n"
    described = estate(one, vault())
    described["subscriptions"].append(
        {**described["subscriptions"][0], "subscriptionId": other, "managementGroup": "mg-data"}
    )
    described["managementGroups"] = [{"name": "mg-data"}]

    async def story(azure: Azure) -> None:
        await azure.check(one)
        assert azure.in_use(one) == MID

    on_azure(described, story, environ=PolicyFile(tmp_path, rules).environ)


def test_a_vault_that_has_no_host_yet_is_nobody_s_to_be_asked_first() -> None:
    async def story(azure: Azure) -> None:
        body = azure.body(vault())
        new = {**body, "id": f"{body['id']}-new", "name": "kv-main-new"}
        azure.world.resources.put({**new, "properties": {**body["properties"], "vaultUri": ""}})
        site = await azure.app.context.ports.vaults.first()
        assert site is not None
        assert site.host == "kv-main.vault.azure.net"
        assert [one.host for one in await azure.app.context.ports.vaults.found()] == ["kv-main.vault.azure.net"]

    on_azure(estate(account("st1")), story)


def test_a_vault_that_a_rule_made_and_somebody_made_anew_elsewhere_is_the_one_that_the_index_shows() -> None:
    async def story(azure: Azure) -> None:
        vaults, here = azure.app.context.ports.vaults, str(vault()["id"])
        assert await vaults.at(here) is not None
        body = azure.body(vault())
        drop(azure.world, here)
        there = here.replace("rg-data", "rg-other")
        azure.world.resources.put({**body, "id": there})
        await asyncio.sleep(timedelta(minutes=11).total_seconds())
        site = await vaults.by_host("kv-main.vault.azure.net")
        assert site is not None
        assert site.id == there.lower()

    on_azure(estate(account("st1")), story)


def test_that_a_certificate_owns_a_key_is_told_by_a_dry_run_of_its_rotation_too() -> None:
    one = account("st1")
    keys = {"kv-main": [{**KEYS["kv-main"][0], "managed": True}]}

    async def story(azure: Azure) -> None:
        wish = RotateWish("https://kv-main.vault.azure.net/keys/cmk", dry_run=True)
        item = rotate_item(wish, Cause("c", Source.HTTP), azure.time.now())
        told = await put_or_plan(azure.app.context, item, dry_run=True)
        assert told["makesVersion"] is False
        assert [step.reason for step in told["steps"]] == [Reason.KEY_BACKS_CERTIFICATE]

    on_azure(estate(one, keys=keys), story)


def test_a_first_key_that_is_wished_is_not_left_to_an_identity_of_a_kind_that_the_service_does_not_take(
    tmp_path: Path,
) -> None:
    one = example("dbformysql_flexibleservers-platform")
    one["identity"] = {"type": "SystemAssigned", "principalId": UAI_PRINCIPAL, "tenantId": TENANT}

    async def story(azure: Azure) -> None:
        report = await wished(azure, str(one["id"]), key="https://kv-main.vault.azure.net/keys/cmk")
        assert report.reasons == (Reason.IDENTITY_NOT_TAKEN,)
        assert changes(azure) == []

    may = "may: [grant, put, irreversible, unproven]"
    on_azure(estate(one), story, environ=policy(tmp_path, may, encryption="report"))


@pytest.mark.parametrize(("where", "goes"), [("westeurope", True), ("northeurope", False)])
def test_a_rule_that_wants_the_region_of_the_resource_takes_a_vault_in_it_and_no_other(
    tmp_path: Path, where: str, *, goes: bool
) -> None:
    one = account("st1", MID)
    keys = {"kv-main": KEYS["kv-main"], "kv-far": [{"name": "cmk", "versions": [version(OLD)]}]}

    async def story(azure: Azure) -> None:
        report = await wished(azure, str(one["id"]), key="https://kv-far.vault.azure.net/keys/cmk")
        assert report.reasons == (() if goes else (Reason.OTHER_REGION,))
        assert azure.in_use(one) == (OLD if goes else MID)

    far = {**vault("kv-far"), "location": where}
    environ = policy(tmp_path, "sameRegion: require", "may: [unproven]", encryption="report")
    on_azure(estate(one, vault(), far, keys=keys), story, environ=environ)


def test_nobody_is_asked_who_holds_roles_at_a_vault_that_is_not_there_yet(tmp_path: Path) -> None:
    one = plain(identity=assigned(UAI))

    async def story(azure: Azure) -> None:
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        asked = [
            line.at
            for line in azure.world.log
            if line.method == "GET"
            and f"{PLACE}/providers/microsoft.authorization/roleassignments".lower() in line.url.lower()
        ]
        made = next(line.at for line in azure.world.log if line.method == "PUT" and PLACE in line.url)
        assert [at for at in asked if at < made] == []

    lines = (
        "may: [create-vault, create-key, grant]",
        "createVault: {resourceGroup: rg-data, sku: premium}",
        CREATE,
        f"identity: {UAI}",
    )
    on_azure(nothing_yet(one, vault(), user_assigned()), story, environ=policy_of(tmp_path, *lines))


def test_a_change_that_was_answered_with_another_resource_is_not_called_accepted() -> None:
    one, other = account("st1"), account("st2", MID)

    def after(call: Call, answer: Answer) -> Answer:
        return Answer.of({**answer.json(), "id": other["id"]}) if call.method == "PATCH" else answer

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=after)
        report = (await azure.check(one))[-1]
        assert [write.accepted for write in report.wrote] == [False]
        assert report.reasons == (Reason.SERVICE_UNAVAILABLE,)

    on_azure(estate(one, other), story)


def test_no_search_service_is_sent_anything_that_resource_manager_does_not_know_where_it_is_said_to_lie() -> None:
    body = resource("Microsoft.Search/searchServices", "srch1", {"provisioningState": "succeeded"})
    elsewhere = address_of(str(body["id"]).replace("rg-data", "rg-mine"))
    index = address_of(f"{elsewhere.url}/indexes/hotels")

    async def story(azure: Azure) -> None:
        resources, service = azure.app.context.ports.resources, azure.app.context.service(elsewhere.type)
        assert service is not None
        with pytest.raises(NotThere):
            await resources.send(Request("PUT", index, "2026-04-01", {"name": "hotels"}, Audience.SEARCH))
        objects = azure.app.context.service(index.type)
        assert objects is not None
        (what,) = [one for one in service.children if one.collection == "indexes"]
        with pytest.raises(NotThere):
            [one async for one in resources.children(elsewhere, what, objects)]
        assert [line.url for line in azure.world.log if "search.windows.net" in line.url] == []

    on_azure(estate(body, search={"srch1": {"indexes": [{"name": "hotels", "fields": []}]}}), story)


def test_who_is_told_of_a_key_that_ends_learns_how_much_was_not_looked_into() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        key = KeyId("kv-main.vault.azure.net", "cmk")
        await azure.put(EndingKey(key, Cause("c", Source.EVENT), azure.time.now()))
        (report,) = await azure.drain()
        assert isinstance(report.outcome, Stopped)
        assert report.outcome.at_risk is not None
        assert (report.outcome.at_risk.users, report.outcome.at_risk.unseen) == (1, 1)

    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD, expires="2026-05-20T00:00:00Z")]}]}
    on_azure(estate(one, keys=keys), story)


def test_another_key_of_the_vault_that_a_resource_uses_already_is_taken_as_that_vault_is(tmp_path: Path) -> None:
    one = account("st1", MID)
    keys = {"kv-main": [*KEYS["kv-main"], {"name": "other", "versions": [version(OLD)]}]}

    async def story(azure: Azure) -> None:
        report = await wished(azure, str(one["id"]), key="https://kv-main.vault.azure.net/keys/other")
        assert isinstance(report.outcome, Converged), report.outcome
        assert azure.in_use(one) == OLD

    far = {**vault(), "location": "northeurope"}
    environ = policy(tmp_path, "sameRegion: require", "may: [unproven]", encryption="report")
    on_azure(estate(one, far, keys=keys), story, environ=environ)


@pytest.mark.parametrize(("source", "told"), [(Source.HTTP, [Reason.KEY_NOT_FOUND]), (Source.EVENT, [])])
def test_who_uses_a_key_that_is_gone_is_told_when_a_person_asks_and_not_when_an_event_says_so(
    source: Source, told: list[Reason]
) -> None:
    async def story(azure: Azure) -> None:
        key = KeyId("kv-main.vault.azure.net", "cmk")
        await azure.put(CheckKey(key, Cause("c", source), azure.time.now()))
        reports = await azure.drain()
        assert [reason for one in reports if isinstance(one.item, CheckResource) for reason in one.reasons] == told

    on_azure(estate(account("st1"), keys={"kv-main": [{"name": "other", "versions": [version(OLD)]}]}), story)
