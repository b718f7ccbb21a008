"""What the plan for one resource is: the safety rules of rotation, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.keys import KeyHistory, KeyId, KeyVersion, Material, State
from shared.domain.plan import Facts, Own, SetKeys, certainty, plan
from shared.domain.policy import Mode, Rule
from shared.domain.reasons import Blocked, Reason, Wait, Waited
from shared.domain.report import Certainty
from shared.domain.resource import Address, Change, KeyUse
from shared.services.registry import services

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = KeyId("v.vault.azure.net", "cmk")
GOOD = Material("RSA", 3072, frozenset({"wrapKey", "unwrapKey"}))
OLD, MID, NEW = "a" * 32, "b" * 32, "c" * 32
ID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st1"
FIX = Rule("all", rotation=Mode.FIX)
SERVICE = services()["microsoft.storage/storageaccounts"]


def version(name: str, age_days: float, **state: Any) -> KeyVersion:
    return KeyVersion(name, NOW - timedelta(days=age_days), material=GOOD, **state)


def history(*versions: KeyVersion, latest: str = "") -> KeyHistory:
    return KeyHistory(KEY, versions, latest or versions[-1].version, NOW)


THREE = history(version(OLD, 90), version(MID, 30), version(NEW, 0.1))


def pinned(configured: str, effective: str | None = None) -> KeyUse:
    return KeyUse("encryption", KEY.at(configured), follows=False, effective=effective or configured)


def following(effective: str | None) -> KeyUse:
    return KeyUse("encryption", KEY.at(None), follows=True, effective=effective)


def facts(use: KeyUse, keys: KeyHistory | Blocked = THREE, **more: Any) -> Facts:
    body = {"id": ID, "properties": {"provisioningState": "Succeeded"}}
    fields: dict[str, Any] = {"body": body, "now": NOW, "rule": FIX, **more}
    return Facts(service=SERVICE, address=Address(SERVICE.type, ID), uses=(use,), keys={KEY: keys}, **fields)


def only_reason(steps: tuple[Any, ...]) -> Reason:
    (step,) = steps
    assert isinstance(step, Blocked | Wait)
    return step.reason


def test_a_pinned_resource_on_an_old_version_goes_to_the_newest_usable_one() -> None:
    (step,) = plan(facts(pinned(OLD)))
    assert isinstance(step, SetKeys)
    assert step.changes == (Change("encryption", KEY.at(NEW), follow=False),)


def test_a_pinned_resource_on_the_newest_version_needs_nothing_and_that_is_reported() -> None:
    there = facts(pinned(NEW))
    assert plan(there) == ()
    assert certainty(there) is Certainty.REPORTED


def test_configured_right_but_not_yet_in_effect_is_waited_for_and_never_written_again() -> None:
    assert only_reason(plan(facts(pinned(NEW, effective=OLD)))) is Reason.NOT_YET_IN_EFFECT
    waited = Waited(Reason.NOT_YET_IN_EFFECT, NOW)
    (step,) = plan(facts(pinned(NEW, effective=OLD), now=NOW + timedelta(days=1), waited=waited))
    assert isinstance(step, Blocked)


def test_an_unusable_newest_version_is_passed_over_on_the_way_up() -> None:
    keys = history(version(OLD, 90), version(MID, 30), version(NEW, 1, enabled=False))
    (step,) = plan(facts(pinned(OLD), keys))
    assert isinstance(step, SetKeys)
    assert step.changes[0].to == KEY.at(MID)


@pytest.mark.parametrize(
    "state",
    [{"enabled": False}, {"expires": NOW - timedelta(hours=1)}, {"not_before": NOW + timedelta(hours=1)}],
)
def test_nothing_ever_goes_back_to_an_older_version(state: dict[str, Any]) -> None:
    keys = history(version(OLD, 90), version(MID, 30), version(NEW, 1, **state))
    assert only_reason(plan(facts(pinned(NEW), keys))) is Reason.ONLY_OLDER_USABLE


def test_a_version_that_the_vault_does_not_hold_blocks() -> None:
    assert only_reason(plan(facts(pinned("d" * 32)))) is Reason.VERSION_NOT_IN_VAULT


def test_a_follower_is_never_written_and_is_waited_for_until_it_should_have_looked() -> None:
    (step,) = plan(facts(following(MID)))
    assert isinstance(step, Wait)
    assert step.reason is Reason.FOLLOWS_BY_ITSELF
    assert step.again_at == THREE.versions[-1].created + timedelta(hours=24)
    assert step.deadline > step.again_at


def test_a_follower_that_is_late_since_we_watch_it_is_blocked() -> None:
    waited = Waited(Reason.FOLLOWS_BY_ITSELF, NOW)
    late = facts(following(MID), now=NOW + timedelta(days=2), waited=waited)
    assert only_reason(plan(late)) is Reason.FOLLOW_OVERDUE


def test_a_follower_first_seen_behind_is_given_its_time_however_old_the_version_is() -> None:
    (step,) = plan(facts(following(MID), now=NOW + timedelta(days=20)))
    assert isinstance(step, Wait)
    assert step.deadline == NOW + timedelta(days=21, hours=1)


def test_a_version_counts_for_followers_from_when_it_was_enabled() -> None:
    enabled = NOW - timedelta(hours=1)
    keys = history(version(OLD, 90), version(NEW, 30, updated=enabled))
    (step,) = plan(facts(following(OLD), keys))
    assert isinstance(step, Wait)
    assert step.again_at == enabled + timedelta(hours=24)


def test_versions_of_one_second_are_equally_new_and_nobody_moves_between_them() -> None:
    keys = history(version(OLD, 30), version(MID, 30), version(NEW, 1, enabled=False))
    assert plan(facts(pinned(OLD), keys)) == ()
    assert plan(facts(pinned(MID), keys)) == ()


def test_a_service_that_reports_must_report_before_anything_is_verified() -> None:
    silent = KeyUse("encryption", KEY.at(NEW), follows=False, effective=None)
    assert only_reason(plan(facts(silent))) is Reason.NOT_YET_IN_EFFECT


def test_a_follower_that_reports_the_latest_version_is_verified() -> None:
    there = facts(following(NEW))
    assert plan(there) == ()
    assert certainty(there) is Certainty.REPORTED


def test_a_follower_whose_latest_version_is_unusable_blocks_even_while_it_still_works() -> None:
    keys = history(version(OLD, 90), version(NEW, 1, enabled=False))
    assert only_reason(plan(facts(following(OLD), keys))) is Reason.LATEST_UNUSABLE


def test_a_follower_goes_by_what_the_vault_calls_latest_not_by_age() -> None:
    keys = history(version(OLD, 90), version(NEW, 30), latest=OLD)
    assert plan(facts(following(OLD), keys)) == ()


def test_a_follower_of_a_silent_service_is_unknown_at_once_where_the_version_is_older_than_its_time() -> None:
    known = facts(following(None), now=NOW + timedelta(days=20))
    quiet = replace(known.service, traits=replace(known.service.traits, reports_effective=False))
    silent = replace(known, service=quiet)
    assert plan(silent) == ()
    assert certainty(silent) is Certainty.UNKNOWN


def test_a_service_that_does_not_say_is_unknown_once_it_had_its_time() -> None:
    waited = Waited(Reason.FOLLOWS_BY_ITSELF, NOW)
    silent = facts(following(None), now=NOW + timedelta(days=2), waited=waited)
    assert plan(silent) == ()
    assert certainty(silent) is Certainty.UNKNOWN


def test_a_key_that_backs_a_certificate_is_left_alone() -> None:
    assert only_reason(plan(facts(pinned(OLD), replace(THREE, backs_certificate=True)))) is Reason.KEY_BACKS_CERTIFICATE


def test_a_key_of_another_tenant_is_left_alone() -> None:
    foreign = replace(pinned(OLD), tenant_is_foreign=True)
    assert only_reason(plan(facts(foreign))) is Reason.CROSS_TENANT


def test_why_a_key_cannot_be_read_is_why_its_user_is_blocked() -> None:
    assert only_reason(plan(facts(pinned(OLD), Blocked(Reason.KEY_NOT_FOUND)))) is Reason.KEY_NOT_FOUND


OWN_GROUP = Own(resource_groups=frozenset({"/subscriptions/s/resourcegroups/rg"}))
OWN_ACCOUNT = Own(storage_accounts=frozenset({"st1"}))


@pytest.mark.parametrize("own", [OWN_GROUP, OWN_ACCOUNT])
def test_the_app_never_writes_what_it_stands_on(own: Own) -> None:
    assert only_reason(plan(facts(pinned(OLD), own=own))) is Reason.OWN_RESOURCE
    assert plan(facts(pinned(NEW), own=own)) == ()


def test_what_another_resource_manages_is_left_to_its_owner() -> None:
    by_group = facts(pinned(OLD), managed_groups=frozenset({"/subscriptions/s/resourcegroups/rg"}))
    by_itself = facts(pinned(OLD), body={"id": ID, "managedBy": "/subscriptions/s/x"})
    spelled = facts(pinned(OLD), body={"id": ID, "ManagedBy": "/subscriptions/s/x"})
    assert only_reason(plan(spelled)) is Reason.MANAGED_BY_AZURE
    assert only_reason(plan(by_group)) is Reason.MANAGED_BY_AZURE
    assert only_reason(plan(by_itself)) is Reason.MANAGED_BY_AZURE


@pytest.mark.parametrize(
    ("state", "reason"), [("ResolvingDNS", Reason.PROVISIONING), ("Failed", Reason.PROVISIONING_FAILED)]
)
def test_a_resource_that_cannot_take_a_change_now_is_not_written(state: str, reason: Reason) -> None:
    body = {"id": ID, "properties": {"provisioningState": state}}
    assert only_reason(plan(facts(pinned(OLD), body=body))) is reason


@st.composite
def situations(draw: st.DrawFn) -> Facts:
    """Any history, and a resource that points at any version of it or none."""
    days = st.integers(-60, 400)
    versions = tuple(
        KeyVersion(
            f"{number:032x}",
            NOW - timedelta(days=draw(st.integers(0, 400))),
            draw(st.booleans()),
            draw(st.none() | days.map(lambda d: NOW - timedelta(days=d))),
            draw(st.none() | days.map(lambda d: NOW + timedelta(days=d))),
            material=GOOD,
        )
        for number in range(draw(st.integers(1, 5)))
    )
    names = [one.version for one in versions]
    keys = KeyHistory(KEY, versions, draw(st.sampled_from(names)), NOW)
    follows = draw(st.booleans())
    effective = draw(st.none() | st.sampled_from(names))
    configured = None if follows else draw(st.sampled_from(names))
    return facts(KeyUse("encryption", KEY.at(configured), follows, effective), keys)


@given(situations())
def test_whatever_the_situation_a_change_goes_up_to_a_usable_version_and_never_touches_a_follower(
    situation: Facts,
) -> None:
    steps = plan(situation)
    (use,) = situation.uses
    keys = situation.keys[KEY]
    assert isinstance(keys, KeyHistory)
    for step in steps:
        if isinstance(step, SetKeys):
            (change,) = step.changes
            assert isinstance(change, Change)
            before, after = keys.find(use.configured.version or ""), keys.find(change.to.version or "")
            assert not use.follows
            assert before is not None
            assert after is not None
            assert keys.age_rank(after) > keys.age_rank(before)
            assert after.state(NOW) is State.USABLE
            done = replace(use, configured=change.to, effective=after.version)
            assert plan(replace(situation, uses=(done,))) == ()
