"""Whether a change that is due is made now: beside others, in its turn, at its time. Pure; waits are the plan's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.code_marks import mark_of
from shared.domain.courtesy import Owned, Reference
from shared.domain.keys import KeyHistory, KeyId, KeyVersion, State, usable_since
from shared.domain.patience import wait_or_give_up, waited_since
from shared.domain.plan.facts import Action, Facts, Ground, SetKeys, Step
from shared.domain.policy import Rule
from shared.domain.preparation import AssignIdentity
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Change, Edit
from shared.domain.waves import line_of, place_of, wave_at
from shared.domain.windows import frozen_until, next_opening

PRESSING = timedelta(days=1)  # before a version expires, no wave is worth the wait


def courteous(steps: tuple[Step, ...], facts: Facts) -> tuple[Step, ...]:
    """Return the steps, or what stands in for them when they are not to be taken now."""
    if facts.rule is None or not (steps and isinstance(steps[0], Action)):
        return steps
    edits = edits_in(steps)
    bar = _others(facts, facts.rule, edits) or _above(facts, steps, edits) or _time(facts, facts.rule, edits)
    return (bar, *(step for step in steps if not isinstance(step, Action))) if bar else steps


def edits_in(steps: tuple[Step, ...]) -> tuple[Edit, ...]:
    """Return what the steps change at the resource in the end."""
    return tuple(edit for step in steps if isinstance(step, SetKeys) for edit in step.changes)


def wants_rollout(steps: tuple[Step, ...], facts: Facts) -> tuple[str, int] | None:
    """Return what the line is for and the number of the wave, if it hangs on how those before it fare."""
    if facts.rule is None or not (steps and isinstance(steps[0], Action)):
        return None
    found = _line(facts, facts.rule, edits_in(steps))
    return found if found and found[1] and not _pressing(facts, edits_in(steps), facts.now + PRESSING) else None


def _others(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Blocked | None:
    """Return why people have to do something first, or None."""
    if not facts.by_name and (owned := _owned(facts, rule, facts.tags, edits)):
        return owned
    if unreferenced := _unreferenced(facts, rule, edits):
        return unreferenced
    tug = facts.tug
    if tug is None or len(tug.moments) < rule.rewrites_a_day or facts.by_name or facts.order.urgent:
        return None
    often = f"{len(tug.moments)} times since {min(tug.moments).isoformat()} and each time"
    often = f"set {often} set back, now to {_now(facts, edits)}" if edits else f"granted {often} taken away"
    return Blocked(Reason.TUG_OF_WAR, detail=f"{often}; {_told(facts, edits)}")


def _owned(facts: Facts, rule: Rule, tags: Mapping[str, str], edits: tuple[Edit, ...]) -> Blocked | None:
    mark = mark_of(tags, rule.code_tags) if rule.owned_by_code is Owned.REPORT else ""
    return Blocked(Reason.OWNED_BY_CODE, detail=f"{mark}; {_told(facts, edits)}") if mark else None


def _unreferenced(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Blocked | None:
    if rule.change is Reference.NONE or facts.order.change:
        return None
    return Blocked(Reason.CHANGE_REFERENCE_MISSING, detail=f"rule {rule.name!r}; {_told(facts, edits)}")


def _above(facts: Facts, steps: tuple[Step, ...], edits: tuple[Edit, ...]) -> Wait | Blocked | None:
    """Return what the rule of the resource above has against it, where that one gets an identity first. A caller has
    not named that one.
    """
    above = facts.ground.above if isinstance(facts.ground, Ground) else None
    if above is None or above.rule is None or not any(isinstance(step, AssignIdentity) for step in steps):
        return None
    people = _owned(facts, above.rule, above.tags, edits) or _unreferenced(facts, above.rule, edits)
    bar = people or _closed(facts, above.rule, edits)
    return replace(bar, detail=f"{above.address.url} would get an identity first; {bar.detail}") if bar else None


def _time(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Wait | Blocked | None:
    return _not_open(facts, rule, edits) or _closed(facts, rule, edits) or _held(facts, rule, edits)


def _not_open(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Wait | None:
    """Return the wait for the resource's wave. A first key has no moment to count from: only the order holds there."""
    line, targets = _line(facts, rule, edits), _targets(facts, edits)
    if line is None or not targets or _begins(facts, edits):
        return None
    opens = max(map(usable_since, targets)) + rule.waves[line[1]].delay
    if facts.now >= opens or _pressing(facts, edits, opens):
        return None
    detail = f"wave {line[1] + 1} of {len(rule.waves)}{_together(facts)}; {_told(facts, edits)}"
    return _until(facts, Reason.WAVE_NOT_OPEN, opens, detail)


