"""What happens to a vault is found out for the users of its keys: told, and undone only where a rule says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.store import drop, save
from sandbox.identity import issue
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Blocked, Reason
from shared.domain.remedies import REMEDIES
from shared.domain.report import Converged, Report
from shared.domain.work import Cause, CheckResource, CheckVault, Source, Sweep
from shared.usecases.forms import ConvergeWish
from shared.usecases.wishes import converge_item, put_or_plan
from tests.support.azure import (
    ENCRYPTION_USER,
    MID,
    OLD,
    Azure,
    account,
    estate,
    on_azure,
    principal_of,
    scope,
    vault,
)
from tests.support.enforcing import OTHER_UAI, UAI, user_assigned
from tests.support.policies import PolicyFile

RESTORE = "  - name: all\n    rotation: fix\n    accessLost: restore\n    may: [grant]\n"
KINDS: dict[str, dict[str, Any]] = {
    "roles decide": {},
    "access policies decide": {"enableRbacAuthorization": False},
}


def policies(*names: str) -> list[dict[str, Any]]:
    granted = {"keys": ["get", "wrapKey", "unwrapKey"]}
    return [{"objectId": principal_of(name), "tenantId": "t", "permissions": granted} for name in names]


def with_vault(*users: dict[str, Any], granted: tuple[str, ...] = ("st1", "st2"), **properties: Any) -> dict[str, Any]:
    """Return an estate of these users whose vault decides by roles, or by access policies if `properties` says so."""
    if properties.get("enableRbacAuthorization") is False:
        properties |= {"accessPolicies": policies(*granted)}
    return estate(*users, vault(**properties))


def revoke(azure: Azure, name: str = "st1") -> None:
    """Somebody takes an account's access away."""
    body = azure.body(vault())
    kept = [one for one in body["properties"]["accessPolicies"] if one["objectId"] != principal_of(name)]
    save(azure.world, {**body, "properties": {**body["properties"], "accessPolicies": kept}})
    for one in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        if one["properties"]["principalId"] == principal_of(name):
            drop(azure.world, str(one["id"]))


async def looked(azure: Azure, **more: Any) -> dict[str, Report]:
    """Have the app look at the users of the vault; return the last report of each by name."""
    await asyncio.sleep(1)
    await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=str(vault()["id"]), **more))
    return {one.address.arm.name: one for one in await azure.drain() if one.address and isinstance(one.item, LOOK)}


LOOK = CheckResource


@pytest.mark.parametrize("how", KINDS.values(), ids=list(KINDS))
def test_lost_access_is_told_for_who_lost_it_and_nothing_is_written(how: dict[str, Any]) -> None:
    users = [account("st1", MID), account("st2", MID)]

    async def story(azure: Azure) -> None:
        assert [type(one.outcome) for one in (await looked(azure)).values()] == [Converged, Converged]
        revoke(azure)
        found = await looked(azure)
        assert found["st1"].reasons == (Reason.ACCESS_LOST,)
        assert principal_of("st1") in str(found["st1"].outcome)
        assert isinstance(found["st2"].outcome, Converged)
        assert azure.calls("write") == []

    on_azure(with_vault(*users, **how), story)


