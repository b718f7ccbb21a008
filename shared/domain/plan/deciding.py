"""The plan: what each slot needs, by rule or by wish, as far as hard rules, the policy and the service allow it."""

from __future__ import annotations

from shared.domain.keys import KeyHistory
from shared.domain.patience import wait_or_give_up
from shared.domain.plan.another_key import admitted
from shared.domain.plan.carried import carried
from shared.domain.plan.courtesy import courteous
from shared.domain.plan.enforcement import enforced
from shared.domain.plan.facts import Facts, SetKeys, Step
from shared.domain.plan.hard_rules import forbidden, unsettled
from shared.domain.plan.hopping import hopped
from shared.domain.plan.reach import unreached
from shared.domain.plan.rotation import step_of
from shared.domain.plan.wished import Found, wished
from shared.domain.policy import Mode
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Change, Edit, Json, KeyUse, Revert
from shared.domain.service import May, Service, Verb


def plan(facts: Facts) -> tuple[Step, ...]:
    """Return what to do now, the changes first and in order; () means that nothing is to be done."""
    return courteous(wanted(facts), facts)


def wanted(facts: Facts) -> tuple[Step, ...]:
    """Return what there is to do, whether or not its time has come.

    Keys that are used move before another one is begun with: the move needs no more than it had.
    """
    moved = _moved(facts)
    if lost := unreached(facts):  # a move would only fail
        return (*lost, *(step for step in moved if isinstance(step, Blocked)))
    if moved and isinstance(moved[0], SetKeys | GrantAccess):
        return moved
    return moved if through_another(facts.service, facts.body) else (*enforced(facts), *moved)


def has_failed(facts: Facts) -> bool:
    """Return whether a change is due, and that the resource has failed is what is in its way."""
    return any(isinstance(step, Blocked) and step.reason is Reason.PROVISIONING_FAILED for step in wanted(facts)[:1])


def _moved(facts: Facts) -> tuple[Step, ...]:
    if facts.wish is None and facts.rule is not None and facts.rule.rotation is Mode.IGNORE:
        return ()
    found = [_allowed(step, use, facts) for step, use in _found(facts)]
    changes = tuple(step for step in found if isinstance(step, Change | Revert))
    others: tuple[Step, ...] = tuple(step for step in found if not isinstance(step, Change | Revert))
    if not changes:
        return others
    if bar := forbidden(facts) or _only_told(changes, facts) or _withheld(facts) or _unfinished(facts):
        return (bar, *others)
    if held := unsettled(facts):
        return (held, *others)
    sent, grants = carried(changes, facts), admitted(changes, facts)
    if isinstance(sent, Blocked):
        return (sent, *others)
    return (grants, *others) if isinstance(grants, Blocked) else (*grants, SetKeys(sent), *others)


def _found(facts: Facts) -> list[Found]:
    if facts.wish is not None:
        if elsewhere := facts.service.traits_of(facts.body).elsewhere:
            return [(Blocked(elsewhere, facts.wish.slot), None)]
        if facts.wish.key is not None and facts.wish.through is not None:
            return list(hopped(facts, facts.wish.key, facts.wish.through))
        return list(wished(facts, facts.wish))
    return [(step, use) for use in facts.uses if (step := step_of(use, facts)) is not None]


def through_another(service: Service, body: Json) -> bool:
    """Return whether a resource that names no key of its own stands on another one's, or leaves keys to what lies below
    it: nothing is to be enforced.
    """
    elsewhere = service.traits_of(body).elsewhere
    return elsewhere is Reason.KEY_IS_BELOW or (elsewhere is not None and bool(service.through(body)))


def verb_of(edit: Edit, use: KeyUse | None) -> Verb:
    """Return what a change asks of the service. `use`: what the slot uses now, if it uses a key."""
    if isinstance(edit, Revert):
        return Verb.REVERT
    if use is None:
        return Verb.ENABLE
    if edit.to.key.host != use.configured.key.host:
        return Verb.SWITCH_VAULT
    if edit.to.key != use.configured.key:
        return Verb.SWITCH_KEY
    if edit.follow != use.follows:
        return Verb.FOLLOW if edit.follow else Verb.PIN
    return Verb.REPOINT


def _turning(edit: Edit, use: KeyUse | None) -> tuple[Verb, ...]:
    """Return what a change to a first or another key asks besides: that the slot follow, or no longer does."""
    if isinstance(edit, Revert) or edit.follow is (use is not None and use.follows):
        return ()
    return (Verb.FOLLOW if edit.follow else Verb.PIN,)


def _allowed(step: Edit | Wait | Blocked, use: KeyUse | None, facts: Facts) -> Edit | Wait | Blocked:
    """Turn a change that the service cannot make, or that the rule does not allow, into the reason why."""
    if not isinstance(step, Change | Revert):
        return step
    verbs = (verb_of(step, use), *_turning(step, use))
    traits = facts.service.traits_of(facts.body, step.slot)
    for ability in map(traits.ability, verbs):
        if isinstance(ability, Reason):
            return Blocked(ability, step.slot, f"it should {_told(step)}")
    if facts.rule is None or facts.rule.rotation is not Mode.FIX:
        return step  # told with what it should have, and never made: what it would take is beside the point
    needed = frozenset[May]().union(*map(traits.permissions, verbs))
    if facts.wish is not None and facts.wish.through is not None:
        needed |= {May.HOP}
    if missing := sorted(one.value for one in needed - facts.rule.may):
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, step.slot, f"may: [{', '.join(missing)}]; it should {_told(step)}")
    return _unasked(step, facts) or step


def _unasked(edit: Edit, facts: Facts) -> Wait | Blocked | None:
    """Return why a change to a key is not made: nobody can say whether a certificate owns it."""
    history = facts.keys.get(edit.to.key) if isinstance(edit, Change) else None
    if not isinstance(history, KeyHistory) or history.unasked is None:
        return None
    detail = f"it should {_told(edit)}; whether a certificate owns the key, only the vault tells"
    return wait_or_give_up(Blocked(history.unasked, edit.slot, detail), waited=facts.waited, now=facts.now)


def _only_told(changes: tuple[Edit, ...], facts: Facts) -> Blocked | None:
    """Return why nothing is written though something should be: nothing outside the policy ever is."""
    wanted = ", ".join(f"{change.slot} should {_told(change)}" for change in changes)
    if facts.rule is None:
        return Blocked(Reason.OUTSIDE_POLICY, detail=wanted)
    if facts.rule.rotation is not Mode.FIX:
        return Blocked(Reason.REPORT_ONLY, detail=f"rule {facts.rule.name!r}: {wanted}")
    return None


def _withheld(facts: Facts) -> Blocked | None:
    """Return why the body cannot be sent back: the service keeps a secret of it to itself."""
    where = facts.service.withheld(facts.body)
    return Blocked(Reason.SECRET_WITHHELD, detail=where) if where else None


def _unfinished(facts: Facts) -> Blocked | None:
    """Return why the change is not made: people have something left to do for the one before."""
    left = facts.service.unfinished(facts.body)
    return Blocked(Reason.SECRETS_NOT_REWRITTEN, detail=left) if left else None


def _told(edit: Edit) -> str:
    if isinstance(edit, Revert):
        return "go back to the platform's key"
    if edit.follow:
        return f"follow {edit.to.key.name}"
    return f"move to version {edit.to.version} of {edit.to.key.name}"
