"""Bringing resources under a key of yours: each step, each refusal, deaths in between, and what is never touched."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.plan import SetKeys
from shared.domain.preparation import GrantAccess
from shared.domain.report import Certainty, Converged
from shared.domain.work import encode
from shared.usecases.handle import handle
from shared.usecases.preview import preview
from tests.support.azure import (
    ENCRYPTION_USER,
    MID,
    TENANT,
    Azure,
    on_azure,
    principal_of,
    vault,
)
from tests.support.enforced import EVERY_STEP, KEYS, changes, enforced, item, key_of
from tests.support.enforcing import (
    ALL,
    CREATE,
    OTHER_UAI,
    UAI,
    assigned,
    bare_vault,
    nothing_yet,
    plain,
    policy,
    user_assigned,
)


@pytest.mark.parametrize("rbac", [True, False], ids=["roles", "policies"])
@pytest.mark.parametrize("identity", ["system", UAI], ids=["system", "user-assigned"])
def test_a_resource_with_nothing_at_all_ends_under_a_new_key_and_verified(
    tmp_path: Path, identity: str, *, rbac: bool
) -> None:
    one, home = plain(), bare_vault(enableRbacAuthorization=rbac)

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        assert report.outcome.certainty is Certainty.REPORTED
        assert [type(done.step) for done in report.did] == EVERY_STEP
        assert len(report.wrote) == 1
        assert azure.body(home)["properties"]["enablePurgeProtection"] is True
        assert key_of(azure, one)["keyversion"] == ""
        chosen = (azure.body(one)["properties"]["encryption"].get("identity") or {}).get("userAssignedIdentity", "")
        assert chosen.lower() == ("" if identity == "system" else identity.lower())
        before = changes(azure)
        await azure.check(one)
        assert changes(azure) == before

    environ = policy(tmp_path, ALL, CREATE, f"identity: {identity}")
    on_azure(nothing_yet(one, home, user_assigned()), story, environ=environ)


def test_the_key_is_made_as_the_rule_says_and_with_its_rotation(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        await enforced(azure, one)
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert (key.kty, key.bits, len(key.versions)) == ("RSA-HSM", 4096, 1)
        made = key.latest
        assert made.tags == {"team": "ledger"}
        assert set(made.operations) == {"wrapKey", "unwrapKey"}
        assert made.expires is not None
        assert timedelta(days=399) < made.expires - made.created <= timedelta(days=400)
        assert made.not_before == datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        rotation = key.rotation_policy
        assert rotation is not None
        assert rotation["lifetimeActions"] == [
            {"trigger": {"timeAfterCreate": "P365D"}, "action": {"type": "rotate"}},
        ]
        assert rotation["attributes"]["expiryTime"] == "P400D"

    like = (
        "{type: RSA-HSM, size: 4096, notBefore: 2026-01-01T00:00:00Z, expiresAfterDays: 400, rotateAfterDays: 365,"
        " tags: {team: ledger}}"
    )
    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, f"createKey: {like}"))


@pytest.mark.parametrize(
    ("like", "told"),
    [
        ("{type: RSA-HSM}", "is RSA 3072; the rule's createKey says RSA-HSM 3072"),
        ("{size: 4096}", "is RSA 3072; the rule's createKey says RSA 4096"),
        ("{size: 2048}", ""),
        ("{size: 3072}", ""),
    ],
)
def test_a_key_that_was_there_is_used_and_told_of_where_it_is_less_than_the_rule_asks_for(
    tmp_path: Path, like: str, told: str
) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        assert bool(report.to_do) is bool(told)
        assert told in report.to_do

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL, f"createKey: {like}"))


def test_the_grant_is_the_services_own_role_and_says_what_the_principal_is(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        await enforced(azure, one)
        (grant,) = azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        properties = grant["properties"]
        assert str(properties["roleDefinitionId"]).endswith(f"/{ENCRYPTION_USER}")
        assert properties["principalId"] == azure.body(one)["identity"]["principalId"]
        assert properties["principalType"] == "ServicePrincipal"
        assert grant["id"].startswith(f"{vault()['id']}/providers/")

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_an_access_policy_is_added_and_the_others_stay(tmp_path: Path) -> None:
    one = plain(identity={"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT})
    somebody = {"tenantId": TENANT, "objectId": principal_of("other"), "permissions": {"secrets": ["get"]}}
    own = {"tenantId": TENANT, "objectId": principal_of("st1"), "permissions": {"keys": ["list"]}}
    home = vault(enableRbacAuthorization=False, accessPolicies=[somebody, own])

    async def story(azure: Azure) -> None:
        await enforced(azure, one)
        first, second = azure.body(home)["properties"]["accessPolicies"]
        assert first == somebody
        assert set(second["permissions"]["keys"]) == {"list", "get", "wrapKey", "unwrapKey"}

    on_azure(nothing_yet(one, home, keys=KEYS), story, environ=policy(tmp_path, ALL))


@pytest.mark.parametrize(
    "before",
    [
        assigned(OTHER_UAI),
        assigned(OTHER_UAI, UAI),
        assigned(OTHER_UAI, system=True),
        assigned(system=True),
    ],
    ids=["another", "both", "another and the system's", "the system's"],
)
@pytest.mark.parametrize("identity", ["system", UAI], ids=["system", "user-assigned"])
def test_identities_that_were_there_are_still_there(tmp_path: Path, before: dict[str, Any], identity: str) -> None:
    one = plain(identity=before)

    async def story(azure: Azure) -> None:
        was = azure.body(one)["identity"]
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        now = azure.body(one)["identity"]
        assert set(was.get("userAssignedIdentities") or ()) <= set(now.get("userAssignedIdentities") or ())
        assert was.get("principalId") in {None, now.get("principalId")}

    described = nothing_yet(one, vault(), user_assigned(), user_assigned(OTHER_UAI), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, ALL, f"identity: {identity}"))


@pytest.mark.parametrize(
    ("line", "pointer"), [("version: keep", ""), ("version: follow", ""), ("version: pin", MID)], ids=str
)
def test_the_rule_says_how_the_first_key_is_pointed_at(tmp_path: Path, line: str, pointer: str) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        assert key_of(azure, one)["keyversion"] == pointer
        assert azure.in_use(one) == MID

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL, line))


def test_nothing_but_identity_and_encryption_of_the_resource_changes(tmp_path: Path) -> None:
    one = plain(tags={"owner": "ledger"})
    one["properties"] |= {"minimumTlsVersion": "TLS1_2", "somethingNew": {"a": [1]}}

    async def story(azure: Azure) -> None:
        before = azure.body(one)
        await enforced(azure, one)
        after = azure.body(one)
        assert {**after, "identity": None, "properties": None} == {**before, "identity": None, "properties": None}
        rest = [
            {name: value for name, value in body["properties"].items() if name != "encryption"}
            for body in (before, after)
        ]
        assert rest[0] == rest[1]

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


class DiedError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("after", [True, False], ids=["after the effect", "before the effect"])
@pytest.mark.parametrize("rbac", [True, False], ids=["roles", "policies"])
@pytest.mark.parametrize("step", range(5))
def test_killed_between_any_two_steps_and_replayed_it_is_finished_and_nothing_is_done_twice(
    tmp_path: Path, step: int, *, rbac: bool, after: bool
) -> None:
    one, home = plain(), bare_vault(enableRbacAuthorization=rbac)

    async def story(azure: Azure) -> None:
        effects: list[str] = []
        killed = [False]

        def dies(call: Call) -> bool:
            changes = call.method in {"PUT", "PATCH"} and "management" in call.host
            return changes and len(effects) == step and not killed[0]

        def before(call: Call) -> Answer | None:
            if not after and dies(call):
                killed[0] = True
                raise DiedError
            return None

        def afterwards(call: Call, answer: Answer) -> Answer:
            deadly = after and dies(call)
            if call.method in {"PUT", "PATCH"} and "management" in call.host:
                effects.append(f"{call.method} {call.path}")
            if deadly:
                killed[0] = True
                raise DiedError
            return answer

        azure.world.hooks = Hooks(before, afterwards)
        with pytest.raises(DiedError):
            await handle(azure.app.context, encode(item(azure, one)))
        azure.app = azure.instance()
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        assert report.outcome.certainty is Certainty.REPORTED
        assert len(effects) == 5
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 1
        if rbac:
            assert len(list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments"))) == 1

    on_azure(nothing_yet(one, home), story, environ=policy(tmp_path, ALL, CREATE))


@pytest.mark.parametrize(
    ("home", "keys", "identity"),
    [
        (bare_vault(), {}, None),
        (bare_vault(enableRbacAuthorization=False), {}, None),
        (vault(), KEYS, None),
        (vault(), KEYS, assigned(OTHER_UAI)),
        (vault(), {}, assigned(system=True)),
    ],
    ids=["everything", "everything by policies", "a key is there", "an identity is there", "the right one is there"],
)
@pytest.mark.parametrize("wanted", ["system", UAI], ids=["system", "user-assigned"])
def test_a_dry_run_names_exactly_the_steps_that_are_then_taken(
    tmp_path: Path, home: dict[str, Any], keys: dict[str, Any], identity: dict[str, Any] | None, wanted: str
) -> None:
    one = plain(identity=identity)

    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, item(azure, one))
        assert steps is not None
        assert changes(azure) == []
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        done = [*(told.step for told in report.did), SetKeys(report.planned)]
        assert [type(step) for step in steps] == [type(step) for step in done]
        for told, step in zip(steps, done, strict=True):
            if isinstance(told, GrantAccess) and isinstance(step, GrantAccess):
                assert told.principal in {"", step.principal}
                assert (told.vault, told.role, told.permissions) == (step.vault, step.role, step.permissions)
            elif isinstance(told, SetKeys) and isinstance(step, SetKeys):
                (was,), (is_,) = told.changes, step.changes
                assert was.to is not None
                assert is_.to is not None
                assert (was.slot, was.to.key) == (is_.slot, is_.to.key)
            else:
                assert told == step

    described = nothing_yet(one, home, user_assigned(), user_assigned(OTHER_UAI), keys=keys)
    on_azure(described, story, environ=policy(tmp_path, ALL, CREATE, f"identity: {wanted}"))
