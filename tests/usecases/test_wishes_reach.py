"""A wish for another key: whether the resource reaches it is known, or brought about, before it is told to use it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.plan import SetKeys
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Converged, Report, Stopped, Waiting
from shared.domain.work import Cause, CheckResource, Source
from shared.errors import Refusal
from shared.usecases.forms import UseKeyWish
from shared.usecases.preview import preview
from shared.usecases.wishes import put_or_plan, use_key_item
from tests.support.azure import ENCRYPTION_USER, MID, NEW, TENANT, Azure, account, estate, on_azure, vault, version
from tests.support.azure import principal_of as granted_to
from tests.support.enforced import changes
from tests.support.enforcing import KEY, OTHER_UAI, UAI, assigned, nothing_yet, plain, policy, user_assigned
from tests.support.recorded import unrecorded

FAR = "https://kv-far.vault.azure.net/keys/cmk"
KEYS = {
    "kv-main": [{"name": "cmk", "versions": [version(MID)]}],
    "kv-far": [{"name": "cmk", "versions": [version(NEW)]}],
}
MAY = "may: [grant]"
ONE = account("st1", MID)


def out_of_reach(one: dict[str, Any] = ONE, *more: dict[str, Any], **of_vault: Any) -> dict[str, Any]:
    """Return an estate in which nobody was granted anything on the vault kv-far."""
    described = estate(one, *more, vault(), vault("kv-far", **of_vault), keys=KEYS)
    described["roleAssignments"] = [each for each in described["roleAssignments"] if "kv-far" not in each["scope"]]
    return described


def wishing(azure: Azure, one: dict[str, Any] = ONE, key: str = FAR, **more: Any) -> CheckResource:
    return use_key_item(UseKeyWish(one["id"], key, **more), Cause("c", Source.HTTP), azure.time.now())


async def granted(azure: Azure, item: CheckResource) -> Report:
    await azure.put(item)
    return (await azure.drain())[-1]


def blocked(report: Report) -> Blocked:
    assert isinstance(report.outcome, Stopped), report.outcome
    (found,) = report.outcome.blocked
    return found


BY_POLICIES = {"enableRbacAuthorization": False, "accessPolicies": []}


@pytest.mark.parametrize("of_vault", [{}, BY_POLICIES], ids=["by roles", "by access policies"])
def test_a_key_out_of_reach_is_told_at_once_and_azure_is_never_asked_to_use_it(of_vault: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal) as refused:
            await put_or_plan(azure.app.context, wishing(azure), dry_run=False)
        assert refused.value.reason is Reason.KEY_ACCESS_DENIED
        assert azure.waiting() == []
        found = blocked(await granted(azure, wishing(azure)))
        assert found.reason is Reason.KEY_ACCESS_DENIED
        assert granted_to("st1") in found.detail
        assert "may: [grant]" in found.detail
        await azure.drain(until=timedelta(days=2))
        assert changes(azure) == []
        assert azure.in_use(ONE) == MID

    on_azure(out_of_reach(**of_vault), story)


@pytest.mark.parametrize("of_vault", [{}, BY_POLICIES], ids=["by roles", "by access policies"])
def test_where_the_rule_may_grant_the_grant_comes_first_and_the_dry_run_says_so(
    tmp_path: Path, of_vault: dict[str, Any]
) -> None:
    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, wishing(azure)) or ()
        assert [type(step) for step in steps] == [GrantAccess, SetKeys]
        assert changes(azure) == []
        report = await granted(azure, wishing(azure))
        assert isinstance(report.outcome, Converged), report.outcome
        assert [done.step for done in report.did] == [steps[0]]
        assert [write.after for write in report.wrote] == [change.to for change in steps[1].changes]  # type: ignore[union-attr]
        assert azure.in_use(ONE) == NEW

    on_azure(out_of_reach(**of_vault), story, environ=policy(tmp_path, MAY))


def test_a_first_key_that_is_wished_is_granted_first_too(tmp_path: Path) -> None:
    one = account("st1", key="")

    async def story(azure: Azure) -> None:
        report = await granted(azure, wishing(azure, one))
        assert isinstance(report.outcome, Converged), report.outcome
        assert len(report.did) == len(report.wrote) == 1

    on_azure(out_of_reach(one), story, environ=policy(tmp_path, MAY, encryption="report"))


@pytest.mark.parametrize(
    ("line", "changed", "reason"),
    [
        ("sameRegion: require", {"location": "northeurope"}, Reason.OTHER_REGION),
        ("sameRegion: report", {"location": "northeurope"}, None),
        ("sameRegion: report", {"tenantId": "33333333-3333-3333-3333-333333333333"}, Reason.CROSS_TENANT),
        ("sameRegion: report", {"enablePurgeProtection": None}, Reason.VAULT_NOT_PROTECTED),
        ("sameRegion: report", {"enableSoftDelete": False}, Reason.VAULT_NOT_PROTECTED),
    ],
)
def test_what_keeps_a_first_key_from_a_vault_keeps_another_one_from_it_before_anything_is_granted(
    tmp_path: Path, line: str, changed: dict[str, Any], reason: Reason | None
) -> None:
    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, wishing(azure)) or ()
        told = [step.reason for step in steps if isinstance(step, Blocked)]
        report = await granted(azure, wishing(azure))
        assert told == list(report.reasons) == [reason] * bool(reason)
        assert bool(changes(azure)) is not bool(reason)

    described = out_of_reach(**changed)
    far = next(one for one in described["resources"] if one["name"] == "kv-far")
    far["location"] = changed.get("location", far["location"])
    on_azure(described, story, environ=policy(tmp_path, MAY, line))


@pytest.mark.parametrize(
    ("identity", "named", "chosen"),
    [
        (None, {}, None),
        ({"type": "None"}, {}, None),
        (assigned(UAI), {}, UAI),
        (assigned(UAI, OTHER_UAI), {}, None),
        (assigned(UAI, OTHER_UAI), {"identity": OTHER_UAI}, OTHER_UAI),
        (assigned(UAI, system=True), {}, ""),
    ],
    ids=["none", "type None", "one", "two", "two and a choice", "the system's and another"],
)
def test_a_first_key_that_is_wished_is_reached_by_the_identity_that_there_is_or_the_wish_is_answered_at_once(
    tmp_path: Path, identity: dict[str, Any] | None, named: dict[str, str], chosen: str | None
) -> None:
    one = plain(identity=identity)

    async def story(azure: Azure) -> None:
        if chosen is None:
            with pytest.raises(Refusal) as refused:
                await put_or_plan(azure.app.context, wishing(azure, one, **named), dry_run=False)
            assert refused.value.reason is Reason.IDENTITY_NOT_TAKEN
            assert azure.waiting() == changes(azure) == []
            return
        report = await granted(azure, wishing(azure, one, **named))
        assert isinstance(report.outcome, Converged), report.outcome
        found = azure.body(one)["properties"]["encryption"].get("identity") or {}
        assert str(found.get("userAssignedIdentity", "")).lower() == chosen.lower()

    described = nothing_yet(one, vault(), vault("kv-far"), user_assigned(), user_assigned(OTHER_UAI), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, MAY, encryption="report"))


def test_a_grant_that_spreads_slowly_is_waited_for_and_made_once(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["propagation"] = 900
        report = await granted(azure, wishing(azure))
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.KEY_ACCESS_DENIED
        await azure.drain(until=timedelta(hours=2))
        assert azure.in_use(ONE) == NEW
        assert len([line for line in changes(azure) if "roleAssignments" in line]) == 1

    described = out_of_reach()
    described["roleAssignments"] = [
        {"scope": vault()["id"], "principalId": granted_to("st1"), "roleDefinitionId": ENCRYPTION_USER}
    ]
    on_azure(described, story, environ=policy(tmp_path, MAY))


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before it"])
@pytest.mark.parametrize("dying", ["roleassignments", "/st1"])
def test_killed_at_the_grant_or_the_change_the_wish_is_fulfilled_and_nothing_is_granted_twice(
    tmp_path: Path, dying: str, *, after: bool
) -> None:
    class Killed(BaseException):
        pass

    def here(call: Call) -> bool:
        return call.method in {"PUT", "PATCH"} and dying in call.path.lower()

    async def story(azure: Azure) -> None:
        def kill(call: Call, answer: Answer) -> Answer:
            if here(call):
                azure.world.hooks = Hooks()
                raise Killed
            return answer

        def kill_before(call: Call) -> None:
            if here(call):
                azure.world.hooks = Hooks()
                raise Killed

        azure.world.hooks = Hooks(after=kill) if after else Hooks(before=kill_before)
        with pytest.raises(Killed):
            await granted(azure, wishing(azure))
        azure.app = azure.instance()
        await azure.drain(until=timedelta(hours=1))
        assert azure.in_use(ONE) == NEW
        assert len(list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments"))) == 2
        assert await unrecorded(azure) == []

    environ = policy(tmp_path, MAY) | {"CMK_EVIDENCE": str(tmp_path / "evidence")}
    on_azure(out_of_reach(), story, environ=environ)


def test_what_stands_against_the_new_key_itself_is_found_before_the_grant(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert blocked(await granted(azure, wishing(azure))).reason is Reason.VAULT_CLOSED
        assert changes(azure) == []

    shut = {"defaultAction": "Deny", "bypass": "None", "ipRules": [{"value": "127.0.0.1"}]}  # the app gets in
    on_azure(out_of_reach(networkAcls=shut), story, environ=policy(tmp_path, MAY))


def test_no_grant_is_made_for_a_change_that_azure_is_known_to_refuse(tmp_path: Path) -> None:
    kind = "Microsoft.Authorization/locks"

    async def story(azure: Azure) -> None:
        lock = {"id": f"{ONE['id']}/providers/{kind}/l", "type": kind, "properties": {"level": "ReadOnly"}}
        azure.world.resources.put(lock)
        assert blocked(await granted(azure, wishing(azure))).reason is Reason.SCOPE_LOCKED
        assert changes(azure) == []

    on_azure(out_of_reach(), story, environ=policy(tmp_path, MAY))


def test_nothing_is_granted_in_the_apps_own_resource_group(tmp_path: Path) -> None:
    described = out_of_reach()
    own = vault("kv-far")["id"].replace("rg-data", "rg-own")
    for body in described["resources"]:
        if body["name"] == "kv-far":
            body["id"] = own

    async def story(azure: Azure) -> None:
        assert blocked(await granted(azure, wishing(azure))).reason is Reason.OWN_RESOURCE
        assert changes(azure) == []

    environ = {**policy(tmp_path, MAY), "CMK_OWN_RESOURCE_GROUP": own.partition("/providers/")[0]}
    on_azure(described, story, environ=environ)


def test_the_key_that_is_used_is_reached_by_another_identity_when_somebody_wishes_it(tmp_path: Path) -> None:
    own = {"principalId": granted_to("st1"), "tenantId": TENANT}
    one = {**account("st1", MID), "identity": {**assigned(UAI, system=True), **own}}

    async def story(azure: Azure) -> None:
        report = await granted(azure, wishing(azure, one, KEY, identity=UAI))
        assert isinstance(report.outcome, Converged), report.outcome
        (grant,) = report.did
        assert isinstance(grant.step, GrantAccess)
        assert grant.step.principal == user_assigned()["properties"]["principalId"]
        encryption = azure.body(one)["properties"]["encryption"]
        assert encryption["identity"]["userAssignedIdentity"].lower() == UAI.lower()
        again = await granted(azure, wishing(azure, one, KEY, identity=UAI))
        assert (again.did, again.wrote) == ((), ())

    on_azure(out_of_reach(one, user_assigned()), story, environ=policy(tmp_path, MAY))


GROUP, SOMEBODY = "9c9c9c9c-0000-4000-8000-000000000001", "9c9c9c9c-0000-4000-8000-000000000002"
WRAPPING = ["get", "wrapKey", "unwrapKey"]


def entry(principal: str, *permissions: str, **more: str) -> dict[str, Any]:
    return {"tenantId": TENANT, "objectId": principal, "permissions": {"keys": list(permissions)}, **more}


def by_entries(*entries: dict[str, Any]) -> dict[str, Any]:
    return out_of_reach(enableRbacAuthorization=False, accessPolicies=list(entries))


@pytest.mark.parametrize(
    "entries",
    [[entry(GROUP, *WRAPPING)], [entry(GROUP, "All")], [entry(GROUP, "get"), entry(SOMEBODY, "wrapkey", "unwrapKey")]],
    ids=["one", "everything", "two together"],
)
def test_an_access_policy_that_may_be_that_of_a_group_is_left_to_azures_answer(entries: list[dict[str, Any]]) -> None:
    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, wishing(azure)) or ()
        assert [type(step) for step in steps] == [SetKeys]
        await granted(azure, wishing(azure))
        assert any(line.method == "PATCH" and "/st1" in line.url for line in azure.world.log)

    on_azure(by_entries(*entries), story)


@pytest.mark.parametrize(
    "entries",
    [[entry(GROUP, "get", "list")], [entry(GROUP, *WRAPPING, applicationId=SOMEBODY)]],
    ids=["too little", "for an application only"],
)
def test_where_no_group_could_give_it_either_the_wish_is_refused_at_once(entries: list[dict[str, Any]]) -> None:
    async def story(azure: Azure) -> None:
        assert blocked(await granted(azure, wishing(azure))).reason is Reason.KEY_ACCESS_DENIED
        assert changes(azure) == []

    on_azure(by_entries(*entries), story)


def test_where_the_rule_may_grant_an_identity_gets_an_entry_of_its_own_beside_that_of_a_group(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        report = await granted(azure, wishing(azure))
        assert isinstance(report.outcome, Converged), report.outcome
        assert len(report.did) == 1
        assert azure.in_use(ONE) == NEW

    on_azure(by_entries(entry(GROUP, *WRAPPING)), story, environ=policy(tmp_path, MAY))


@pytest.mark.parametrize("more", [{}, {**BY_POLICIES, "accessPolicies": [entry(GROUP, *WRAPPING)]}])
def test_nobody_is_granted_anything_on_a_vault_of_another_tenant(tmp_path: Path, more: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        assert blocked(await granted(azure, wishing(azure))).reason is Reason.CROSS_TENANT
        assert changes(azure) == []

    on_azure(out_of_reach(tenantId=SOMEBODY, **more), story, environ=policy(tmp_path, MAY))
