"""The vault that a rule names: made where there is none, taken back where it was deleted, and what is in the way."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.identity import issue
from sandbox.identity import principal_of as object_id
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.plan import SetKeys
from shared.domain.preparation import AssignIdentity, CreateKey, CreateVault, GrantAccess, RecoverKey, RecoverVault
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Waiting
from shared.usecases.preview import preview
from tests.support.azure import MID, TENANT, Azure, group, on_azure, principal_of, vault
from tests.support.enforced import KEYS, changes, enforced, item, key_of, refusal
from tests.support.enforcing import CREATE, OTHER_UAI, nothing_yet, plain, policy

MAKING = (
    "may: [create-vault, create-key, grant]",
    "createVault: {resourceGroup: rg-data, sku: premium}",
    CREATE,
)
RECOVERING = ("may: [create-vault, create-key, grant, recover]", *MAKING[1:])
NEW = "https://kv-{location}.vault.azure.net/keys/cmk"
PLACE = f"{group()}/providers/Microsoft.KeyVault/vaults/kv-westeurope"
OFFICER = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"  # Key Vault Crypto Officer
STEPS = [CreateVault, CreateKey, AssignIdentity, GrantAccess]


def policy_of(folder: Path, *lines: str, key: str = NEW) -> dict[str, str]:
    return policy(folder, *(lines or MAKING), key=f"'{key}'")


def by_hand(azure: Azure, method: str, url: str, body: Any = None) -> Answer:
    """Do something to Azure as somebody else."""
    arm = "management.azure.com" in url
    audience = "https://management.azure.com/" if arm else "https://vault.azure.net"
    token, _ = issue(azure.world, "another-hand", audience, azure.world.tenant_id)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    answer = azure.cloud.answer(Call(method, url, headers, json.dumps(body or {}).encode()))
    assert answer.status < 300, answer.body
    return answer


def deleted(azure: Azure, id_: str) -> None:
    by_hand(azure, "DELETE", f"https://management.azure.com{id_}?api-version=2025-05-01")


def put_by_hand(azure: Azure, body: dict[str, Any], to: str) -> None:
    """Somebody makes a vault in another resource group; Resource Graph shows it when its lag is over."""
    place = body["id"].replace("rg-data", to)
    azure.world.resources.put({"id": place.partition("/providers/")[0], "type": "Microsoft.Resources/resourceGroups"})
    sent = {name: body[name] for name in ("location", "properties")}
    by_hand(azure, "PUT", f"https://management.azure.com{place}?api-version=2025-05-01", sent)


def test_a_vault_is_made_protected_and_with_roles_in_the_resources_region_and_its_first_key_is_used(
    tmp_path: Path,
) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, item(azure, one))
        assert steps is not None
        assert [type(step) for step in steps] == [*STEPS, SetKeys]
        assert changes(azure) == []
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged), report.outcome
        assert [type(done.step) for done in report.did] == STEPS
        made = azure.body({"id": PLACE})
        assert made["location"] == "westeurope"
        properties = made["properties"]
        assert properties["tenantId"] == TENANT
        assert properties["sku"] == {"family": "A", "name": "premium"}
        said = ("enableRbacAuthorization", "enableSoftDelete", "softDeleteRetentionInDays", "enablePurgeProtection")
        assert [properties[name] for name in said] == [True, True, 90, True]
        assert key_of(azure, one)["keyvaulturi"].rstrip("/") == "https://kv-westeurope.vault.azure.net"

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))


def test_another_instance_knows_the_new_vault_before_resource_graph_shows_it(tmp_path: Path) -> None:
    one, two = plain(), plain("st2")

    async def story(azure: Azure) -> None:
        await enforced(azure, one)
        azure.app = azure.instance()
        again, other = await enforced(azure, one), await enforced(azure, two)
        assert isinstance(again.outcome, Converged), again.outcome
        assert isinstance(other.outcome, Converged), other.outcome
        assert [type(done.step) for done in other.did] == [AssignIdentity, GrantAccess]
        assert len([line for line in changes(azure) if line.endswith(PLACE)]) == 1

    described = nothing_yet(one, two, vault(), graphLag=600)
    on_azure(described, story, environ=policy_of(tmp_path))


def test_a_vault_of_another_place_never_becomes_known_by_a_rule_that_makes_one(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        put_by_hand(azure, vault("kv-westeurope"), "rg-far")
        assert refusal(await enforced(azure, one)) is Reason.VAULT_NAME
        assert not [line for line in changes(azure) if "rg-far" not in line]

    on_azure(nothing_yet(one, vault(), graphLag=600), story, environ=policy_of(tmp_path))


@pytest.mark.parametrize("dying", ["vaults/kv-westeurope", "/keys/cmk", "roleAssignments", "/st1"])
def test_the_app_may_die_after_any_step_and_nothing_is_made_twice(tmp_path: Path, dying: str) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        class Killed(BaseException):
            pass

        def kill(call: Call, answer: Answer) -> Answer:
            if call.method in {"PUT", "PATCH"} and dying.lower() in call.path.lower():
                azure.world.hooks = Hooks()
                raise Killed
            return answer

        azure.world.hooks = Hooks(after=kill)
        with pytest.raises(Killed):
            await enforced(azure, one)
        azure.app = azure.instance()
        await azure.drain(until=timedelta(hours=1))
        assert key_of(azure, one)["keyname"] == "cmk"
        key = azure.world.keyring.get("kv-westeurope", "cmk")
        assert key is not None
        assert len(key.versions) == 1

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))


def test_a_deleted_vault_holds_its_name_and_comes_back_only_where_the_rule_says_so(tmp_path: Path) -> None:
    one, gone = plain(), vault("kv-westeurope")
    keys = {"kv-westeurope": KEYS["kv-main"]}

    async def story(azure: Azure) -> None:
        deleted(azure, PLACE)
        assert refusal(await enforced(azure, one)) is Reason.VAULT_DELETED
        assert [line for line in changes(azure) if not line.startswith("DELETE")] == []
        azure.environ["CMK_POLICY"] = policy_of(tmp_path, *RECOVERING)["CMK_POLICY"]
        azure.app = azure.instance()
        steps = await preview(azure.app.context, item(azure, one))
        assert [type(step) for step in steps or ()] == [RecoverVault]
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged), report.outcome
        assert [type(done.step) for done in report.did] == [RecoverVault, AssignIdentity, GrantAccess]
        assert azure.in_use(one) == MID

    on_azure(nothing_yet(one, vault(), gone, keys=keys), story, environ=policy_of(tmp_path))


def test_a_vault_that_was_deleted_elsewhere_is_not_taken_for_the_rules_own(tmp_path: Path) -> None:
    one, gone = plain(), vault("kv-westeurope")
    gone["id"] = gone["id"].replace("rg-data", "rg-far")

    async def story(azure: Azure) -> None:
        deleted(azure, gone["id"])
        assert refusal(await enforced(azure, one)) is Reason.VAULT_DELETED

    on_azure(nothing_yet(one, vault(), gone), story, environ=policy_of(tmp_path, *RECOVERING))


@pytest.mark.parametrize("may", [MAKING, RECOVERING], ids=["not allowed", "allowed"])
def test_a_deleted_key_holds_its_name_and_comes_back_only_where_the_rule_says_so(
    tmp_path: Path, may: tuple[str, ...]
) -> None:
    one = plain(identity={"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT})

    async def story(azure: Azure) -> None:
        by_hand(azure, "DELETE", "https://kv-main.vault.azure.net/keys/cmk?api-version=7.4")
        report = await enforced(azure, one)
        if may is MAKING:
            assert refusal(report) is Reason.KEY_DELETED
            return
        await azure.drain(until=timedelta(minutes=30))
        assert RecoverKey in {type(done.step) for done in report.did}
        assert azure.in_use(one) == MID
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 2

    on_azure(
        nothing_yet(one, keys=KEYS),
        story,
        environ=policy_of(tmp_path, *may, key="https://kv-main.vault.azure.net/keys/cmk"),
    )


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("https://kv-{tag:team}.vault.azure.net/keys/cmk", Reason.VAULT_NAME),
        ("https://kv-{tag:long}-{location}.vault.azure.net/keys/cmk", Reason.VAULT_NAME),
        ("https://kv-taken.vault.azure.net/keys/cmk", Reason.VAULT_NAME),
    ],
)
def test_a_name_that_no_vault_can_have_is_refused_before_anything_is_made(
    tmp_path: Path, key: str, reason: Reason
) -> None:
    one = plain(tags={"team": "-", "long": "a-very-long-team"})

    async def story(azure: Azure) -> None:
        put_by_hand(azure, vault("kv-taken"), "rg-far")
        assert refusal(await enforced(azure, one)) is reason
        assert not [line for line in changes(azure) if "rg-far" not in line]

    on_azure(nothing_yet(one, vault(), graphLag=600), story, environ=policy_of(tmp_path, key=key))


def test_nothing_is_made_in_the_apps_own_resource_group(tmp_path: Path) -> None:
    one = plain()
    one["id"] = one["id"].replace("rg-data", "rg-else")

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.OWN_RESOURCE
        assert changes(azure) == []

    environ = {**policy_of(tmp_path), "CMK_OWN_RESOURCE_GROUP": group()}
    on_azure(nothing_yet(one, vault()), story, environ=environ)


@pytest.mark.parametrize(
    ("provider", "reason"),
    [("Microsoft.KeyVault", True), ("Microsoft.Storage", True), ("Microsoft.EventGrid", False)],
)
def test_a_provider_that_is_not_registered_is_told_of_and_asked_for_once_an_hour(
    tmp_path: Path, provider: str, *, reason: bool
) -> None:
    one, two = plain(), plain("st2")
    described = nothing_yet(one, two, keys=KEYS)
    described["subscriptions"][0]["unregistered"] = [provider]

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        await enforced(azure, two)
        asked = [line for line in azure.world.log if line.url.partition("?")[0].endswith(f"/providers/{provider}")]
        assert len(asked) == 1
        if reason:
            assert refusal(report) is Reason.PROVIDER_NOT_REGISTERED
            assert provider in report.outcome.blocked[0].detail  # type: ignore[union-attr]
            assert changes(azure) == []
        else:
            assert isinstance(report.outcome, Converged)
            assert provider in report.to_do

    on_azure(described, story, environ=policy(tmp_path, "may: [grant]"))


LACKING = {
    "vaults/kv-westeurope": "Microsoft.KeyVault/vaults/write",
    "/keys/cmk": "Microsoft.KeyVault/vaults/keys/write",
    "/st1": "Microsoft.Storage/storageAccounts/write",
    "roleassignments": "Microsoft.Authorization/roleAssignments/write",
}


@pytest.mark.parametrize("place", list(LACKING))
def test_a_right_that_the_app_lacks_is_named(tmp_path: Path, place: str) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        def forbidden(call: Call) -> Answer | None:
            if call.method in {"PUT", "PATCH"} and place in call.path.lower():
                return Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403)
            return None

        azure.world.hooks = Hooks(before=forbidden)
        report = await enforced(azure, one)
        assert refusal(report) is Reason.NO_RIGHTS
        assert report.outcome.blocked[0].detail.startswith(LACKING[place])  # type: ignore[union-attr]

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))


def test_nothing_is_ever_purged(tmp_path: Path) -> None:
    one, gone = plain(), vault("kv-westeurope")

    async def story(azure: Azure) -> None:
        deleted(azure, PLACE)
        await enforced(azure, one)
        await azure.drain(until=timedelta(hours=1))
        assert not [line for line in azure.world.log if "purge" in line.url.lower()]

    on_azure(nothing_yet(one, vault(), gone), story, environ=policy_of(tmp_path, *RECOVERING))


def test_a_subscription_that_holds_all_role_assignments_it_can_is_a_quota(tmp_path: Path) -> None:
    one = plain()
    described = nothing_yet(one, keys=KEYS)
    described["roleAssignments"] = [
        {"scope": OTHER_UAI, "principalId": f"{number:08x}-0000-4000-8000-000000000000", "roleDefinitionId": "x"}
        for number in range(4000)
    ]

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.QUOTA

    on_azure(described, story, environ=policy(tmp_path, "may: [grant]"))


def test_a_deny_assignment_and_a_lock_are_told_apart(tmp_path: Path) -> None:
    one = plain()
    everything: dict[str, Any] = {"permissions": [{"actions": ["*"]}]}
    denial = {"type": "Microsoft.Authorization/denyAssignments", "name": "d", "properties": everything}
    lock = {"type": "Microsoft.Authorization/locks", "name": "l", "properties": {"level": "ReadOnly"}}

    async def story(azure: Azure) -> None:
        where = f"{one['id']}/providers"
        azure.world.resources.put({**lock, "id": f"{where}/{lock['type']}/l"})
        assert refusal(await enforced(azure, one)) is Reason.SCOPE_LOCKED
        azure.world.resources.put({**denial, "id": f"{where}/{denial['type']}/d"})
        assert refusal(await enforced(azure, one)) is Reason.DENY_ASSIGNMENT

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, "may: [grant]"))


def test_a_grant_on_a_new_vault_that_spreads_slowly_is_waited_for(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["propagation"] = 600
        assert isinstance((await enforced(azure, one)).outcome, Waiting)
        await azure.drain(until=timedelta(hours=1))
        assert key_of(azure, one)["keyname"] == "cmk"

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))


@pytest.mark.parametrize("granted", [True, False], ids=["with rights there", "without"])
def test_the_app_reads_a_vault_that_it_made_by_rights_above_it_and_makes_none_without_them(
    tmp_path: Path, *, granted: bool
) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["strict"] = True
        if granted:
            me = object_id(azure.world, azure.world.app_client_id)
            kind = "Microsoft.Authorization/roleAssignments"
            properties = {"principalId": me, "roleDefinitionId": f"/x/{OFFICER}", "scope": group()}
            azure.world.resources.put({"id": f"{group()}/providers/{kind}/r", "type": kind, "properties": properties})
        report = await enforced(azure, one)
        if granted:
            assert isinstance(report.outcome, Converged), report.outcome
        else:
            assert refusal(report) is Reason.VAULT_FORBIDDEN
            assert report.did == ()

    on_azure(nothing_yet(one, vault()), story, environ=policy_of(tmp_path))
