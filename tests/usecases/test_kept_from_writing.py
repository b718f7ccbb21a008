"""Steps that are not taken, or not taken again: what Azure accepted, whose key it is, whose vault, what another's rule
says.
"""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.store import drop
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import KeyId, KeyRef
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Report
from shared.domain.wish import Wish
from shared.domain.work import (
    AuditVault,
    Cause,
    CheckChildren,
    CheckKey,
    CheckResource,
    CheckVault,
    EndingKey,
    RotateKey,
    Source,
)
from tests.support.azure import MID, OLD, Azure, account, estate, group, on_azure, scope, vault
from tests.support.enforced import changes, enforced, refusal
from tests.support.enforcing import ALL, CREATE, bare_vault, nothing_yet, plain, policy
from tests.support.policies import PolicyFile
from tests.usecases.test_enforce_below import scope_on_platform
from tests.usecases.test_enforce_vaults import PLACE, RECOVERING, deleted, policy_of

RESTORE = "  - name: all\n    rotation: fix\n    accessLost: restore\n    may: [grant]\n"
FEDERATED = {"federatedIdentityClientId": "99999999-0000-4000-8000-000000000001"}


async def looked(azure: Azure) -> dict[str, Report]:
    """Have the app look at the users of the vault, whether they reach it; return the last report of each by name."""
    await asyncio.sleep(1)
    await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=str(vault()["id"])))
    return {
        one.address.arm.name: one for one in await azure.drain() if one.address and isinstance(one.item, CheckResource)
    }


def test_a_vault_that_was_protected_and_does_not_show_it_yet_is_not_written_again(tmp_path: Path) -> None:
    one = plain()

    def behind(call: Call, answer: Answer) -> Answer:
        if call.method != "GET" or not call.path.endswith("/vaults/kv-main"):
            return answer
        body: dict[str, Any] = copy.deepcopy(answer.json())
        body["properties"].pop("enablePurgeProtection", None)
        return Answer.of(body)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=behind)
        report = await enforced(azure, one)
        assert report.reasons == (Reason.NOT_YET_IN_EFFECT,)
        assert len(changes(azure)) == 1

    on_azure(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, CREATE))


def test_a_deleted_vault_does_not_come_back_into_the_app_s_own_resource_group(tmp_path: Path) -> None:
    one, gone = plain(), vault("kv-westeurope")
    one["id"] = one["id"].replace("rg-data", "rg-else")

    async def story(azure: Azure) -> None:
        deleted(azure, PLACE)
        assert refusal(await enforced(azure, one)) is Reason.OWN_RESOURCE
        assert [line for line in changes(azure) if not line.startswith("DELETE")] == []

    environ = {**policy_of(tmp_path, *RECOVERING), "CMK_OWN_RESOURCE_GROUP": group()}
    on_azure(nothing_yet(one, vault(), gone), story, environ=environ)


@pytest.mark.parametrize("mode", ["report", "ignore"])
def test_an_account_whose_own_rule_does_not_say_fix_gets_no_identity_for_its_scopes(tmp_path: Path, mode: str) -> None:
    one, deep = plain("st1"), scope_on_platform()
    same = "    rotation: fix\n    key: https://kv-main.vault.azure.net/keys/cmk\n    may: [grant]\n"
    rules = (
        f"  - name: accounts\n    where: {{names: [st1]}}\n    encryption: {mode}\n{same}"
        f"  - name: scopes\n    encryption: fix\n{same}"
    )

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, deep)) is Reason.OUTSIDE_POLICY
        assert changes(azure) == []

    environ = PolicyFile(tmp_path, rules).environ
    on_azure(nothing_yet(one, deep, keys={"kv-main": [{"name": "cmk"}]}), story, environ=environ)


def test_a_resource_that_reaches_its_key_as_another_tenant_s_application_is_granted_nothing(tmp_path: Path) -> None:
    one, beside = account("st1", MID), account("st2", MID)
    one["properties"]["encryption"]["identity"] = FEDERATED

    async def story(azure: Azure) -> None:
        for grant in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
            drop(azure.world, str(grant["id"]))
        found = await looked(azure)
        assert found["st1"].reasons == (Reason.CROSS_TENANT,)
        assert [len(found[name].did) for name in ("st1", "st2")] == [0, 1]

    on_azure(estate(one, beside), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_who_reaches_a_vault_is_not_guessed_and_keeps_nobody_from_moving_where_that_may_not_be_read(
    tmp_path: Path,
) -> None:
    one = account("st1", OLD)
    forbidden = Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403)

    async def story(azure: Azure) -> None:
        asks = "/roleassignments"
        azure.world.hooks = Hooks(before=lambda call: forbidden if call.path.lower().endswith(asks) else None)
        found = await looked(azure)
        assert isinstance(found["st1"].outcome, Converged)
        assert (found["st1"].did, azure.in_use(one)) == ((), MID)

    on_azure(estate(one), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_a_role_with_a_condition_does_not_pass_for_access() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        assert isinstance((await looked(azure))["st1"].outcome, Converged)
        for grant in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
            properties = {**grant["properties"], "condition": "@Resource[x] StringEquals 'y'"}
            azure.world.resources.put({**grant, "properties": properties})
        assert (await looked(azure))["st1"].reasons == (Reason.ACCESS_LOST,)

    on_azure(estate(one), story)


def test_a_role_that_leaves_out_what_the_key_is_needed_for_does_not_pass_for_access() -> None:
    one = account("st1", MID)

    def without(call: Call, answer: Answer) -> Answer:
        if "/roledefinitions/" not in call.path.lower():
            return answer
        body: dict[str, Any] = copy.deepcopy(answer.json())
        body["properties"]["permissions"][0]["notDataActions"] = ["Microsoft.KeyVault/vaults/keys/unwrap/action"]
        return Answer.of(body)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=without)
        assert (await looked(azure))["st1"].reasons == (Reason.ACCESS_LOST,)

    on_azure(estate(one), story)


