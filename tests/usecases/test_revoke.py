"""POST revoke as the work it puts: what is taken away, whose it is, who else loses by it, and what stays as it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import Faults
from sandbox.vault.access import find_vault, may
from shared.domain.reasons import Reason
from shared.domain.report import Stopped, Waiting
from shared.domain.revocation import Revoked, TakePermissions, TakeRole
from shared.errors import Refusal
from tests.support.azure import SUB, Azure, account, estate, group, on_azure, scope, vault
from tests.support.enforced import changes
from tests.support.enforcing import OTHER_UAI, UAI, assigned, user_assigned
from tests.support.moving import resource
from tests.support.policies import PolicyFile
from tests.support.revoking import RULE, UAI_PRINCIPAL, allowed, entry, granted, own, revoked, scopes_of, shared, wished

ONE, TWO = account("st1"), account("st2")
VAULT = str(vault()["id"])
HERE = "/providers/Microsoft.KeyVault/vaults/kv-main"
KEY = "https://kv-main.vault.azure.net/keys/cmk"
CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
READER = "21090545-7ca7-4776-b22c-e363652d74d2"
USE = ["get", "wrapKey", "unwrapKey"]


def reaches(azure: Azure, principal: str) -> bool:
    found = find_vault(azure.world, "kv-main.vault.azure.net")
    assert found is not None
    return may(azure.world, found, principal, "unwrapKey", "cmk")


def on_policies(*entries: dict[str, Any]) -> dict[str, Any]:
    return vault(enableRbacAuthorization=False, accessPolicies=list(entries))


def of_two_users(*more: dict[str, Any]) -> dict[str, Any]:
    """Return an estate in which two accounts use the key by one identity."""
    described = estate(shared("st1"), shared("st2"), user_assigned(), *more, denied=("st1", "st2", "st3", "st4", "vm1"))
    return {**described, "roleAssignments": [granted(VAULT, UAI_PRINCIPAL)]}


def test_the_role_at_the_vault_is_taken_away_and_nobody_else_s(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Revoked)
        (done,) = report.did
        assert isinstance(done.step, TakeRole)
        assert done.accepted
        assert (reaches(azure, own("st1")), reaches(azure, own("st2"))) == (False, True)
        assert len(changes(azure)) == 1

    on_azure(estate(ONE, TWO), story, environ=allowed(tmp_path))


def test_asked_twice_it_ends_the_same_and_writes_once(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        first = await revoked(azure, ONE)
        again = await revoked(azure, ONE)
        assert isinstance(first.outcome, Revoked)
        assert isinstance(again.outcome, Revoked)
        assert (len(first.did), len(again.did), len(changes(azure))) == (1, 0, 1)

    on_azure(estate(ONE, TWO), story, environ=allowed(tmp_path))


def test_of_an_access_policy_only_the_key_permissions_of_that_principal_go(tmp_path: Path) -> None:
    mine = entry(own("st1"), keys=["Get", "wrapkey", "unwrapKey"], secrets=["get"])
    theirs = entry(own("st2"), keys=USE)

    async def story(azure: Azure) -> None:
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Revoked)
        (done,) = report.did
        assert isinstance(done.step, TakePermissions)
        assert done.step.permissions == ("Get", "wrapkey", "unwrapKey")
        left = {one["objectId"]: one["permissions"] for one in azure.body(vault())["properties"]["accessPolicies"]}
        assert left == {own("st1"): {"keys": [], "secrets": ["get"]}, own("st2"): {"keys": USE}}
        assert len(changes(azure)) == 1

    on_azure(estate(ONE, TWO, on_policies(mine, theirs)), story, environ=allowed(tmp_path))


def test_every_role_at_the_vault_and_at_the_key_that_lets_it_use_the_key_goes_and_a_reader_s_stays(
    tmp_path: Path,
) -> None:
    described = estate(ONE, denied=("st1",))
    places = [(VAULT, CRYPTO_USER), (f"{VAULT}/keys/cmk", ADMINISTRATOR), (f"{VAULT}/keys/other", CRYPTO_USER)]
    described["roleAssignments"] = [granted(at, own("st1"), role) for at, role in (*places, (VAULT, READER))]

    async def story(azure: Azure) -> None:
        told = await wished(azure, ONE, dry_run=True)
        assert len(told["alsoTaken"]) == 1  # the administrator's role covers secrets too
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Revoked)
        assert len(report.did) == 2
        assert scopes_of(azure, own("st1")) == [HERE, f"{HERE}/keys/other"]
        assert not reaches(azure, own("st1"))

    on_azure(described, story, environ=allowed(tmp_path))


@pytest.mark.parametrize("above", [group(), f"/subscriptions/{SUB}"])
def test_a_grant_above_the_vault_stays_and_is_told_of(tmp_path: Path, above: str) -> None:
    described = estate(ONE, denied=("st1",))
    described["roleAssignments"] = [granted(above, own("st1")), granted(VAULT, own("st1"))]

    async def story(azure: Azure) -> None:
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Stopped)
        (blocked,) = report.outcome.blocked
        assert blocked.reason is Reason.GRANTED_ELSEWHERE
        assert f"at {above}; revoke it there" in blocked.detail
        assert len(report.did) == 1
        assert reaches(azure, own("st1"))
        with pytest.raises(Refusal, match="granted_elsewhere"):
            await wished(azure, ONE)
        assert len(changes(azure)) == 1

    on_azure(described, story, environ=allowed(tmp_path))


def test_who_shares_the_identity_is_told_and_must_be_counted(tmp_path: Path) -> None:
    elsewhere = shared("st3", vault="kv-other")
    machine = {
        "id": f"{group()}/providers/Microsoft.Compute/virtualMachines/vm1",
        "name": "vm1",
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "identity": assigned(UAI),
        "properties": {},
    }
    nested = scope("st4", "deep")
    plain = {**account("st4", key=""), "identity": assigned(UAI)}

    async def story(azure: Azure) -> None:
        told = await wished(azure, ONE, dry_run=True)
        also = {one.resource.rpartition("/")[2]: one.keys for one in told["alsoAffected"]}
        assert also == {"st2": (KEY,), "deep": (KEY,), "vm1": ()}
        for count in (0, 2, 4):
            with pytest.raises(Refusal, match=r"others_affected: 3 others"):
                await wished(azure, ONE, also_affects=count)
        assert changes(azure) == []
        report = await revoked(azure, ONE, also_affects=3)
        assert isinstance(report.outcome, Revoked)
        assert len(report.outcome.also) == 3
        assert scopes_of(azure, UAI_PRINCIPAL) == []

    on_azure(of_two_users(elsewhere, machine, plain, nested), story, environ=allowed(tmp_path))


def test_who_comes_to_share_it_after_the_wish_keeps_it_from_being_carried_out(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wished(azure, ONE, also_affects=1)
        azure.world.resources.put({**azure.body(shared("st2")), "id": shared("st9")["id"], "name": "st9"})
        report = (await azure.drain())[-1]
        assert isinstance(report.outcome, Stopped)
        assert report.outcome.blocked[0].reason is Reason.OTHERS_AFFECTED
        assert changes(azure) == []

    on_azure(of_two_users(), story, environ=allowed(tmp_path))


def test_a_role_at_a_key_costs_only_the_users_of_that_key(tmp_path: Path) -> None:
    described = of_two_users(shared("st3", key="other"))
    described["roleAssignments"] = [granted(f"{VAULT}/keys/cmk", UAI_PRINCIPAL)]

    async def story(azure: Azure) -> None:
        told = await wished(azure, shared("st1"), dry_run=True)
        assert [one.resource.rpartition("/")[2] for one in told["alsoAffected"]] == ["st2"]

    on_azure(described, story, environ=allowed(tmp_path))


def test_a_scope_reaches_its_key_by_its_account_s_identity_and_the_account_loses_it_too(tmp_path: Path) -> None:
    deep = scope("st1", "deep")

    async def story(azure: Azure) -> None:
        told = await wished(azure, deep, dry_run=True)
        assert [one.resource for one in told["alsoAffected"]] == [ONE["id"]]
        report = await revoked(azure, deep, also_affects=1)
        assert isinstance(report.outcome, Revoked)
        assert not reaches(azure, own("st1"))

    on_azure(estate(ONE, deep), story, environ=allowed(tmp_path))


def test_where_several_identities_could_be_meant_one_has_to_be_named(tmp_path: Path) -> None:
    both = {**account("st1"), "identity": assigned(UAI, OTHER_UAI)}
    described = estate(both, user_assigned(), user_assigned(OTHER_UAI), denied=("st1",))
    other = str(user_assigned(OTHER_UAI)["properties"]["principalId"])
    described["roleAssignments"] = [granted(VAULT, one) for one in (UAI_PRINCIPAL, other)]

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="several of its identities"):
            await wished(azure, both)
        with pytest.raises(Refusal, match="does not have the identity system"):
            await wished(azure, both, identity="system")
        report = await revoked(azure, both, identity=OTHER_UAI)
        assert isinstance(report.outcome, Revoked)
        assert (reaches(azure, other), reaches(azure, UAI_PRINCIPAL)) == (False, True)

    on_azure(described, story, environ=allowed(tmp_path))


def test_the_dry_run_says_who_loses_what_how_long_that_takes_and_how_to_undo_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        told = await wished(azure, ONE, dry_run=True, confirm="")
        assert told["unreadable"] == {"resource": ONE["id"], "keys": [KEY]}
        assert "count on a day" in told["keepsAccessFor"]
        (undo,) = told["undo"]
        assert own("st1") in undo
        assert f"at {VAULT}" in undo
        (step,) = told["steps"]
        assert isinstance(step, TakeRole)
        assert (azure.waiting(), changes(azure)) == ([], [])

    on_azure(estate(ONE, TWO), story, environ=allowed(tmp_path))


OWN = {"CMK_OWN_RESOURCE_GROUP": group()}
RESTORED = RULE.replace("revoke]", "revoke, grant]") + "    accessLost: restore\n"
BARRED: dict[str, tuple[str, dict[str, str], Reason]] = {
    "no rule is meant for it": ("  - name: none\n    where: {names: [x]}\n", {}, Reason.OUTSIDE_POLICY),
    "the rule does not say so": ("  - name: all\n    rotation: fix\n", {}, Reason.NOT_ALLOWED_BY_RULE),
    "the rule says ignore": (RULE.replace("fix", "ignore"), {}, Reason.CONTRADICTS_RULE),
    "it is the app's own": (RULE, OWN, Reason.OWN_RESOURCE),
    "the rule would restore it": (RESTORED, {}, Reason.CONTRADICTS_RULE),
    "no change reference came with it": (RULE + "    change: required\n", {}, Reason.CHANGE_REFERENCE_MISSING),
}


@pytest.mark.parametrize("why", BARRED)
def test_it_is_refused_at_the_door_and_writes_nothing(tmp_path: Path, why: str) -> None:
    rules, environ, reason = BARRED[why]

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal) as caught:
            await wished(azure, ONE)
        assert caught.value.reason is reason
        told = await wished(azure, ONE, dry_run=True)
        assert told["steps"][0].reason is reason
        assert (azure.waiting(), changes(azure)) == ([], [])

    on_azure(estate(ONE), story, environ={**allowed(tmp_path, rules), **environ})


def test_it_is_refused_where_another_resources_rule_would_give_the_access_back(tmp_path: Path) -> None:
    one, other = shared("stone"), shared("stother")
    rules = f"{RULE}    where: {{names: [stone]}}\n" + RESTORED.replace("name: all", "name: healed")

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match=r"rule 'healed' for .*stother says accessLost: restore"):
            await wished(azure, one, also_affects=1)
        assert (await wished(azure, one, dry_run=True))["steps"][0].reason is Reason.CONTRADICTS_RULE
        assert changes(azure) == []

    described = estate(one, other, user_assigned(), denied=("stone", "stother"))
    described |= {"roleAssignments": [granted(VAULT, UAI_PRINCIPAL)]}
    on_azure(described, story, environ=allowed(tmp_path, rules))


def test_what_another_resource_manages_keeps_its_access(tmp_path: Path) -> None:
    managed = {**ONE, "managedBy": f"{group()}/providers/Microsoft.Solutions/applications/app"}

    below = scope("st1", "one")

    async def story(azure: Azure) -> None:
        for one in (managed, below):
            with pytest.raises(Refusal, match="managed_by_azure"):
                await wished(azure, one)

    on_azure(estate(managed, below), story, environ=allowed(tmp_path))


def test_what_names_no_key_itself_is_told_where_the_key_is(tmp_path: Path) -> None:
    server = resource("Microsoft.Sql/servers", "sql1", {"state": "Ready"})

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="key_is_below"):
            await wished(azure, server)

    on_azure(estate(server), story, environ=allowed(tmp_path))


def test_the_app_never_takes_away_its_own_access(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        mine = max(await azure.app.context.ports.myself.principals())
        body = {**ONE, "identity": {"type": "SystemAssigned", "principalId": mine}}
        azure.world.resources.put(body)
        assignment = {**granted(VAULT, mine), "id": f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/a"}
        (known, *_) = azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        azure.world.resources.put(
            {**known, "id": assignment["id"], "properties": {**known["properties"], "principalId": mine}}
        )
        with pytest.raises(Refusal, match="own identity"):
            await wished(azure, ONE)

    on_azure(estate(ONE, TWO), story, environ=allowed(tmp_path))


def test_switched_off_it_waits_and_goes_on_when_writing_is_on_again(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, RULE)
    on = file.path.read_text("utf-8")
    file.write(on.replace("writes: on", "writes: off"))

    async def story(azure: Azure) -> None:
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.WRITES_OFF
        assert changes(azure) == []
        file.write(on)
        reports = await azure.drain(until=timedelta(minutes=15))
        assert isinstance(reports[-1].outcome, Revoked)
        assert not reaches(azure, own("st1"))

    on_azure(estate(ONE), story, environ=file.environ)


def test_enforcement_does_not_give_back_what_was_taken(tmp_path: Path) -> None:
    rule = f"  - name: all\n    rotation: fix\n    encryption: fix\n    key: {KEY}\n    may: [revoke, grant]\n"

    async def story(azure: Azure) -> None:
        await revoked(azure, ONE)
        await azure.check(ONE)
        await azure.drain(until=timedelta(days=2))
        assert not reaches(azure, own("st1"))

    on_azure(estate(ONE), story, environ=allowed(tmp_path, rule))


@pytest.mark.parametrize("effect", ["before", "after"])
def test_when_the_answer_gets_lost_it_looks_again_and_the_grant_is_gone(tmp_path: Path, effect: str) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "write")
        faults.install(azure.world)
        faults.put([{"match": {"path": "roleAssignments/", "method": "DELETE"}, "times": 6, "do": {"reset": effect}}])
        first = await revoked(azure, ONE)
        assert isinstance(first.outcome, Waiting)
        assert [done.accepted for done in first.did] == [False]
        last = (await azure.drain(until=timedelta(hours=2)))[-1]
        assert isinstance(last.outcome, Revoked)
        assert (reaches(azure, own("st1")), reaches(azure, own("st2"))) == (False, True)

    on_azure(estate(ONE, TWO), story, environ=allowed(tmp_path))


def test_a_deletion_that_does_not_show_at_once_is_not_repeated_but_waited_for(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "write")
        faults.install(azure.world)
        faults.put([{"match": {"path": "roleAssignments/", "method": "DELETE"}, "times": 1, "do": {"status": 204}}])
        report = await revoked(azure, ONE)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.NOT_YET_IN_EFFECT
        assert len(changes(azure)) == 1
        assert isinstance((await azure.drain(until=timedelta(minutes=5)))[-1].outcome, Revoked)

    on_azure(estate(ONE), story, environ=allowed(tmp_path))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"confirm": "st2"}, "confirm must repeat"),
        ({"slot": "other"}, "uses no key of yours"),
        ({"identity": "me"}, "not the id of a resource"),
    ],
)
def test_an_unconfirmed_or_mistaken_wish_is_refused(tmp_path: Path, more: dict[str, Any], why: str) -> None:
    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match=why):
            await wished(azure, ONE, **more)
        assert azure.waiting() == []

    on_azure(estate(ONE), story, environ=allowed(tmp_path))
