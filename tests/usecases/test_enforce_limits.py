"""What enforcement leaves alone, refuses and waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.queues import queue_of
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.evidence import encode as encode_line
from shared.domain.evidence import line_of, worth_keeping
from shared.domain.keys import parse_key_url
from shared.domain.preparation import CreateKey, GrantAccess, HardenVault
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Waiting, as_json
from shared.domain.service import May
from shared.domain.wish import Wish
from shared.domain.work import WORK_QUEUE, Cause, CheckResource, RotateKey, Source, Sweep
from shared.usecases.preview import preview
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
    vault,
    version,
)
from tests.support.enforced import EVERY_STEP, KEYS, changes, enforced, item, key_of, refusal
from tests.support.enforcing import (
    ALL,
    CREATE,
    KEY,
    OTHER_UAI,
    UAI,
    bare_vault,
    nothing_yet,
    plain,
    policy,
    user_assigned,
)
from tests.support.moving import resource


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


@pytest.mark.parametrize("held", ["", 'windows: [{from: "08:00", to: "08:02"}]'], ids=["at any time", "by windows"])
def test_what_failed_while_its_grant_spread_is_finished_by_an_app_that_knows_nothing_of_it(
    tmp_path: Path, held: str
) -> None:
    one = resource("Microsoft.OperationalInsights/clusters", "law", {"provisioningState": "Succeeded"})
    one["identity"] = {"type": "None"}

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["propagation"] = 600
        await azure.put(item(azure, one))
        while azure.body(one)["properties"]["provisioningState"] != "Failed":
            await azure.drain(until=timedelta(minutes=5))
        work = queue_of(azure.world, "cmkautopilot", WORK_QUEUE)
        assert work is not None
        if not held:  # the app dies with all it had; with a window its own message waits for the next day
            work.messages.clear()
            azure.app = azure.instance()
            await azure.put(item(azure, one))
        await azure.drain(until=timedelta(days=3))
        assert azure.body(one)["properties"]["keyVaultProperties"]["keyName"] == "cmk"
        assert azure.body(one)["properties"]["provisioningState"] == "Succeeded"

    may = f"may: [{', '.join(one.value for one in May)}]"
    on_azure(nothing_yet(one, vault(), keys=KEYS), story, environ=policy(tmp_path, may, *filter(None, [held])))


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


def test_an_answer_about_the_vault_that_was_spoilt_on_its_way_is_no_lack_of_a_vault(tmp_path: Path) -> None:
    one, home = plain(), vault()

    async def story(azure: Azure) -> None:
        spoilt: list[str] = []

        def once(call: Call, answer: Answer) -> Answer:
            if call.method != "GET" or call.path != home["id"] or len(spoilt) > 1:
                return answer
            spoilt.append(call.path)
            return answer if len(spoilt) == 1 else Answer.of({})  # the first asks whether it is there at all

        azure.world.hooks = Hooks(after=once)
        await azure.put(item(azure, one))
        (first,) = await azure.drain()
        assert len(spoilt) == 2
        assert isinstance(first.outcome, Waiting)
        assert first.reasons == (Reason.SERVICE_UNAVAILABLE,)
        await azure.drain(until=timedelta(minutes=30))
        assert key_of(azure, one)["keyname"] == "cmk"

    on_azure(nothing_yet(one, home, keys=KEYS), story, environ=policy(tmp_path, ALL))


@pytest.mark.parametrize("about", ["userAssignedIdentities", "roleDefinitions"])
def test_an_answer_about_rights_that_was_spoilt_on_its_way_is_asked_for_again(tmp_path: Path, about: str) -> None:
    one = plain()
    role = {"scope": vault()["id"], "principalId": user_assigned()["properties"]["principalId"]}
    spoilt: list[str] = []

    async def story(azure: Azure) -> None:
        def once(call: Call, answer: Answer) -> Answer:
            if about not in call.path or spoilt:
                return answer
            spoilt.append(call.path)
            return Answer.of({})

        azure.world.hooks = Hooks(after=once)
        await azure.put(item(azure, one))
        (first,) = await azure.drain()
        assert spoilt
        assert first.reasons == (Reason.SERVICE_UNAVAILABLE,)
        await azure.drain(until=timedelta(minutes=30))
        assert key_of(azure, one)["keyname"] == "cmk"
        assert not [done for report in azure.reports for done in report.did if isinstance(done.step, GrantAccess)]

    described = nothing_yet(
        one, user_assigned(), keys=KEYS, roleAssignments=[{**role, "roleDefinitionId": ENCRYPTION_USER}]
    )
    on_azure(described, story, environ=policy(tmp_path, ALL, f"identity: {UAI}"))


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