def test_what_a_role_allows_is_asked_again_after_an_hour() -> None:
    one = account("st1", MID)

    def without(call: Call, answer: Answer) -> Answer:
        if "/roledefinitions/" not in call.path.lower():
            return answer
        body: dict[str, Any] = copy.deepcopy(answer.json())
        body["properties"]["permissions"][0]["dataActions"] = []
        return Answer.of(body)

    async def story(azure: Azure) -> None:
        assert isinstance((await looked(azure))["st1"].outcome, Converged)
        azure.world.hooks = Hooks(after=without)
        await asyncio.sleep(3601)
        assert (await looked(azure))["st1"].reasons == (Reason.ACCESS_LOST,)

    on_azure(estate(one), story)


@pytest.mark.parametrize("told", [group(), "rg-data"], ids=["by its id", "by its name"])
def test_what_lies_in_a_group_that_a_workspace_has_made_for_it_is_left_alone(told: str) -> None:
    one = account("st1", OLD)
    kind = "Microsoft.MachineLearningServices/workspaces"
    hub = {
        "id": f"{group().replace('rg-data', 'rg-ml')}/providers/{kind}/ml1",
        "name": "ml1",
        "type": kind,
        "location": "westeurope",
        "properties": {"provisioningState": "Succeeded", "serviceProvisionedResourceGroup": told},
    }

    async def story(azure: Azure) -> None:
        assert (await azure.check(one))[-1].reasons == (Reason.MANAGED_BY_AZURE,)
        assert azure.in_use(one) == OLD

    on_azure(estate(one, hub), story)


def test_a_child_whose_parent_does_not_show_falls_under_no_rule_that_hangs_on_the_parent(tmp_path: Path) -> None:
    one, deep = account("st1", MID), scope("st1", "deep", OLD)
    rules = "  - name: kept\n    where: {tags: {owner: ledger}}\n  - name: rest\n    rotation: fix\n"
    gone = Answer.of({"error": {"code": "ResourceNotFound", "message": "gone"}}, 404)

    async def story(azure: Azure) -> None:
        assert (await azure.check(deep))[-1].reasons == (Reason.REPORT_ONLY,)
        azure.world.hooks = Hooks(before=lambda call: gone if call.path.endswith("/storageAccounts/st1") else None)
        assert (await azure.check(deep))[-1].reasons == (Reason.CONFLICT,)
        assert azure.in_use(deep) == OLD

    on_azure(estate(one, deep), story, environ=PolicyFile(tmp_path, rules).environ)


def test_a_key_gets_a_second_version_a_day_after_the_first_and_no_sooner() -> None:
    async def story(azure: Azure) -> None:
        async def versions() -> int:
            await azure.put(
                RotateKey(KeyId("kv-main.vault.azure.net", "cmk"), Cause("c", Source.HTTP), azure.time.now())
            )
            await azure.drain()
            key = azure.world.keyring.get("kv-main", "cmk")
            assert key is not None
            return len(key.versions)

        assert await versions() == 3
        await asyncio.sleep(23 * 3600)
        assert await versions() == 3
        await asyncio.sleep(2 * 3600)
        assert await versions() == 4

    on_azure(estate(account("st1")), story)


EVIL = KeyId("kv-evil.vault.azure.net", "cmk")


def test_no_work_that_names_a_vault_which_is_not_ours_makes_the_app_ask_it() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        now, cause, place = azure.time.now(), Cause("c", Source.EVENT), azure.address(one)
        for item in (
            CheckKey(EVIL, cause, now),
            CheckVault(cause, now, host=EVIL.host),
            CheckChildren(place, "Microsoft.Storage/storageAccounts/encryptionScopes", cause, now, now, key=EVIL),
            CheckResource(place, cause, now, now, wish=Wish(KeyRef(EVIL))),
            CheckResource(place, cause, now, now, wish=Wish(KeyRef(EVIL)), reach=True),
            RotateKey(EVIL, cause, now),
            EndingKey(EVIL, cause, now),
            AuditVault(cause, now, host=EVIL.host),
        ):
            await azure.put(item)
        assert len(await azure.drain()) >= 8
        assert [line.url for line in azure.world.log if EVIL.host in line.url] == []

    on_azure(estate(one), story)


def test_no_key_is_made_that_could_not_be_used_for_a_while(tmp_path: Path) -> None:
    one = plain()
    later = "createKey: {notBefore: 2026-06-01T00:00:00Z}"

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.NO_USABLE_VERSION
        assert changes(azure) == []

    on_azure(nothing_yet(one, vault()), story, environ=policy(tmp_path, ALL, later))


def test_a_key_that_may_not_be_read_is_not_taken_for_one_that_is_not_there(tmp_path: Path) -> None:
    one = plain()
    forbidden = Answer.of({"error": {"code": "Forbidden", "message": "no"}}, 403)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=lambda call: forbidden if call.host == "kv-main.vault.azure.net" else None)
        assert refusal(await enforced(azure, one)) is Reason.VAULT_FORBIDDEN
        assert changes(azure) == []

    on_azure(nothing_yet(one, vault()), story, environ=policy(tmp_path, ALL, CREATE))
