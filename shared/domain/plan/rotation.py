"""Which key version each slot of a resource should use, and what to do to get it there."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.keys import KeyHistory, KeyVersion, NeedMaterial, latest_usable, newest_usable
from shared.domain.plan.facts import Facts, SetKeys, Step
from shared.domain.plan.hard_rules import forbidden
from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Certainty
from shared.domain.resource import Change, KeyUse
from shared.domain.service import Settled


class MaterialMissing(Exception):
    """A bug: planning began before the material that it hangs on was read."""


GRACE = timedelta(hours=1)  # a service that looks once a day is not late to the minute


def plan(facts: Facts) -> tuple[Step, ...]:
    """Return what to do, the change first; () means that nothing is to be done.

    How a resource points at its key is kept: a pinned slot gets the newest usable version, a following slot is only
    watched.
    """
    found = [step for use in facts.uses if (step := _step(use, facts)) is not None]
    changes = tuple(step for step in found if isinstance(step, Change))
    others: tuple[Step, ...] = tuple(step for step in found if not isinstance(step, Change))
    if not changes:
        return others
    if bar := forbidden(facts):
        return (bar, *others)
    settled = facts.service.settled(facts.body)
    if settled is Settled.FAILED:
        return (Blocked(Reason.PROVISIONING_FAILED), *others)
    if settled is Settled.BUSY:
        return (wait_or_give_up(Reason.PROVISIONING, since=facts.since, now=facts.now), *others)
    return (SetKeys(changes), *others)


def certainty(facts: Facts) -> Certainty:
    """Return how sure it is that the resource uses what it should, given that the plan is empty."""
    if not facts.uses:
        return Certainty.NONE
    if all(use.effective is not None for use in facts.uses):
        return Certainty.REPORTED
    unsaid = [use for use in facts.uses if use.effective is None]
    return Certainty.UNKNOWN if any(use.follows for use in unsaid) else Certainty.CONFIGURED


def _step(use: KeyUse, facts: Facts) -> Change | Wait | Blocked | None:
    if use.tenant_is_foreign:
        return Blocked(Reason.CROSS_TENANT, use.slot)
    history = facts.keys[use.configured.key]
    if isinstance(history, Blocked):
        return Blocked(history.reason, use.slot, history.detail)
    if history.backs_certificate:
        return Blocked(Reason.KEY_BACKS_CERTIFICATE, use.slot)
    choose = latest_usable if use.follows else newest_usable
    target = choose(history, facts.service.traits.accepts, facts.now)
    if isinstance(target, NeedMaterial):
        raise MaterialMissing(target.version)
    if isinstance(target, Blocked):
        return Blocked(target.reason, use.slot, target.detail)
    return _watch(use, target, facts) if use.follows else _move(use, target, history, facts)


def _move(use: KeyUse, target: KeyVersion, history: KeyHistory, facts: Facts) -> Change | Wait | Blocked | None:
    configured = history.find(use.configured.version or "")
    if configured is None:
        return Blocked(Reason.VERSION_NOT_IN_VAULT, use.slot, f"version {use.configured.version}")
    if configured.version == target.version:
        if use.effective in {None, target.version}:
            return None
        # Configured right and not yet in effect: a second write would change nothing.
        return _not_yet(use, facts)
    if history.age_rank(target) < history.age_rank(configured):
        state = configured.state(facts.now).value
        detail = f"version {configured.version} is {state}; the newest usable one, {target.version}, is older"
        return Blocked(Reason.ONLY_OLDER_USABLE, use.slot, detail)
    return Change(use.slot, history.key.at(target.version), follow=False)


def _not_yet(use: KeyUse, facts: Facts) -> Wait | Blocked:
    detail = f"version {use.effective} is in effect"
    return wait_or_give_up(Reason.NOT_YET_IN_EFFECT, since=facts.since, now=facts.now, slot=use.slot, detail=detail)


def _watch(use: KeyUse, target: KeyVersion, facts: Facts) -> Wait | Blocked | None:
    if use.effective == target.version:
        return None
    usable_from = max(target.created, target.not_before or target.created)
    due = usable_from + (facts.service.traits.picks_up_within or timedelta(0))
    deadline = due + GRACE
    if facts.now < deadline:
        again_at = due if facts.now < due else deadline
        return Wait(Reason.FOLLOWS_BY_ITSELF, again_at, deadline, use.slot, f"version {use.effective} is in effect")
    if use.effective is None:
        return None  # the service does not say and has had its time: certainty() calls that unknown
    detail = f"version {use.effective} is in effect; {target.version} was due by {deadline.isoformat()}"
    return Blocked(Reason.FOLLOW_OVERDUE, use.slot, detail)
