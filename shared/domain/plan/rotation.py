"""Which key version each slot of a resource should use, and what to do to get it there."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.keys import (
    KeyHistory,
    KeyVersion,
    NeedMaterial,
    State,
    latest_usable,
    newest_usable,
    usable_since,
)
from shared.domain.patience import wait_or_give_up, waited_since
from shared.domain.plan.facts import Facts
from shared.domain.policy import Version
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Certainty
from shared.domain.resource import Change, KeyUse
from shared.domain.service import Can, Traits, Verb


class MaterialMissing(Exception):
    """A bug: planning began before the material that it hangs on was read."""


GRACE = timedelta(hours=1)  # a service that looks once a day is not late to the minute
LOOK_AGAIN = timedelta(hours=6)


def certainty(facts: Facts) -> Certainty:
    """Return how sure it is that the resource uses what it should, given that the plan is empty."""
    if not facts.uses:
        return Certainty.NONE
    if all(use.effective is not None for use in facts.uses):
        return Certainty.REPORTED
    unsaid = [use for use in facts.uses if use.effective is None]
    return Certainty.UNKNOWN if any(use.follows for use in unsaid) else Certainty.CONFIGURED


def doubts(facts: Facts) -> tuple[Blocked, ...]:
    """Return the uses that name no version and of which none is told, as far as naming one is possible."""
    return tuple(
        Blocked(Reason.EFFECT_NOT_TOLD, use.slot, _doubt(facts.service.traits_of(facts.body, use.slot)))
        for use in facts.uses
        if use.follows
        and use.effective is None
        and not isinstance(facts.service.traits_of(facts.body, use.slot).ability(Verb.PIN), Reason)
    )


def _doubt(traits: Traits) -> str:
    if traits.ability(Verb.FOLLOW) is Can.YES:
        return "it follows, and its service does not say which version is in effect"
    return "no source says that it follows without a version, and its service does not say which one is in effect"


def step_of(use: KeyUse, facts: Facts) -> Change | Wait | Blocked | None:
    """Return what a slot needs by its rule alone, or None when it is where it should be.

    How a resource points at its key is kept unless its rule says otherwise: a pinned slot gets the newest usable
    version, a following slot is only watched.
    """
    if use.tenant_is_foreign:
        return Blocked(Reason.CROSS_TENANT, use.slot)
    history = facts.keys[use.configured.key]
    if isinstance(history, Blocked):
        return Blocked(history.reason, use.slot, history.detail)
    if history.backs_certificate:
        return Blocked(Reason.KEY_BACKS_CERTIFICATE, use.slot)
    turned = _turned(use, facts)
    # One that shall stop following is pinned to what it follows, so that it never goes back on the way.
    choose = latest_usable if use.follows or turned else newest_usable
    target = choose(history, facts.service.traits_of(facts.body).accepts, facts.now)
    if isinstance(target, NeedMaterial):
        raise MaterialMissing(target.version)
    if isinstance(target, Blocked):
        return Blocked(target.reason, use.slot, target.detail)
    if turned:
        return Change(use.slot, history.key.at(target.version), follow=not use.follows)
    return _watch(use, target, facts) if use.follows else _move(use, target, history, facts)


def _turned(use: KeyUse, facts: Facts) -> bool:
    """Return whether the rule wants a pinned slot to follow, or the other way round, and the service can.

    What the rule does not allow must not keep a slot from the move that it does allow.
    """
    rule = facts.rule
    if rule is None or rule.version is Version.KEEP or (rule.version is Version.FOLLOW) is use.follows:
        return False
    verb = Verb.FOLLOW if rule.version is Version.FOLLOW else Verb.PIN
    traits = facts.service.traits_of(facts.body, use.slot)
    if isinstance(traits.ability(verb), Reason):
        return False
    moves = not use.follows and not isinstance(traits.ability(Verb.REPOINT), Reason)
    return traits.permissions(verb) <= rule.may or not (moves and traits.permissions(Verb.REPOINT) <= rule.may)


def _move(use: KeyUse, target: KeyVersion, history: KeyHistory, facts: Facts) -> Change | Wait | Blocked | None:
    if use.configured.version is None:
        # It holds what was the latest when it was set, and nobody says which: sure only while there is just one.
        return Change(use.slot, history.key.at(target.version), follow=False) if len(history.versions) > 1 else None
    configured = history.find(use.configured.version)
    if configured is None:
        return Blocked(Reason.VERSION_NOT_IN_VAULT, use.slot, f"version {use.configured.version}")
    target_age, configured_age = history.age_rank(target), history.age_rank(configured)
    # Two versions of one second, neither of them the latest, are equally new: moving between them would be endless.
    as_new = target_age == configured_age and configured.state(facts.now) is State.USABLE
    if configured.version == target.version or as_new:
        return _in_effect(use, configured, facts)
    if target_age <= configured_age:
        state = configured.state(facts.now).value
        detail = f"version {configured.version} is {state}; the newest usable one, {target.version}, is older"
        return Blocked(Reason.ONLY_OLDER_USABLE, use.slot, detail)
    return Change(use.slot, history.key.at(target.version), follow=False)


def _in_effect(use: KeyUse, configured: KeyVersion, facts: Facts) -> Wait | Blocked | None:
    """Wait for what is configured right and not yet in effect: a second write would change nothing."""
    silent = use.effective is None and not facts.service.traits_of(facts.body, use.slot).reports_effective
    if silent or use.effective == configured.version:
        return None
    detail = f"version {use.effective} is in effect" if use.effective else "no version is reported as in effect"
    blocked = Blocked(Reason.NOT_YET_IN_EFFECT, use.slot, detail)
    return wait_or_give_up(blocked, waited=facts.waited, now=facts.now)


def _watch(use: KeyUse, target: KeyVersion, facts: Facts) -> Wait | Blocked | None:
    """Watch a follower, which cannot be hurried. It is late only when its service has had its time twice over: since
    the version could be taken up, and since we first saw it behind. One whose service does not say is not seen behind.
    """
    if use.effective == target.version:
        return None
    if use.trouble:
        return wait_or_give_up(Blocked(Reason.FOLLOW_FAILED, use.slot, use.trouble), waited=facts.waited, now=facts.now)
    traits = facts.service.traits_of(facts.body, use.slot)
    within = traits.picks_up_within or timedelta(0)
    since = waited_since(facts.waited, Reason.FOLLOWS_BY_ITSELF, facts.now)
    due = usable_since(target) + within
    deadline = (max(due, since + within) if traits.reports_effective else due) + GRACE
    here = f"version {use.effective} is in effect" if use.effective else "which version is in effect is not told"
    detail = f"{here}; {target.version} is the latest"
    if facts.now < deadline:
        again_at = due if facts.now < due else min(deadline, facts.now + LOOK_AGAIN)
        return Wait(Reason.FOLLOWS_BY_ITSELF, since, again_at, deadline, use.slot, detail)
    if use.effective is None:
        return None  # the service does not say and has had its time: certainty() calls that unknown
    return Blocked(Reason.FOLLOW_OVERDUE, use.slot, detail)
