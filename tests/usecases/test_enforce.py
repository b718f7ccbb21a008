"""Bringing resources under a key of yours: each step, each refusal, deaths in between, and what is never touched."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.evidence import encode as encode_line
from shared.domain.evidence import line_of, worth_keeping
from shared.domain.keys import parse_key_url
from shared.domain.plan import SetKeys
from shared.domain.preparation import AssignIdentity, CreateKey, GrantAccess, HardenVault
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Report, Stopped, Waiting, as_json
from shared.domain.wish import Wish
from shared.domain.work import Cause, CheckResource, RotateKey, Source, Sweep, encode
from shared.usecases.check_resource import preview
from shared.usecases.handle import handle
from tests.support.azure import (
    ENCRYPTION_USER,
    MID,
    NEW,
    OLD,
    TENANT,
    Azure,
    account,
    on_azure,
    principal_of,
    scope,
    vault,
    version,
)
from tests.support.enforcing import (
    ALL,
    CREATE,
    KEY,
    OTHER_UAI,
    UAI,
    assigned,
    bare_vault,
    nothing_yet,
    plain,
    policy,
    user_assigned,
)

EVERY_STEP = [HardenVault, CreateKey, AssignIdentity, GrantAccess]
KEYS = {"kv-main": [{"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]}]}
WRITES = {"PUT", "PATCH", "DELETE", "POST"}


def item(azure: Azure, one: dict[str, Any]) -> CheckResource:
    now = azure.time.now()
    return CheckResource(azure.address(one), Cause("cause-1", Source.EVENT), now, now)


async def enforced(azure: Azure, one: dict[str, Any]) -> Report:
    return (await azure.check(one))[-1]


def changes(azure: Azure) -> list[str]:
    """Return what was written anywhere but on queues and topics: "METHOD path"."""
    return [
        f"{line.method} {line.url.partition('?')[0]}"
        for line in azure.world.log
        if line.method in WRITES and line.kind not in {"queue", "topic", "graph", "identity", "blob"}
    ]


def key_of(azure: Azure, one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = azure.body(one)["properties"]["encryption"]["keyvaultproperties"]
    return found


def refusal(report: Report) -> Reason:
    assert isinstance(report.outcome, Stopped), report.outcome
    (blocked,) = report.outcome.blocked
    return blocked.reason


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
            return call.method in {"PUT", "PATCH"} and len(effects) == step and not killed[0]

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


def test_report_says_so_and_writes_nothing_at_all(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.NOT_ENCRYPTED
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        await azure.drain()
        assert changes(azure) == []
        assert not azure.calls("vault")

    on_azure(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, CREATE, encryption="report"))


@pytest.mark.parametrize("encryption", ["fix", "report", "ignore"])
def test_a_resource_outside_every_rule_is_never_touched(tmp_path: Path, encryption: str) -> None:
    one, two = plain(), plain("st2")

    async def story(azure: Azure) -> None:
        before = azure.body(two)
        assert isinstance((await enforced(azure, two)).outcome, Converged)
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        await azure.drain()
        assert azure.body(two) == before
        assert not [line for line in changes(azure) if "/st2" in line]

    environ = policy(tmp_path, ALL, "where: {names: [st1]}", encryption=encryption)
    on_azure(nothing_yet(one, two, keys=KEYS), story, environ=environ)


def test_a_sweep_finds_those_that_no_event_told_of_and_counts_those_that_are_only_reported(tmp_path: Path) -> None:
    told, fixed = plain("sttold"), plain("stfixed")
    path = Path(policy(tmp_path, ALL, "where: {names: [stfixed]}")["CMK_POLICY"])
    path.write_text(path.read_text() + "  - {name: rest, encryption: report}\n", encoding="utf-8")

    async def story(azure: Azure) -> None:
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        reports = await azure.drain()
        (page,) = [report.outcome for report in reports if isinstance(report.item, Sweep)]
        assert getattr(page, "unencrypted", None) == 1
        assert azure.in_use(fixed) == MID
        assert azure.body(told)["properties"]["encryption"]["keySource"] == "Microsoft.Storage"

    on_azure(nothing_yet(told, fixed, keys=KEYS), story, environ={"CMK_POLICY": str(path)})


RULES: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, Any], Reason]] = {
    "the vault may not be hardened": (
        ("may: [create-key, grant]", CREATE),
        bare_vault(),
        {},
        Reason.VAULT_NOT_PROTECTED,
    ),
    "hardening alone is not enough": (("may: [grant, harden]",), bare_vault(), KEYS, Reason.VAULT_NOT_PROTECTED),
    "there is no key": ((ALL,), vault(), {}, Reason.KEY_NOT_FOUND),
    "an imported key is not made": ((ALL, "origin: imported"), vault(), {}, Reason.KEY_NOT_FOUND),
    "nobody may grant": (("may: [create-key]", CREATE), vault(), {}, Reason.NOT_ALLOWED_BY_RULE),
    "another region": ((ALL, "sameRegion: require"), {**vault(), "location": "northeurope"}, KEYS, Reason.OTHER_REGION),
    "another tenant": ((ALL,), vault(tenantId="33333333-3333-3333-3333-333333333333"), KEYS, Reason.CROSS_TENANT),
    "a standard vault has no HSM": (
        (ALL, "createKey: {type: RSA-HSM}"),
        vault(sku={"family": "A", "name": "standard"}),
        {},
        Reason.KEY_TYPE_NOT_ACCEPTED,
    ),
    "trusted services are kept out": (
        (ALL,),
        vault(networkAcls={"defaultAction": "Deny", "bypass": "None"}),
        KEYS,
        Reason.VAULT_CLOSED,
    ),
    "the newest version is disabled": (
        (ALL,),
        vault(),
        {"kv-main": [{"name": "cmk", "versions": [version(OLD), version(NEW, "2026-03-01T00:00:00Z", enabled=False)]}]},
        Reason.LATEST_UNUSABLE,
    ),
    "the key is of no use": (
        (ALL,),
        vault(),
        {"kv-main": [{"name": "cmk", "kty": "EC", "bits": 256, "versions": [version(OLD)]}]},
        Reason.LATEST_UNUSABLE,
    ),
    "the identity is not there": ((ALL, f"identity: {OTHER_UAI}x"), vault(), KEYS, Reason.IDENTITY_NOT_FOUND),
    "1,024 access policies": (
        (ALL,),
        vault(
            enableRbacAuthorization=False,
            accessPolicies=[
                {"tenantId": TENANT, "objectId": f"{number:032x}", "permissions": {"keys": ["get"]}}
                for number in range(1024)
            ],
        ),
        KEYS,
        Reason.QUOTA,
    ),
}


@pytest.mark.parametrize("case", list(RULES))
def test_what_cannot_be_done_is_refused_before_anything_is_prepared(tmp_path: Path, case: str) -> None:
    lines, home, keys, reason = RULES[case]
    one = plain(identity={"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT})

    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, item(azure, one))
        assert refusal(await enforced(azure, one)) is reason
        assert steps is not None
        assert [getattr(step, "reason", None) for step in steps] == [reason]
        assert changes(azure) == []

    on_azure(nothing_yet(one, home, keys=keys), story, environ=policy(tmp_path, *lines))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("https://kv-none.vault.azure.net/keys/cmk", Reason.VAULT_NOT_KNOWN),
        ("https://hsm.managedhsm.azure.net/keys/cmk", Reason.MANAGED_HSM),
        ("https://{tag:vault}.vault.azure.net/keys/cmk", Reason.KEY_TEMPLATE),
        ("https://kv-main.vault.azure.net/keys/{tag:evil}", Reason.KEY_TEMPLATE),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused(tmp_path: Path, key: str, reason: Reason) -> None:
    one = plain(tags={"evil": "x/y"})

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is reason
        assert changes(azure) == []

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL, key=f"'{key}'"))


def test_each_resource_gets_the_key_that_the_template_names_for_it(tmp_path: Path) -> None:
    west, north = plain("stwest", tags={"Team": "a"}), plain("stnorth", location="North Europe", tags={"team": "b"})
    homes = vault("kv-westeurope"), {**vault("kv-northeurope"), "location": "northeurope"}
    keys = {
        "kv-westeurope": [{"name": "storage-a", "versions": [version(OLD)]}],
        "kv-northeurope": [{"name": "storage-b", "versions": [version(OLD)]}],
    }

    async def story(azure: Azure) -> None:
        await azure.put(Sweep(Cause("c", Source.HTTP), azure.time.now()))
        await azure.drain()
        assert key_of(azure, west)["keyvaulturi"].rstrip("/") == "https://kv-westeurope.vault.azure.net"
        assert key_of(azure, north)["keyvaulturi"].rstrip("/") == "https://kv-northeurope.vault.azure.net"
        assert (key_of(azure, west)["keyname"], key_of(azure, north)["keyname"]) == ("storage-a", "storage-b")

    template = "'https://kv-{location}.vault.azure.net/keys/{service}-{tag:team}'"
    environ = policy(tmp_path, ALL, "sameRegion: require", key=template)
    on_azure(nothing_yet(west, north, *homes, keys=keys), story, environ=environ)


@pytest.mark.parametrize("identity", ["system", UAI], ids=["system", "user-assigned"])
def test_another_service_takes_the_same_steps_in_its_own_words(tmp_path: Path, identity: str) -> None:
    id_ = plain()["id"].replace("Microsoft.Storage/storageAccounts/st1", "Microsoft.CognitiveServices/accounts/ai1")
    one = {"id": id_, "name": "ai1", "type": "Microsoft.CognitiveServices/accounts", "location": "westeurope"}
    one |= {"kind": "TextAnalytics", "sku": {"name": "S"}, "properties": {"provisioningState": "Succeeded"}}

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(hours=1))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert [type(done.step) for report in azure.reports for done in report.did] == EVERY_STEP
        chosen = azure.body(one)["properties"]["encryption"]["keyVaultProperties"]
        assert chosen["keyName"] == "cmk"
        assert chosen["keyVersion"]
        assert bool(chosen.get("identityClientId")) is (identity == UAI)

    may = "may: [create-key, grant, harden, irreversible, unproven]"
    environ = policy(tmp_path, may, "createKey: {size: 2048}", f"identity: {identity}")
    on_azure(nothing_yet(one, bare_vault(), user_assigned()), story, environ=environ)


def test_a_vault_in_another_region_is_used_and_told_of_where_the_rule_only_reports(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, item(azure, one))
        assert steps is not None
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        assert report.to_do == "the vault is in northeurope, the resource in westeurope"
        assert getattr(steps[-1], "remark", "") == report.to_do

    home = {**vault(), "location": "northeurope"}
    on_azure(nothing_yet(one, home, keys=KEYS), story, environ=policy(tmp_path, ALL, "sameRegion: report"))


def test_a_grant_that_has_not_spread_is_waited_for_and_not_made_again(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["propagation"] = 900
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Waiting)
        (grant,) = azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        assert report.outcome.wait.reason is Reason.KEY_ACCESS_DENIED
        assert report.outcome.wait.since == datetime.fromisoformat(grant["properties"]["createdOn"])
        await azure.drain(until=timedelta(hours=1))
        assert azure.in_use(one) == MID
        assert len([line for line in changes(azure) if "roleAssignments" in line]) == 1

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_a_grant_that_should_have_spread_long_ago_is_no_longer_waited_for(tmp_path: Path) -> None:
    one = plain(identity={"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT})
    described = nothing_yet(one, keys=KEYS)
    described["roleAssignments"] = [
        {"scope": vault()["id"], "principalId": principal_of("st1"), "roleDefinitionId": ENCRYPTION_USER}
    ]

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["propagation"] = 10 * 86_400
        (grant,) = azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        moved = {**grant, "properties": {**grant["properties"], "createdOn": "2026-04-28T08:00:00Z"}}
        azure.world.resources.put(moved)
        assert refusal(await enforced(azure, one)) is Reason.KEY_ACCESS_DENIED

    on_azure(described, story, environ=policy(tmp_path, ALL))


def test_an_identity_that_is_not_known_everywhere_yet_is_waited_for(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        refused = {"left": 2}

        def unknown(call: Call) -> Answer | None:
            if call.method == "PUT" and "roleassignments" in call.path.lower() and refused["left"]:
                refused["left"] -= 1
                return Answer.of({"error": {"code": "PrincipalNotFound", "message": "not in the directory"}}, 400)
            return None

        azure.world.hooks = Hooks(before=unknown)
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.PRINCIPAL_NOT_FOUND
        await azure.drain(until=timedelta(hours=1))
        assert azure.in_use(one) == MID

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_a_role_that_somebody_else_assigned_or_that_is_held_above_is_enough(tmp_path: Path) -> None:
    one = plain(identity={"type": "SystemAssigned", "principalId": principal_of("st1"), "tenantId": TENANT})
    described = nothing_yet(one, keys=KEYS)
    above = vault()["id"].partition("/providers/")[0]
    described["roleAssignments"] = [
        {"scope": above, "principalId": principal_of("st1"), "roleDefinitionId": ENCRYPTION_USER}
    ]

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged)
        assert report.did == ()

    on_azure(described, story, environ=policy(tmp_path))


def test_nothing_is_prepared_while_writing_is_off(tmp_path: Path) -> None:
    one = plain()
    environ = policy(tmp_path, ALL, CREATE)

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        assert isinstance((await enforced(azure, one)).outcome, Waiting)
        assert changes(azure) == []
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=15))
        assert key_of(azure, one)["keyname"] == "cmk"

    on_azure(nothing_yet(one, bare_vault()), story, environ=environ)


def test_switched_off_half_way_nothing_more_is_written(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        def off(call: Call, answer: Answer) -> Answer:
            if call.method == "PUT" and "/keys/" in call.path:
                azure.environ["CMK_WRITES"] = "off"
            return answer

        azure.world.hooks = Hooks(after=off)
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.WRITES_OFF
        assert [type(done.step) for done in report.did] == [HardenVault, CreateKey]
        assert len(changes(azure)) == 2

    on_azure(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, CREATE))


def test_the_apps_own_vault_is_never_written(tmp_path: Path) -> None:
    one = plain()
    one["id"] = one["id"].replace("rg-data", "rg-else")

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, one)) is Reason.OWN_RESOURCE
        assert changes(azure) == []

    environ = {**policy(tmp_path, ALL, CREATE), "CMK_OWN_RESOURCE_GROUP": vault()["id"].partition("/providers/")[0]}
    on_azure(nothing_yet(one, bare_vault()), story, environ=environ)


def test_an_encryption_scope_is_only_told_of(tmp_path: Path) -> None:
    one = account("st1")
    deep = scope("st1", "deep", key="")

    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, deep)) is Reason.NOT_ENCRYPTED
        assert changes(azure) == []

    on_azure(nothing_yet(one, deep, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_a_key_whose_material_is_imported_is_never_rotated_in_the_vault(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(RotateKey(parse_key_url(KEY).key, Cause("c", Source.HTTP), azure.time.now()))
        (report,) = await azure.drain()
        assert refusal(report) is Reason.KEY_IS_IMPORTED
        assert changes(azure) == []

    template = "'https://kv-{tag:where}.vault.azure.net/keys/cmk'"
    on_azure(nothing_yet(keys=KEYS), story, environ=policy(tmp_path, "origin: imported", key=template))


def test_going_back_to_the_platforms_key_contradicts_a_rule_that_says_fix(tmp_path: Path) -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.put(CheckResource(azure.address(one), Cause("c", Source.HTTP), now, now, wish=Wish(revert=True)))
        assert refusal((await azure.drain())[-1]) is Reason.CONTRADICTS_RULE

    on_azure(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_an_answer_that_got_lost_is_told_and_the_step_is_not_taken_twice(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        def lost(call: Call, answer: Answer) -> Answer:
            gone = call.method == "PUT" and "/keys/" in call.path
            return Answer.of({"error": {"code": "InternalServerError", "message": ""}}, 500) if gone else answer

        azure.world.hooks = Hooks(after=lost)
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Waiting)
        assert [done.accepted for done in report.did] == [False]
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=30))
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 1
        assert key_of(azure, one)["keyname"] == "cmk"

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


def test_every_step_is_evidence(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        report = await enforced(azure, one)
        assert worth_keeping(report)
        assert as_json(report)["did"]
        line = line_of(report, "1")
        assert encode_line(line)
        assert [done.step for done in line.did] == ["HardenVault", "CreateKey", "AssignIdentity", "GrantAccess"]
        assert line.did[0].place.lower() == vault()["id"].lower()
        assert line.did[3].said["principal"] == azure.body(one)["identity"]["principalId"]
        assert KEY in line.keys
        assert azure.app.journals.failures == {}

    on_azure(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, "createKey: {}"))
