"""What the policy and the service's own limits make of a plan."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import KeyId
from shared.domain.plan import Facts, SetKeys, plan
from shared.domain.policy import Mode, Rule, Version
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Change, Revert
from shared.domain.service import Can, May, Proven, Service, Traits, Verb
from shared.domain.wish import Wish
from tests.domain.test_plan import FIX, KEY, MID, NEW, OLD, SERVICE, facts, following, pinned


def with_traits(**changed: Any) -> Service:
    traits: Traits = replace(SERVICE.traits, **changed)
    return replace(SERVICE, traits=traits)


def of(service: Service, rule: Rule | None = FIX, wish: Wish | None = None) -> Facts:
    return replace(facts(pinned(OLD)), service=service, rule=rule, wish=wish)


def reasons(found: Facts) -> list[Reason]:
    return [step.reason for step in plan(found) if isinstance(step, Blocked)]


@pytest.mark.parametrize("rule", [None, Rule("told", rotation=Mode.REPORT)])
def test_nothing_is_written_outside_the_policy_and_it_says_what_should_be(rule: Rule | None) -> None:
    (step,) = plan(of(SERVICE, rule))
    assert isinstance(step, Blocked)
    assert step.reason is (Reason.REPORT_ONLY if rule else Reason.OUTSIDE_POLICY)
    assert NEW in step.detail


@pytest.mark.parametrize("rule", [None, Rule("told", rotation=Mode.REPORT)])
def test_what_is_only_told_is_not_asked_for_words_that_would_not_help(rule: Rule | None) -> None:
    unproven = with_traits(proven=Proven.DOCUMENTED, needs=frozenset({May.PUT}))
    assert reasons(of(unproven, rule)) == [Reason.REPORT_ONLY if rule else Reason.OUTSIDE_POLICY]
    assert reasons(of(unproven, rule, Wish(version=Version.FOLLOW))) == reasons(of(unproven, rule))


def test_what_a_rule_ignores_is_not_even_told() -> None:
    assert plan(of(SERVICE, Rule("quiet", rotation=Mode.IGNORE))) == ()


def test_what_only_documentation_stands_behind_takes_a_word_in_the_rule() -> None:
    unproven = with_traits(proven=Proven.DOCUMENTED)
    assert reasons(of(unproven)) == [Reason.NOT_ALLOWED_BY_RULE]
    allowed = replace(FIX, may=frozenset({May.UNPROVEN}))
    assert isinstance(plan(of(unproven, allowed))[0], SetKeys)


def test_sending_a_whole_body_takes_a_word_in_the_rule() -> None:
    whole = with_traits(needs=frozenset({May.PUT}))
    assert reasons(of(whole)) == [Reason.NOT_ALLOWED_BY_RULE]
    assert isinstance(plan(of(whole, replace(FIX, may=frozenset({May.PUT}))))[0], SetKeys)


def test_a_step_that_azure_never_takes_back_takes_a_word_in_the_rule() -> None:
    once = with_traits(irreversible=frozenset({Verb.FOLLOW}))
    wish = Wish(version=Version.FOLLOW)
    assert reasons(of(once, wish=wish)) == [Reason.NOT_ALLOWED_BY_RULE]
    allowed = replace(FIX, may=frozenset({May.IRREVERSIBLE}))
    assert isinstance(plan(of(once, allowed, wish))[0], SetKeys)


def test_a_verb_that_nothing_is_known_of_counts_as_unproven() -> None:
    bare = with_traits(can={})
    assert bare.traits.permissions(Verb.REVERT) == {May.UNPROVEN}
    assert reasons(of(bare, wish=Wish(revert=True))) == [Reason.NOT_ALLOWED_BY_RULE]


@pytest.mark.parametrize(
    ("verb", "wish"),
    [
        (Verb.REPOINT, None),
        (Verb.REVERT, Wish(revert=True)),
        (Verb.FOLLOW, Wish(version=Version.FOLLOW)),
        (Verb.SWITCH_KEY, Wish(key=KeyId(KEY.host, "other").at(None))),
        (Verb.SWITCH_VAULT, Wish(key=KeyId("w.vault.azure.net", "cmk").at(None))),
    ],
)
def test_what_a_service_cannot_do_has_its_own_reason(verb: Verb, wish: Wish | None) -> None:
    cannot = with_traits(can={**dict.fromkeys(Verb, Can.YES), verb: Reason.RECREATE_ONLY})
    found = of(cannot, wish=wish)
    if wish and wish.key:
        history = found.keys[KEY]
        assert not isinstance(history, Blocked)
        found = replace(found, keys={**found.keys, wish.key.key: replace(history, key=wish.key.key)})
    assert reasons(found) == [Reason.RECREATE_ONLY]


def test_a_rule_turns_a_pinned_slot_into_a_follower_and_the_other_way_round() -> None:
    follow = replace(facts(pinned(OLD)), rule=replace(FIX, version=Version.FOLLOW))
    assert plan(follow) == (SetKeys((Change("encryption", KEY.at(NEW), follow=True),)),)
    pin = replace(facts(following(MID)), rule=replace(FIX, version=Version.PIN))
    assert plan(pin) == (SetKeys((Change("encryption", KEY.at(NEW), follow=False),)),)


def test_a_rule_that_wants_what_the_service_cannot_leaves_the_rotation_as_it_is() -> None:
    never = with_traits(can={**dict.fromkeys(Verb, Can.YES), Verb.FOLLOW: Reason.NEVER_FOLLOWS})
    found = of(never, replace(FIX, version=Version.FOLLOW))
    assert plan(found) == (SetKeys((Change("encryption", KEY.at(NEW), follow=False),)),)


def test_following_that_a_rule_does_not_allow_keeps_no_slot_from_the_move_that_it_allows() -> None:
    unsure = with_traits(can={**dict.fromkeys(Verb, Can.YES), Verb.FOLLOW: Can.UNVERIFIED})
    found = of(unsure, replace(FIX, version=Version.FOLLOW))
    assert plan(found) == (SetKeys((Change("encryption", KEY.at(NEW), follow=False),)),)
    may = replace(FIX, version=Version.FOLLOW, may=frozenset({May.UNPROVEN}))
    assert plan(of(unsure, may)) == (SetKeys((Change("encryption", KEY.at(NEW), follow=True),)),)


def test_a_revert_goes_through_the_hard_rules_like_any_write() -> None:
    managed = {"id": facts(pinned(OLD)).address.url, "managedBy": "/someone", "properties": {}}
    found = replace(of(SERVICE, wish=Wish(revert=True)), body=managed)
    assert reasons(found) == [Reason.MANAGED_BY_AZURE]
    assert plan(replace(found, body=facts(pinned(OLD)).body)) == (SetKeys((Revert("encryption"),)),)
