"""What the plan of enforcement may hold, whatever the situation; the places of a key template; who may use a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.identity import principal_in, with_identity
from shared.domain.key_template import could_name, key_of, problem_of
from shared.domain.keys import KeyHistory, KeyId, KeyVersion, Material, parse_key_url
from shared.domain.plan import Action, Facts, Ground, Own, SetKeys, Step, plan
from shared.domain.policy import Mode, NewKey, Origin, Region, Rule, Site, Version
from shared.domain.policy_text import BadPolicy, read_policy
from shared.domain.preparation import (
    AssignIdentity,
    CreateKey,
    CreateVault,
    GrantAccess,
    HardenVault,
    Preparation,
    RecoverKey,
    RecoverVault,
    right_for,
)
from shared.domain.providers import RegisterProvider
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Address, Change, Json, KeyUse
from shared.domain.service import Can, May, Service, Verb
from shared.domain.vault import WRAPPING, Grant, Policy, Vault, lacks, vault_of
from shared.services.registry import services

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = KeyId("v.vault.azure.net", "cmk")
GROUP = "/subscriptions/s/resourceGroups/rg"
ID = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/v"
ONE, TWO = (f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}" for name in ("one", "two"))
WHO = "dddddddd-0000-4000-8000-000000000001"
SERVICE = services()["microsoft.storage/storageaccounts"]
GOOD = Material("RSA", 3072, frozenset({"wrapKey", "unwrapKey"}))
HISTORY = KeyHistory(KEY, (KeyVersion("a" * 32, NOW - timedelta(days=9), material=GOOD),), "a" * 32, NOW)
HOME = Vault(
    VAULT, KEY.host, "westeurope", "t", rbac=True, recoverable=True, protected=True, closed=False, premium=True
)
RULE = Rule("all", encryption=Mode.FIX, key=KEY.url, create_key=NewKey(), may=frozenset(May))
USER = Grant(VAULT, tuple(f"microsoft.keyvault/vaults/keys/{one}" for one in ("read", "wrap/action", "unwrap/action")))
ORDER = [CreateVault, HardenVault, RecoverKey, CreateKey, AssignIdentity, GrantAccess, SetKeys]


def facts(ground: Ground | Blocked, rule: Rule = RULE, **more: Any) -> Facts:
    body = {"id": ID, "location": "westeurope", "properties": {}}
    fields: dict[str, Any] = {"body": body, "uses": (), "keys": {KEY: HISTORY}, **more}
    address = fields.pop("address", Address(SERVICE.type, ID))
    service = fields.pop("service", SERVICE)
    return Facts(service=service, address=address, now=NOW, rule=rule, ground=ground, **fields)


def ready(vault: Vault = HOME) -> Ground:
    return Ground(KEY, vault, "", WHO, attached=True, grants=(USER,), location="westeurope")


def reason_of(steps: tuple[Step, ...]) -> Reason:
    (step,) = steps
    assert isinstance(step, Blocked)
    return step.reason


def seldom(draw: st.DrawFn) -> bool:
    """Return what is in the way now and then, so that most plans come to steps."""
    return draw(st.integers(0, 9)) == 9  # shrinks to no


@st.composite
def situations(draw: st.DrawFn) -> Facts:
    """Any rule that names a key, on any ground, whatever identities the resource has."""
    flags = st.booleans()
    system, assigned = draw(flags), draw(st.sets(st.sampled_from([ONE, TWO])))
    wanted = draw(st.sampled_from(["", ONE]))
    attached = wanted in assigned if wanted else system
    identity: Json = {"type": ",".join(["SystemAssigned"] * system + ["UserAssigned"] * bool(assigned)) or "None"}
    identity |= {"principalId": WHO} if system else {}
    identity |= {"userAssignedIdentities": {id_: {"principalId": WHO} for id_ in assigned}} if assigned else {}
    held = Policy(WHO, frozenset(draw(st.sets(st.sampled_from(["get", "wrapkey", "unwrapkey", "all"])))))
    home = Vault(
        VAULT,
        KEY.host,
        "northeurope" if seldom(draw) else "westeurope",
        "another" if seldom(draw) else "t",
        rbac=draw(flags),
        recoverable=draw(flags),
        protected=draw(flags),
        closed=seldom(draw),
        premium=draw(flags),
        policies=(held,) if draw(flags) else (),
    )
    principal = WHO if attached or wanted else ""
    rule = Rule(
        "all",
        encryption=draw(st.sampled_from([Mode.FIX, Mode.FIX, Mode.FIX, Mode.REPORT, Mode.IGNORE])),
        key=KEY.url,
        may=frozenset(May) - draw(st.sets(st.sampled_from(list(May)), max_size=2)),
        create_key=draw(st.builds(NewKey, type=st.sampled_from(["RSA", "RSA-HSM"])) | st.none()),
        origin=Origin.IMPORTED if seldom(draw) else Origin.VAULT,
        same_region=draw(st.sampled_from(list(Region))),
        version=draw(st.sampled_from(list(Version))),
    )
    body = {"id": ID, "location": "West Europe", "identity": identity, "properties": {}}
    there: list[KeyHistory | Blocked] = [HISTORY, Blocked(Reason.KEY_NOT_FOUND)]
    keys = {KEY: Blocked(Reason.VAULT_FORBIDDEN) if seldom(draw) else draw(st.sampled_from(there))}
    grants = (USER,) if principal and draw(flags) else ()
    founding = CreateVault(VAULT, "westeurope", "t", "premium") if seldom(draw) else None
    if founding is not None:
        home, keys, grants = HOME, {KEY: Blocked(Reason.KEY_NOT_FOUND)}, ()
    deleted = founding is None and draw(flags)
    tenant = "t" if principal else ""
    ground = Ground(KEY, home, wanted, principal, attached, tenant, grants, "westeurope", founding, deleted)
    own = Own(frozenset({GROUP.lower()})) if seldom(draw) else Own()
    return facts(ground, rule, body=body, keys=keys, own=own)


@given(situations())
def test_no_plan_goes_beyond_its_rule_names_another_key_or_loses_an_identity(situation: Facts) -> None:
    rule, ground = situation.rule, situation.ground
    assert rule is not None
    assert isinstance(ground, Ground)
    steps = plan(situation)
    actions = [step for step in steps if isinstance(step, Action)]
    assert actions in ([], list(steps)), "nothing is prepared when something is in the way"
    assert [type(one) for one in actions] == [kind for kind in ORDER if kind in {type(one) for one in actions}]
    if actions:
        assert rule.encryption is Mode.FIX
        assert isinstance(actions[-1], SetKeys)
        assert situation.own == Own()
    for step in actions:
        if isinstance(step, HardenVault):
            assert {May.HARDEN, May.IRREVERSIBLE} <= rule.may
        elif isinstance(step, CreateKey):
            assert May.CREATE_KEY in rule.may
            assert rule.origin is Origin.VAULT
            assert (step.vault, step.key) == (VAULT, KEY)
        elif isinstance(step, CreateVault):
            assert step is ground.founding
        elif isinstance(step, RecoverKey):
            assert May.RECOVER in rule.may
            assert ground.deleted
        elif isinstance(step, GrantAccess):
            assert May.GRANT in rule.may
            assert (step.vault, step.principal) == (VAULT, ground.principal)
        elif isinstance(step, AssignIdentity):
            keeps_all(situation.body, step.identity)
        else:
            assert isinstance(step, SetKeys)
            (change,) = step.changes
            assert isinstance(change, Change)
            assert (change.slot, change.to.key, change.identity) == ("encryption", KEY, ground.identity)


def keeps_all(body: Json, identity: str) -> None:
    before, sent = body["identity"], with_identity(body, identity)
    assigned = set(before.get("userAssignedIdentities") or ()) | ({identity} if identity else set())
    assert set(sent.get("userAssignedIdentities") or ()) == assigned
    assert ("SystemAssigned" in sent["type"]) is ("SystemAssigned" in before["type"] or not identity)
    assert ("UserAssigned" in sent["type"]) is bool(assigned)


@given(situations())
def test_each_step_taken_leaves_the_rest_of_the_plan_until_nothing_is_left(situation: Facts) -> None:
    steps = plan(situation)
    while steps and isinstance(first := steps[0], Action):
        situation, rest = taken(situation, first), steps[1:]
        steps = plan(situation)
        assert [type(step) for step in steps] == [type(step) for step in rest]
    if steps == () and situation.rule is not None and situation.rule.encryption is Mode.FIX:
        assert situation.uses


def taken(situation: Facts, step: Action) -> Facts:
    """Return the situation as it is once a step was taken."""
    ground = situation.ground
    assert isinstance(ground, Ground)
    if isinstance(step, HardenVault):
        return replace(situation, ground=replace(ground, vault=replace(ground.vault, recoverable=True, protected=True)))
    if isinstance(step, CreateVault):
        return replace(situation, ground=replace(ground, founding=None))
    if isinstance(step, CreateKey | RecoverKey):
        return replace(situation, keys={KEY: HISTORY})
    if isinstance(step, AssignIdentity):
        return replace(situation, ground=replace(ground, principal=WHO, attached=True, tenant=ground.vault.tenant))
    if isinstance(step, GrantAccess):
        held = Policy(WHO, frozenset({"get", "wrapkey", "unwrapkey"}))
        home = replace(ground.vault, policies=(*ground.vault.policies, held))
        return replace(situation, ground=replace(ground, vault=home, grants=(USER,)))
    assert isinstance(step, SetKeys)
    (change,) = step.changes
    assert isinstance(change, Change)
    assert change.to.version == HISTORY.latest
    use = KeyUse("encryption", change.to, change.follow, change.to.version)
    return replace(situation, uses=(use,))


def test_a_resource_that_lacks_nothing_but_the_key_gets_it_and_follows() -> None:
    assert plan(facts(ready())) == (SetKeys((Change("encryption", KEY.at("a" * 32), follow=True, identity=""),)),)


def test_what_the_service_cannot_do_is_said_before_anything_else() -> None:
    late = enabling(Reason.CHOSEN_AT_CREATION)
    assert reason_of(plan(facts(Blocked(Reason.VAULT_NOT_KNOWN), service=late))) is Reason.CHOSEN_AT_CREATION


def test_what_azure_never_takes_back_and_what_nobody_proved_take_the_rules_word() -> None:
    final = enabling(Can.UNVERIFIED, irreversible=frozenset({Verb.ENABLE}))
    bare = replace(RULE, may=frozenset({May.GRANT}))
    (step,) = plan(facts(ready(), bare, service=final))
    assert isinstance(step, Blocked)
    assert step.reason is Reason.NOT_ALLOWED_BY_RULE
    assert "irreversible, unproven" in step.detail
    assert isinstance(plan(facts(ready(), service=final))[0], SetKeys)


def test_access_is_granted_and_a_vault_protected_only_by_the_rules_words() -> None:
    stranger, bare = replace(ready(), grants=()), ready(vault=replace(HOME, protected=False))
    assert isinstance(plan(facts(stranger))[0], GrantAccess)
    assert reason_of(plan(facts(stranger, replace(RULE, may=RULE.may - {May.GRANT})))) is Reason.NOT_ALLOWED_BY_RULE
    assert isinstance(plan(facts(bare))[0], HardenVault)
    assert reason_of(plan(facts(bare, replace(RULE, may=RULE.may - {May.HARDEN})))) is Reason.VAULT_NOT_PROTECTED


def test_following_that_nobody_proved_is_begun_with_only_when_the_rule_says_follow() -> None:
    unsure = replace(SERVICE, traits=replace(SERVICE.traits, can={**SERVICE.traits.can, Verb.FOLLOW: Can.UNVERIFIED}))
    for version, follows in ((Version.KEEP, False), (Version.FOLLOW, True), (Version.PIN, False)):
        (step,) = plan(facts(ready(), replace(RULE, version=version), service=unsure))
        assert isinstance(step, SetKeys)
        (change,) = step.changes
        assert isinstance(change, Change)
        assert change.follow is follows
    bare = replace(RULE, version=Version.FOLLOW, may=frozenset({May.GRANT}))
    assert reason_of(plan(facts(ready(), bare, service=unsure))) is Reason.NOT_ALLOWED_BY_RULE


def test_a_service_that_takes_only_keys_of_its_region_gets_no_other_whatever_the_rule_says() -> None:
    ground = ready(vault=replace(HOME, location="northeurope"))
    assert isinstance(plan(facts(ground))[0], SetKeys)
    near = replace(SERVICE, traits=replace(SERVICE.traits, same_region=True))
    assert reason_of(plan(facts(ground, service=near))) is Reason.SAME_REGION_ONLY


def test_a_resource_of_the_app_and_one_that_azure_owns_are_left_alone() -> None:
    for more in ({"own": Own(storage_accounts=frozenset({"st1"}))}, {"managed_groups": frozenset({GROUP.lower()})}):
        assert reason_of(plan(facts(ready(), **more))) in {Reason.OWN_RESOURCE, Reason.MANAGED_BY_AZURE}


def test_a_key_to_be_imported_is_not_made() -> None:
    absent = {KEY: Blocked(Reason.KEY_NOT_FOUND)}
    assert isinstance(plan(facts(ready(), keys=absent))[0], CreateKey)
    assert reason_of(plan(facts(ready(), replace(RULE, origin=Origin.IMPORTED), keys=absent))) is Reason.KEY_NOT_FOUND


@pytest.mark.parametrize(
    "more",
    [
        {"own": Own(frozenset({"/subscriptions/s/resourcegroups/ops"}))},
        {"managed_groups": frozenset({"/subscriptions/s/resourcegroups/ops"})},
    ],
)
def test_a_vault_of_the_app_or_of_azure_is_used_and_never_written(more: dict[str, Any]) -> None:
    ours = replace(HOME, id=VAULT.replace("/rg/", "/ops/"))
    assert isinstance(plan(facts(ready(ours), **more))[0], SetKeys)
    bare = replace(ours, protected=False)
    assert reason_of(plan(facts(ready(bare), **more))) in {Reason.OWN_RESOURCE, Reason.MANAGED_BY_AZURE}


def test_a_key_that_backs_a_certificate_is_no_key_to_begin_with() -> None:
    keys = {KEY: replace(HISTORY, backs_certificate=True)}
    assert reason_of(plan(facts(ready(), keys=keys))) is Reason.KEY_BACKS_CERTIFICATE


def enabling(ability: Can | Reason, **more: Any) -> Service:
    traits = replace(SERVICE.traits, can={**SERVICE.traits.can, Verb.ENABLE: ability}, **more)
    return replace(SERVICE, traits=traits)


SITE = Site(
    "Microsoft.Storage/storageAccounts", "st1", "5ub", "rg", location="West Europe", tags={"Team": "Blue", "x": "a/b"}
)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("https://kv-{location}.vault.azure.net/keys/cmk", "https://kv-westeurope.vault.azure.net/keys/cmk"),
        ("https://kv.vault.azure.net/keys/{service}-{tag:team}", "https://kv.vault.azure.net/keys/storage-blue"),
        ("https://kv-{subscription}.vault.azure.net/keys/c/", "https://kv-5ub.vault.azure.net/keys/c"),
    ],
)
def test_a_template_is_filled_in_and_knows_its_own_keys(template: str, key: str) -> None:
    assert problem_of(template) == ""
    found = key_of(template, SITE)
    assert isinstance(found, KeyId)
    assert found.url == key
    assert could_name(template, found)
    assert not could_name(template, replace(found, name="other"))


def test_a_place_that_the_resource_leaves_empty_is_never_filled_with_something_else() -> None:
    nowhere = replace(SITE, location="")
    found = key_of("https://kv-{location}.vault.azure.net/keys/cmk", nowhere)
    assert isinstance(found, Blocked)
    assert (found.reason, found.detail) == (Reason.KEY_TEMPLATE, "{location} is ''")


@given(st.text(max_size=30))
@example("a.b")
@example("x.vault.azure.net/keys/other#")
@example("a/../b")
def test_no_tag_leads_to_another_host_or_path(value: str) -> None:
    site = replace(SITE, tags={"t": value})
    found = key_of("https://kv-{tag:t}.vault.azure.net/keys/k-1", site)
    if isinstance(found, KeyId):
        assert found.host.endswith(".vault.azure.net")
        assert found.host.count(".") == 3
        assert found.name == "k-1"
    else:
        assert found.reason is Reason.KEY_TEMPLATE


@pytest.mark.parametrize(
    "line",
    [
        "{encryption: fix}",
        "{encryption: fix, key: 'https://kv.vault.azure.net/keys/k/v1'}",
        "{encryption: fix, key: 'https://kv.vault.azure.net/keys/{color}'}",
        "{encryption: fix, key: 'https://kv.vault.azure.net/secrets/k'}",
        "{key: 'https://kv.vault.azure.net/keys/k', identity: mine}",
        "{key: 'https://kv.vault.azure.net/keys/k', createKey: {}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-key], createKey: {size: 1024}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-key], createKey: {type: EC}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-key], createKey: {rotateAfterDays: 3}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-key], origin: imported, createKey: {}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-key], createKey: {expiresAfterDays: 20}}",
        f"{{key: '{KEY.url}', may: [create-key], createKey: {{rotateAfterDays: 90, expiresAfterDays: 90}}}}",
        f"{{key: '{KEY.url}', may: [create-key], createKey: {{tags: {dict.fromkeys(map(str, range(16)), 'x')}}}}}",
        f"{{key: '{KEY.url}', may: [create-key], createKey: {{tags: {{'': x}}}}}}",
        f"{{key: '{KEY.url}', may: [create-key], createKey: {{tags: {{owner: {'x' * 513}}}}}}}",
        "{key: 'https://kv.vault.azure.net/keys/k', createVault: {resourceGroup: rg}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-vault], createVault: {resourceGroup: a/b}}",
        "{key: 'https://kv.vault.azure.net/keys/k', may: [create-vault], createVault: {resourceGroup: rg, sku: fine}}",
        "{key: 'https://k_v.vault.azure.net/keys/k', may: [create-vault], createVault: {resourceGroup: rg}}",
        "{key: 'https://v.vault.azure.net/keys/k', may: [create-vault], createVault: {resourceGroup: rg}}",
        f"{{key: 'https://{'v' * 25}.vault.azure.net/keys/k', may: [create-vault], createVault: {{resourceGroup: a}}}}",
        f"{{key: '{KEY.url}', may: [create-vault], createVault: {{resourceGroup: rg, subscription: mine}}}}",
        "{may: [create-vault], createVault: {resourceGroup: rg}}",
        "{origin: imported}",
        "{sameRegion: perhaps}",
    ],
)
def test_what_a_rule_says_wrongly_of_its_key_is_named(line: str) -> None:
    import yaml  # noqa: PLC0415  only here

    rule = {"name": "one", **yaml.safe_load(line)}
    with pytest.raises(BadPolicy, match=r"rules\[0\]"):
        read_policy({"version": 1, "rules": [rule]}, {})


def test_nothing_that_the_app_asks_for_purges() -> None:
    steps: list[Preparation] = [
        RegisterProvider("s", "Microsoft.KeyVault"),
        CreateVault(VAULT, "westeurope", "t", "standard"),
        RecoverVault(VAULT, "westeurope", "t"),
        HardenVault(VAULT),
        CreateKey(VAULT, KEY, NewKey()),
        RecoverKey(VAULT, KEY),
        AssignIdentity(ONE),
        GrantAccess(VAULT, WHO, "t", "role", ()),
        GrantAccess(VAULT, WHO, "t", "", ("get",)),
    ]
    assert {type(step) for step in steps} == set(get_args(Preparation))
    asked = {right_for(step, SERVICE.type) for step in steps}
    for service in services().values():
        for traits in (service.traits, *service.kinds.values(), *service.slots.values()):
            asked |= {*traits.actions, *traits.access.permissions}
    assert len(asked) > len(steps)
    assert not [one for one in asked if "purge" in one.lower() or one.endswith("*")]


def test_roles_count_where_roles_decide_and_access_policies_elsewhere() -> None:
    by_policy = replace(HOME, rbac=False, policies=(Policy(WHO, frozenset({"get", "wrapkey"})),))
    assert lacks(HOME, "cmk", WHO, (USER,), WRAPPING) == ()
    assert lacks(HOME, "cmk", WHO, (), WRAPPING) == ("get", "wrapKey", "unwrapKey")
    assert lacks(by_policy, "cmk", WHO, (USER,), WRAPPING) == ("unwrapKey",)
    on_behalf = replace(by_policy, policies=(Policy(WHO, frozenset({"all"}), "an-application"),))
    assert lacks(on_behalf, "cmk", WHO, (), WRAPPING) == ("get", "wrapKey", "unwrapKey")


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ("", True),
        ("/providers/Microsoft.Management/managementGroups/root", True),
        (GROUP.upper(), True),
        (f"{VAULT}/keys/CMK", True),
        (f"{VAULT}/keys/other", False),
        (f"{VAULT}/secrets/cmk", False),
    ],
)
def test_a_role_reaches_the_key_from_above_and_on_the_key_itself(scope: str, reaches: bool) -> None:  # noqa: FBT001
    assert (lacks(HOME, "cmk", WHO, (replace(USER, scope=scope),), WRAPPING) == ()) is reaches


def test_what_a_role_takes_away_again_it_does_not_give() -> None:
    most = Grant(VAULT, ("microsoft.keyvault/vaults/*",), ("microsoft.keyvault/vaults/keys/unwrap/action",))
    assert lacks(HOME, "cmk", WHO, (most,), WRAPPING) == ("unwrapKey",)


@given(
    st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda one: st.dictionaries(st.text(max_size=5), one))
)
def test_any_body_of_a_vault_can_be_read(odd: Any) -> None:
    for body in ({"properties": odd}, {"properties": {"networkAcls": odd, "accessPolicies": odd, "sku": odd}}):
        assert isinstance(vault_of(body), Vault)


def test_an_identity_that_is_gone_acts_as_nobody() -> None:
    body = {
        "identity": {"type": "UserAssigned", "principalId": WHO, "userAssignedIdentities": {ONE: {"principalId": WHO}}}
    }
    assert principal_in(body, "") == ""
    assert principal_in(body, ONE.upper()) == WHO
    assert principal_in(body, TWO) == ""
    assert parse_key_url(KEY.url).key == KEY


@pytest.mark.parametrize(
    ("state", "reason"), [("Updating", Reason.PROVISIONING), ("Failed", Reason.PROVISIONING_FAILED)]
)
def test_a_resource_that_is_being_changed_or_has_failed_gets_no_key_yet(state: str, reason: Reason) -> None:
    body = {"id": ID, "location": "westeurope", "properties": {"provisioningState": state}}
    (step,) = plan(facts(ready(), body=body))
    assert isinstance(step, Blocked | Wait)
    assert step.reason is reason


def test_an_identity_that_is_there_in_another_spelling_is_not_named_twice() -> None:
    body = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {ONE.upper(): {"principalId": WHO}}}}
    assert with_identity(body, ONE) == {"type": "UserAssigned", "userAssignedIdentities": {ONE.upper(): {}}}


def test_a_vault_that_says_that_what_is_deleted_is_gone_is_not_taken_for_a_safe_one() -> None:
    assert vault_of({"id": VAULT, "properties": {}}).recoverable
    assert not vault_of({"id": VAULT, "properties": {"enableSoftDelete": False}}).recoverable


def test_no_key_is_made_of_a_size_that_the_service_does_not_take() -> None:
    traits = replace(SERVICE.traits, accepts=replace(SERVICE.traits.accepts, types=frozenset({("RSA", 2048)})))
    small = replace(SERVICE, traits=traits)
    absent = {KEY: Blocked(Reason.KEY_NOT_FOUND)}
    assert reason_of(plan(facts(ready(), service=small, keys=absent))) is Reason.KEY_TYPE_NOT_ACCEPTED
    fits = replace(RULE, create_key=NewKey(size=2048))
    assert isinstance(plan(facts(ready(), fits, service=small, keys=absent))[0], CreateKey)
