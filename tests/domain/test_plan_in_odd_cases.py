"""The rules of the plan where two things come together: what is asked of a slot, who owns what, what has failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.keys import KeyHistory, KeyId
from shared.domain.life import AccessLost
from shared.domain.plan import Facts, Own, SetKeys, plan
from shared.domain.policy import Mode, Rule, Version
from shared.domain.preparation import GrantAccess
from shared.domain.reached import Holder, Reach
from shared.domain.reasons import Blocked, Reason, Wait, Waited
from shared.domain.resource import Address, Change, KeyUse
from shared.domain.service import Can, Follow, May, Service, Verb
from shared.domain.wish import Wish
from shared.services.registry import services
from tests.domain.test_enforcement_plan import HOME, USER, WHO, ready
from tests.domain.test_enforcement_plan import facts as on_ground
from tests.domain.test_plan import (
    FIX,
    ID,
    KEY,
    MID,
    NEW,
    NOW,
    OLD,
    THREE,
    facts,
    following,
    history,
    only_reason,
    pinned,
    version,
)
from tests.domain.test_plan_policy import with_traits

LATEST_OFF = history(version(OLD, 90), version(MID, 30), version(NEW, 1, enabled=False))
OTHER = KeyId("v.vault.azure.net", "other")
OTHERS = KeyHistory(OTHER, LATEST_OFF.versions, NEW, NOW)
RESTORE = Rule("all", rotation=Mode.FIX, access_lost=AccessLost.RESTORE, may=frozenset({May.GRANT}))


def changes(found: Facts) -> tuple[Any, ...]:
    (step,) = plan(found)
    assert isinstance(step, SetKeys)
    return step.changes


def test_a_follower_that_shall_be_pinned_is_pinned_to_nothing_older_than_what_it_follows() -> None:
    wish = Wish(version=Version.PIN)
    assert only_reason(plan(facts(following(NEW), LATEST_OFF, wish=wish))) is Reason.LATEST_UNUSABLE
    assert changes(facts(following(NEW), wish=wish)) == (Change("encryption", KEY.at(NEW), follow=False),)


def test_another_key_is_followed_only_if_what_the_vault_calls_its_latest_can_be_used() -> None:
    def wishing(wish: Wish) -> Facts:
        found = facts(pinned(NEW), wish=wish)
        return replace(found, keys={**found.keys, OTHER: OTHERS})

    to_follow = Wish(OTHER.at(None), Version.FOLLOW)
    assert only_reason(plan(wishing(to_follow))) is Reason.LATEST_UNUSABLE
    assert changes(wishing(Wish(OTHER.at(None)))) == (Change("encryption", OTHER.at(MID), follow=False),)


def test_a_service_that_always_follows_begins_with_no_key_whose_latest_version_cannot_be_used() -> None:
    always = with_traits(follow=Follow.ALWAYS)
    begins = replace(facts(pinned(OLD)), service=always, uses=(), keys={OTHER: OTHERS}, wish=Wish(OTHER.at(None)))
    assert only_reason(plan(begins)) is Reason.LATEST_UNUSABLE


def test_to_begin_with_a_key_and_follow_it_takes_what_following_takes() -> None:
    unproven = with_traits(can={**dict.fromkeys(Verb, Can.YES), Verb.FOLLOW: Can.UNVERIFIED})
    begins = replace(facts(pinned(OLD)), service=unproven, uses=(), wish=Wish(KEY.at(None), Version.FOLLOW))
    begins = replace(begins, body={"identity": {"type": "SystemAssigned", "principalId": WHO}})
    assert only_reason(plan(begins)) is Reason.NOT_ALLOWED_BY_RULE
    assert changes(replace(begins, rule=replace(FIX, may=frozenset({May.UNPROVEN}))))


def test_a_disabled_version_is_told_of_though_another_one_is_just_as_new() -> None:
    keys = history(version(OLD, 30, enabled=False), version(MID, 30), version(NEW, 1, enabled=False))
    assert only_reason(plan(facts(pinned(OLD), keys))) is Reason.ONLY_OLDER_USABLE


@pytest.mark.parametrize("type_", ["Microsoft.Storage/storageAccounts", "microsoft.storage/STORAGEACCOUNTS"])
@pytest.mark.parametrize("below", ["", "/encryptionScopes/one"])
def test_nothing_of_the_apps_own_storage_account_is_written_however_its_id_is_spelled(type_: str, below: str) -> None:
    id_ = f"/subscriptions/s/resourceGroups/elsewhere/providers/{type_}/ST1{below}"
    found = replace(facts(pinned(OLD), own=Own(storage_accounts=frozenset({"st1"}))), address=Address(type_, id_))
    assert only_reason(plan(found)) is Reason.OWN_RESOURCE


def test_an_identity_of_a_kind_that_the_service_does_not_take_is_refused() -> None:
    body = {"id": ID, "identity": {"type": "SystemAssigned", "principalId": WHO}, "properties": {}}

    def wishing(acts: Acting) -> Facts:
        found = facts(pinned(NEW), body=body, wish=Wish(OTHER.at(None), identity=""))
        return replace(found, service=with_traits(acts=acts), keys={**found.keys, OTHER: OTHERS})

    assert only_reason(plan(wishing(Acting(system=False)))) is Reason.IDENTITY_NOT_TAKEN
    assert changes(wishing(Acting()))[0].identity == ""


def test_what_follows_is_not_sent_along_where_a_patch_leaves_it_as_it_is() -> None:
    beside = KeyUse("second", OTHER.at(OLD), follows=True, effective=MID)
    others = replace(OTHERS, versions=LATEST_OFF.versions[:2], latest=MID)
    found = replace(facts(pinned(OLD)), uses=(pinned(OLD), beside))
    found = replace(found, keys={**found.keys, OTHER: others})
    assert [one.slot for one in changes(found)] == ["encryption"]
    whole = with_traits(needs=frozenset({May.PUT}))
    found = replace(found, service=whole, rule=replace(FIX, may=frozenset({May.PUT})))
    assert [one.slot for one in changes(found)] == ["encryption", "second"]


@pytest.mark.parametrize(("hours", "moves"), [(1, True), (25, False)])
def test_a_failure_that_a_grant_may_explain_is_written_over_only_while_the_grant_may_still_spread(
    hours: int,
    moves: bool,  # noqa: FBT001
) -> None:
    grant = replace(USER, since=NOW - timedelta(hours=hours))
    body = {"id": ID, "location": "westeurope", "properties": {"provisioningState": "Failed"}}
    steps = plan(on_ground(replace(ready(), grants=(grant,)), body=body))
    assert isinstance(steps[0], SetKeys) is moves
    if not moves:
        assert only_reason(steps) is Reason.PROVISIONING_FAILED


def test_no_first_key_is_used_while_nobody_can_say_whether_a_certificate_owns_it() -> None:
    found = on_ground(ready())
    assert isinstance(plan(found)[0], SetKeys)
    unasked = {key: replace(known, unasked=Reason.VAULT_FORBIDDEN) for key, known in found.keys.items()}
    (step,) = plan(replace(found, keys=unasked))
    assert isinstance(step, Wait | Blocked)
    assert step.reason is Reason.VAULT_FORBIDDEN


def test_a_child_whose_parent_reaches_its_key_in_a_way_that_is_not_known_begins_with_none() -> None:
    scopes: Service = services()["microsoft.storage/storageaccounts/encryptionscopes"]
    below = Address(scopes.type, f"{ID}/encryptionScopes/one")
    untold = replace(scopes, traits=replace(scopes.traits, acts=Acting()))
    steps = plan(on_ground(ready(), service=untold, address=below))
    assert only_reason(steps) is Reason.NOT_ENCRYPTED
    assert isinstance(plan(on_ground(ready(), service=scopes, address=below))[0], SetKeys)


def lost(rule: Rule, **more: Any) -> tuple[Any, ...]:
    """Return the plan for a resource whose one holder has lost every grant at its vault."""
    reach = {"encryption": Reach(HOME, (Holder(WHO),))}
    return plan(replace(facts(pinned(NEW), THREE, rule=rule), reach=reach, **more))


def test_lost_access_is_granted_again_only_by_a_rule_that_may_grant() -> None:
    assert isinstance(lost(RESTORE)[0], GrantAccess)
    assert only_reason(lost(replace(RESTORE, may=frozenset()))) is Reason.ACCESS_LOST


@pytest.mark.parametrize("who", ["the app's own", "another resource's"])
def test_lost_access_is_not_granted_again_at_a_vault_that_stays_as_it_is(who: str) -> None:
    home = replace(HOME, id=HOME.id.replace("/rg/", "/rg-vaults/"))
    group = frozenset({home.group_id})
    kept = {"own": Own(resource_groups=group)} if who == "the app's own" else {"managed_groups": group}
    reach = {"encryption": Reach(home, (Holder(WHO),))}
    found = replace(facts(pinned(NEW), THREE, rule=RESTORE), reach=reach)
    assert isinstance(plan(found)[0], GrantAccess)
    assert only_reason(plan(replace(found, **kept))) is Reason.ACCESS_LOST


@pytest.mark.parametrize(
    "own", [Own(frozenset({"/subscriptions/s/resourcegroups/rg"})), Own(frozenset(), frozenset({"st1"}))]
)
def test_the_app_s_own_resources_are_told_of_lost_access_and_not_granted_it_again(own: Own) -> None:
    home = replace(HOME, id=HOME.id.replace("/rg/", "/rg-vaults/"))
    found = replace(facts(pinned(NEW), THREE, rule=RESTORE, own=own), reach={"encryption": Reach(home, (Holder(WHO),))})
    assert only_reason(plan(found)) is Reason.ACCESS_LOST


def test_a_failure_is_not_written_over_because_something_else_is_waited_for() -> None:
    body = {"id": ID, "properties": {"provisioningState": "Failed"}}
    for reason, moves in ((Reason.THROTTLED, False), (Reason.KEY_ACCESS_DENIED, True)):
        steps = plan(facts(pinned(OLD), body=body, waited=Waited(reason, NOW)))
        assert isinstance(steps[0], SetKeys) is moves


def test_a_whole_body_is_not_sent_while_the_key_that_another_slot_of_it_follows_cannot_be_read() -> None:
    beside = KeyUse("second", OTHER.at(OLD), follows=True, effective=MID)
    whole = with_traits(needs=frozenset({May.PUT}))
    found = replace(facts(pinned(OLD), rule=replace(FIX, may=frozenset({May.PUT}))), service=whole)
    found = replace(found, uses=(pinned(OLD), beside))
    unread = Blocked(Reason.VAULT_FORBIDDEN)
    steps = plan(replace(found, keys={**found.keys, OTHER: unread}))
    assert {step.reason for step in steps if isinstance(step, Blocked)} == {Reason.VAULT_FORBIDDEN}
    assert not any(isinstance(step, SetKeys) for step in steps)


HOPS = with_traits(can={**dict.fromkeys(Verb, Can.YES), Verb.REPOINT: Reason.HOP_ONLY})
HOP = Wish(KEY.at(None), through=OTHER.at(None))
ON_OLD = pinned(OLD)
HOPPING = replace(FIX, may=frozenset({May.HOP}))


def hop(use: KeyUse = ON_OLD, rule: Rule = HOPPING, **keys: Any) -> Facts:
    found = replace(facts(use, rule=rule, wish=HOP), service=HOPS)
    detour = replace(THREE, key=OTHER)
    return replace(found, keys={KEY: keys.get("home", THREE), OTHER: keys.get("through", detour)})


def test_a_hop_is_not_begun_where_it_is_another_tenant_s_key_or_the_rule_ignores_it_or_there_is_no_way_back() -> None:
    assert changes(hop())[0].to.key == OTHER
    assert only_reason(plan(hop(replace(ON_OLD, tenant_is_foreign=True)))) is Reason.CROSS_TENANT
    assert only_reason(plan(hop(rule=replace(HOPPING, rotation=Mode.IGNORE)))) is Reason.CONTRADICTS_RULE
    unusable = history(version(OLD, 90, enabled=False), version(NEW, 1, enabled=False))
    assert only_reason(plan(hop(home=unusable))) is Reason.NO_USABLE_VERSION
    assert only_reason(plan(hop(home=replace(THREE, backs_certificate=True)))) is Reason.KEY_BACKS_CERTIFICATE


def test_a_hop_is_not_begun_where_the_resource_does_not_reach_the_key_that_it_shall_come_back_to() -> None:
    reaches = Reach(HOME, (Holder(WHO, (replace(USER, scope=f"{HOME.id}/keys/other"),)),))
    found = replace(hop(), wished={("encryption", one): reaches for one in (KEY, OTHER)})
    assert only_reason(plan(found)) is Reason.KEY_ACCESS_DENIED
    everywhere = Reach(HOME, (Holder(WHO, (USER,)),))
    assert changes(replace(found, wished={("encryption", one): everywhere for one in (KEY, OTHER)}))