def test_a_rule_that_may_grant_and_does_not_say_restore_only_has_it_told(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        assert (await looked(azure))["st1"].reasons == (Reason.ACCESS_LOST,)
        assert azure.calls("write") == []

    rules = RESTORE.replace("    accessLost: restore\n", "")
    on_azure(with_vault(account("st1", MID)), story, environ=PolicyFile(tmp_path, rules).environ)


@pytest.mark.parametrize("how", KINDS.values(), ids=list(KINDS))
def test_a_rule_that_says_restore_has_the_grant_made_again_once(tmp_path: Path, how: dict[str, Any]) -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        revoke(azure)
        report = (await looked(azure))["st1"]
        assert isinstance(report.outcome, Converged)
        (done,) = report.did
        assert isinstance(done.step, GrantAccess)
        assert done.step.principal == principal_of("st1")
        again = (await looked(azure))["st1"]
        assert (again.did, type(again.outcome)) == ((), Converged)

    on_azure(with_vault(one, granted=("st1",), **how), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_the_grant_comes_before_the_move_that_needs_it(tmp_path: Path) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        revoke(azure)
        await looked(azure)
        await azure.drain(until=timedelta(hours=1))
        assert azure.in_use(one) == MID

    on_azure(with_vault(one), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_while_writing_is_off_nothing_is_restored(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        revoke(azure)
        assert set((await looked(azure))["st1"].reasons) == {Reason.WRITES_OFF, Reason.ACCESS_LOST}
        assert azure.calls("write") == []

    on_azure(with_vault(account("st1", MID)), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def by_identity(*attached: str) -> dict[str, Any]:
    """Return an account with user-assigned identities that reaches its key by the first of them."""
    one = account("st1", MID)
    encryption = {**one["properties"]["encryption"], "identity": {"userAssignedIdentity": attached[0]}}
    shown = {
        id_: {"principalId": principal(id_), "clientId": f"client-{number}"} for number, id_ in enumerate(attached)
    }
    identity = {**one["identity"], "type": "SystemAssigned,UserAssigned", "userAssignedIdentities": shown}
    return {**one, "identity": identity, "properties": {**one["properties"], "encryption": encryption}}


def principal(id_: str) -> str:
    return str(user_assigned(id_)["properties"]["principalId"])


@pytest.mark.parametrize(("holder", "lost"), [(UAI, False), (OTHER_UAI, True)])
def test_it_is_the_identity_that_reaches_the_key_that_counts(holder: str, lost: bool) -> None:  # noqa: FBT001
    one = by_identity(UAI, OTHER_UAI)
    described = estate(one, vault(), user_assigned(UAI), user_assigned(OTHER_UAI), denied=("st1",))
    described["roleAssignments"] = [
        {"scope": vault()["id"], "principalId": who, "roleDefinitionId": ENCRYPTION_USER}
        for who in (principal(holder), *([principal_of("st1")] if lost else []))
    ]

    async def story(azure: Azure) -> None:
        report = (await looked(azure))["st1"]
        assert (Reason.ACCESS_LOST in report.reasons) is lost
        assert not lost or principal(UAI) in str(report.outcome)

    on_azure(described, story)


def test_what_lies_below_a_resource_reaches_its_key_as_that_one() -> None:
    users = [account("st1", key=""), scope("st1", "one", MID)]

    async def story(azure: Azure) -> None:
        await looked(azure)
        assert "Converged" in [one["type"].rpartition(".")[2] for one in azure.outcomes()]
        revoke(azure)
        assert (await looked(azure))["one"].reasons == (Reason.ACCESS_LOST,)

    on_azure(with_vault(*users), story)


def test_a_vault_that_is_closed_to_services_is_told_of_for_its_users() -> None:
    async def story(azure: Azure) -> None:
        body = azure.body(vault())
        closed = {"defaultAction": "Deny", "bypass": "None"}
        save(azure.world, {**body, "properties": {**body["properties"], "networkAcls": closed}})
        assert (await looked(azure))["st1"].reasons == (Reason.VAULT_CLOSED,)

    on_azure(with_vault(account("st1", MID)), story)


def delete_vault(azure: Azure) -> None:
    token, _ = issue(azure.world, "another-hand", "https://management.azure.com/", azure.world.tenant_id)
    url = f"https://management.azure.com{vault()['id']}?api-version=2023-07-01"
    assert azure.cloud.answer(Call("DELETE", url, {"authorization": f"Bearer {token}"}, b"")).status == 200


@pytest.mark.parametrize("known", [True, False], ids=["known before", "never seen"])
def test_users_of_a_deleted_vault_are_told_to_recover_it(known: bool) -> None:  # noqa: FBT001
    users = [account("st1", MID), account("st2", "")]

    async def story(azure: Azure) -> None:
        if known:
            await looked(azure)
        delete_vault(azure)
        found = await looked(azure)
        assert {name: one.reasons for name, one in found.items()} == dict.fromkeys(
            ("st1", "st2"), (Reason.VAULT_DELETED,)
        )
        assert "az keyvault recover" in REMEDIES[Reason.VAULT_DELETED]

    on_azure(with_vault(*users), story)


@pytest.mark.parametrize("body", [account("st1", OLD), account("st1", "")], ids=["pinned", "following"])
def test_any_look_at_a_user_of_a_deleted_vault_says_that_it_was_deleted(body: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        delete_vault(azure)
        await asyncio.sleep(700)  # the app's list of vaults is that old at most
        assert (await azure.check(body))[-1].reasons == (Reason.VAULT_DELETED,)
        await azure.put(Sweep(Cause("s", Source.TIMER), azure.time.now()))
        found = [one.reasons for one in await azure.drain() if isinstance(one.item, LOOK)]
        assert found == [(Reason.VAULT_DELETED,)]
        assert sum("deletedVaults" in line.url for line in azure.world.log) == 1

    on_azure(with_vault(body), story)


def test_a_vault_that_never_was_is_looked_for_once_a_minute_at_most_and_not_in_foreign_subscriptions() -> None:
    async def story(azure: Azure) -> None:
        for number in range(5):
            mine = str(vault(f"kv-made-up{number}")["id"])
            foreign = mine.replace("11111111-1111", "66666666-1111")
            for id_ in (mine, foreign):
                await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=id_))
        reports = await azure.drain()
        assert {one.reasons for one in reports} == {(Reason.VAULT_NOT_KNOWN,)}
        assert sum("deletedVaults" in line.url for line in azure.world.log) == 1
        assert not [line for line in azure.world.log if "66666666" in line.url or "kv-made-up" in line.url]

    on_azure(with_vault(account("st1", MID)), story)


def test_each_user_is_asked_once_a_day_by_the_sweeps_whatever_no_event_told() -> None:
    users = [account(f"st{number}", MID) for number in range(6)]

    async def story(azure: Azure) -> None:
        for one in users:
            revoke(azure, one["name"])
        told: list[str] = []
        for number in range(4):
            await azure.put(Sweep(Cause(f"s-{number}", Source.TIMER), azure.time.now(), slice=number))
            told += [
                one.address.arm.name for one in await azure.drain() if one.address and Reason.ACCESS_LOST in one.reasons
            ]
            await asyncio.sleep(6 * 3600)
        assert sorted(told) == [one["name"] for one in users]

    on_azure(with_vault(*users), story)


def test_an_ordinary_look_costs_no_question_about_access() -> None:
    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert not [line for line in azure.world.log if "roleAssignments" in line.url]

    on_azure(with_vault(account("st1", MID)), story)


@pytest.mark.parametrize(
    ("held", "tags", "reason"),
    [
        ("freeze: [{from: 2026-04-30, to: 2026-05-02}]", {}, Reason.FROZEN),
        ("change: required", {}, Reason.CHANGE_REFERENCE_MISSING),
        ("rewritesADay: 3", {"managed-by": "terraform"}, Reason.OWNED_BY_CODE),
    ],
)
def test_whatever_holds_a_grant_up_that_access_is_lost_is_told(
    tmp_path: Path, held: str, tags: dict[str, str], reason: Reason
) -> None:
    users = [{**account("st1", MID), "tags": tags}]

    async def story(azure: Azure) -> None:
        revoke(azure)
        report = (await looked(azure))["st1"]
        assert set(report.reasons) == {reason, Reason.ACCESS_LOST}
        assert "its access to its key should be granted again" in str(report.outcome)

    environ = PolicyFile(tmp_path, f"{RESTORE}    {held}\n").environ
    on_azure(estate(*users), story, environ=environ)


@pytest.mark.parametrize("anew", [False, True], ids=["one instance", "another instance each time"])
def test_a_grant_that_is_taken_away_again_and_again_is_told_of_and_not_fought_for(
    tmp_path: Path, *, anew: bool
) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(3):
            revoke(azure)
            assert [type(done.step) for done in (await looked(azure))["st1"].did] == [GrantAccess]
            azure.app = azure.instance() if anew else azure.app
            await asyncio.sleep(60)
        revoke(azure)
        report = (await looked(azure))["st1"]
        assert report.did == ()
        assert set(report.reasons) == {Reason.TUG_OF_WAR, Reason.ACCESS_LOST}
        assert "granted 3 times since" in str(report.outcome)
        await asyncio.sleep(timedelta(days=1).total_seconds())
        assert len((await looked(azure))["st1"].did) == 1

    environ = PolicyFile(tmp_path, RESTORE).environ | {"CMK_EVIDENCE": str(tmp_path / "evidence")}
    on_azure(estate(account("st1", MID)), story, environ=environ)


@pytest.mark.parametrize(
    "rules", [RESTORE, RESTORE.replace("    accessLost: restore\n", "")], ids=["restore", "report"]
)
def test_a_dry_run_for_a_vault_says_whose_access_is_lost_and_what_would_be_granted(tmp_path: Path, rules: str) -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        wish = converge_item(ConvergeWish(vault="kv-main.vault.azure.net"), Cause("h", Source.HTTP), azure.time.now())
        told = await put_or_plan(azure.app.context, wish, dry_run=True)
        (plan,) = [one for one in told["resources"] if one["id"].endswith("/st1")]
        assert [one.reason for one in plan["steps"] if isinstance(one, Blocked)] == [Reason.ACCESS_LOST]
        granted = [one for one in plan["steps"] if isinstance(one, GrantAccess)]
        report = (await looked(azure))["st1"]
        assert [done.step for done in report.did] == granted
        assert bool(granted) is (rules == RESTORE)

    on_azure(estate(account("st1", MID)), story, environ=PolicyFile(tmp_path, rules).environ)


def test_where_no_grant_fits_in_that_access_is_lost_is_told_all_the_same(tmp_path: Path) -> None:
    full = policies(*(f"app{number:04}" for number in range(1024)))
    home = vault(enableRbacAuthorization=False, accessPolicies=full)

    async def story(azure: Azure) -> None:
        report = (await looked(azure))["st1"]
        assert set(report.reasons) == {Reason.QUOTA, Reason.ACCESS_LOST}

    on_azure(estate(account("st1", MID), home), story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_where_the_grant_is_refused_that_access_is_lost_is_told_all_the_same(tmp_path: Path) -> None:
    def refuse(call: Call) -> Answer | None:
        grants = call.method == "PUT" and "roleassignments" in call.path.lower()
        return Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403) if grants else None

    async def story(azure: Azure) -> None:
        revoke(azure)
        azure.world.hooks = Hooks(before=refuse)
        report = (await looked(azure))["st1"]
        assert set(report.reasons) == {Reason.NO_RIGHTS, Reason.ACCESS_LOST}

    on_azure(estate(account("st1", MID)), story, environ=PolicyFile(tmp_path, RESTORE).environ)