def _closed(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Wait | None:
    windows = () if facts.order.urgent else rule.windows
    opens = next_opening(windows, rule.freeze, facts.now)
    if opens <= facts.now:
        return None
    reason = Reason.FROZEN if frozen_until(rule.freeze, facts.now) else Reason.OUTSIDE_WINDOW
    return _until(facts, reason, opens, f"rule {rule.name!r}; {_told(facts, edits)}")


def _held(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> Wait | Blocked | None:
    if facts.rollout is None or not facts.rollout.held(rule.stop_at):
        return None
    blocked = Blocked(Reason.WAVE_HELD, detail=f"{facts.rollout}{_together(facts)}; {_told(facts, edits)}")
    return wait_or_give_up(blocked, waited=facts.waited, now=facts.now)


def _until(facts: Facts, reason: Reason, moment: datetime, detail: str) -> Wait:
    return Wait(reason, waited_since(facts.waited, reason, facts.now), moment, moment, detail=detail)


def _line(facts: Facts, rule: Rule, edits: tuple[Edit, ...]) -> tuple[str, int] | None:
    """Return the version the line is for, "" for a first key, and the resource's wave, which is that of the resource at
    its top; None: it waits in no line.
    """
    target = next((edit.to for edit in edits if isinstance(edit, Change)), None)
    if not rule.waves or target is None or facts.order.urgent or facts.by_name:
        return None
    what = "" if _begins(facts, edits) else target.url
    return what, wave_at(rule.waves, place_of(facts.address.top.folded, line_of(rule.name, what)))


def _together(facts: Facts) -> str:
    return f", with {facts.address.top.arm.name}" if facts.address.parent else ""


def _begins(facts: Facts, edits: tuple[Edit, ...]) -> bool:
    """Return whether the resource begins to use a key."""
    used = {use.slot for use in facts.uses}
    return not any(edit.slot in used for edit in edits)


def _targets(facts: Facts, edits: tuple[Edit, ...]) -> list[KeyVersion]:
    changes = [edit for edit in edits if isinstance(edit, Change)]
    return [found for one in changes if (found := _version(facts, one.to.key, one.to.version))]


def _pressing(facts: Facts, edits: tuple[Edit, ...], until: datetime) -> bool:
    """Return whether a version that the resource uses now cannot be used any more, or not until then: waiting would be
    the greater danger.
    """
    slots = {edit.slot for edit in edits}
    uses = [use.configured for use in facts.uses if use.slot in slots]
    found = [version for ref in uses if (version := _version(facts, ref.key, ref.version))]
    return any(one.state(facts.now) is not State.USABLE or (one.expires and one.expires <= until) for one in found)


def _version(facts: Facts, key: KeyId, version: str | None) -> KeyVersion | None:
    history = facts.keys.get(key)
    return history.find(version) if isinstance(history, KeyHistory) and version else None


def _now(facts: Facts, edits: tuple[Edit, ...]) -> str:
    slots = {edit.slot for edit in edits}
    return ", ".join(use.configured.url for use in facts.uses if use.slot in slots) or "the platform's key"


def _told(facts: Facts, edits: tuple[Edit, ...]) -> str:
    if not edits and facts.reach:
        return "its access to its key should be granted again"
    wanted = (f"{edit.slot} should use {edit.to.url if edit.to else 'the platform key'}" for edit in edits)
    return ", ".join(wanted) or "it should begin to use a key"
