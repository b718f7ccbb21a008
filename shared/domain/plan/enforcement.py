"""Bringing a resource under a key of yours: what it takes, in order, or why it is not done.

Every check comes before the first step, so that nothing is prepared, least of all what Azure never takes back, for a
change that is refused afterwards.
"""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyHistory, KeyRef, NeedMaterial, latest_usable, newest_usable
from shared.domain.patience import wait_or_give_up
from shared.domain.plan.facts import Action, Facts, Ground, SetKeys, Step
from shared.domain.plan.groundwork import absent_key, access, assigned, hardened, remarks, unfit, weaker
from shared.domain.plan.hard_rules import forbidden, forbidden_vault, unsettled
from shared.domain.plan.rotation import MaterialMissing
from shared.domain.policy import Mode, Rule, Version
from shared.domain.preparation import AssignIdentity, CreateKey, RecoverKey, RecoverVault
from shared.domain.providers import RegisterProvider
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Change, Json, KeyUse
from shared.domain.service import Can, Follow, Service, Traits, Verb


def lacks_key(service: Service, uses: tuple[KeyUse, ...]) -> bool:
    """Return whether a resource stands on the platform's key where it could use one of yours."""
    return not any(use.slot == service.main_slot for use in uses) if service.main_slot else not uses


def wants_ground(facts: Facts) -> bool:
    """Return whether the plan hangs on what a first key would stand on; a caller's wish comes before the rule."""
    rule = facts.rule
    wanted = facts.wish is None and rule is not None and rule.encryption is Mode.FIX
    return wanted and rule is not None and lacks_key(facts.service, facts.uses) and not _bar(rule, facts)


def ignored(service: Service, body: Json, rule: Rule) -> bool:
    """Return whether the rule says ignore to all that could be done: rotation is for resources that use a key of yours,
    encryption for those that do not.
    """
    if rule.rotation is not Mode.IGNORE or rule.encryption is Mode.IGNORE:
        return rule.rotation is Mode.IGNORE
    try:
        return not lacks_key(service, service.read(body))
    except BadKeyUrl:
        return True


def enforced(facts: Facts) -> tuple[Step, ...]:
    """Return what brings the resource under the key that its rule names, the first step first; () if nothing is to be
    done.
    """
    rule, slot = facts.rule, facts.service.main_slot
    if rule is None or facts.wish is not None or not lacks_key(facts.service, facts.uses):
        return ()
    if facts.service.traits_of(facts.body).elsewhere and rule.encryption is not Mode.FIX:
        return ()  # its key is named at another resource, which is told of itself
    if rule.encryption is Mode.REPORT:
        return (Blocked(Reason.NOT_ENCRYPTED, slot, f"rule {rule.name!r} says report"),)
    if rule.encryption is Mode.IGNORE:
        return ()
    if bar := _bar(rule, facts) or unsettled(facts):
        return (bar,)
    return _from_the_ground(facts, rule)


def stands_ready(facts: Facts) -> bool:
    """Return whether all that a first key stands on is there, access with it: only the change itself is missing."""
    if facts.rule is None or not wants_ground(facts):
        return False
    steps = _from_the_ground(facts, facts.rule)
    return all(isinstance(step, SetKeys) for step in steps)


def _bar(rule: Rule, facts: Facts) -> Blocked | None:
    return forbidden(facts) or _beyond(rule, facts)


def _beyond(rule: Rule, facts: Facts) -> Blocked | None:
    """Return why the service, or what the rule allows, is in the way."""
    slot, traits = facts.service.main_slot, facts.service.traits_of(facts.body)
    if isinstance(reason := traits.elsewhere or traits.ability(Verb.ENABLE), Reason):
        return Blocked(reason, slot, "it should begin to use a key")
    if not slot:
        return Blocked(Reason.CANNOT, detail="nothing is known of how this service begins to use a key")
    if lacking := facts.service.incapable(facts.body):
        return Blocked(Reason.NOT_CAPABLE, slot, lacking)
    needed = traits.permissions(Verb.ENABLE)
    if rule.version is Version.FOLLOW and _can_follow(traits):
        needed |= traits.permissions(Verb.FOLLOW)
    if missing := sorted(one.value for one in needed - rule.may):
        detail = f"may: [{', '.join(missing)}]; it should begin to use a key"
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, slot, detail)
    if facts.address.parent and traits.acts.above is None:
        return Blocked(Reason.NOT_ENCRYPTED, slot, "its parent's identity would reach the key; POST use-key sets one")
    return None


def _from_the_ground(facts: Facts, rule: Rule) -> tuple[Step, ...]:
    slot, ground = facts.service.main_slot, facts.ground
    if ground is None:  # a bug: planning began before what it hangs on was read
        raise MaterialMissing("what the key stands on")
    if isinstance(ground, Blocked):
        return (Blocked(ground.reason, slot, ground.detail),)
    if isinstance(ground.founding, RecoverVault):
        # What a deleted vault is like shows only when it is back.
        bar = forbidden_vault(facts, ground.vault) or _registering(facts, ground)
        return (bar,) if bar else (*ground.missing, ground.founding)
    steps: list[Action] = [*ground.missing]
    for found in (
        unfit(facts, rule, ground),
        _registering(facts, ground),
        ground.founding,
        hardened(rule, ground.vault),
        _key(facts, rule, ground),
        assigned(facts, ground),
        access(facts, rule, ground),
        _change(facts, rule, ground),
    ):
        if isinstance(found, Blocked | Wait):
            return (replace(found, slot=slot),)
        if found is not None:
            steps.append(found)
    writes_vault = any(not isinstance(step, RegisterProvider | AssignIdentity | SetKeys) for step in steps)
    if writes_vault and (bar := forbidden_vault(facts, ground.vault)):
        return (bar,)
    return tuple(steps)


def _registering(facts: Facts, ground: Ground) -> Wait | Blocked | None:
    """Return how long to wait for a provider that somebody, or the app, has asked for; what is missing comes first."""
    if ground.missing or not ground.registering:
        return None
    going = Blocked(Reason.PROVIDER_REGISTERING, detail=ground.registering)
    return wait_or_give_up(going, waited=facts.waited, now=facts.now)


def _key(facts: Facts, rule: Rule, ground: Ground) -> CreateKey | RecoverKey | Wait | Blocked | None:
    history = facts.keys[ground.key]
    if not isinstance(history, Blocked):
        target = _newest(history, facts, rule)
        return None if isinstance(target, KeyRef) else target
    return history if history.reason is not Reason.KEY_NOT_FOUND else absent_key(facts, rule, ground)


def _change(facts: Facts, rule: Rule, ground: Ground) -> SetKeys | Wait | Blocked:
    """Return the change itself. Before the key is made its version has no name."""
    history = facts.keys[ground.key]
    target = ground.key.at(None) if isinstance(history, Blocked) else _newest(history, facts, rule)
    if not isinstance(target, KeyRef):
        return target
    traits = facts.service.traits_of(facts.body)
    follow = _follows(traits, rule)
    change = Change(facts.service.main_slot, target, follow, ground.identity)
    weak = "" if isinstance(history, Blocked) else weaker(history, target, rule, traits)
    return SetKeys((change,), "; ".join(filter(None, (remarks(facts, ground), weak))))


def _newest(history: KeyHistory, facts: Facts, rule: Rule) -> KeyRef | Wait | Blocked:
    if history.backs_certificate:
        return Blocked(Reason.KEY_BACKS_CERTIFICATE)
    if history.unasked is not None:
        unsaid = Blocked(history.unasked, detail="whether a certificate owns the key, only the vault tells")
        return wait_or_give_up(unsaid, waited=facts.waited, now=facts.now)
    traits = facts.service.traits_of(facts.body)
    choose = latest_usable if _follows(traits, rule) else newest_usable
    target = choose(history, traits.accepts, facts.now)
    if isinstance(target, NeedMaterial):
        raise MaterialMissing(target.version)
    return target if isinstance(target, Blocked) else history.key.at(target.version)


def _follows(traits: Traits, rule: Rule) -> bool:
    """Return whether the first key is followed: as the rule says, else where it is proven that the service can."""
    if traits.follow is Follow.ALWAYS or rule.version is Version.PIN:
        return traits.follow is Follow.ALWAYS
    sure = traits.ability(Verb.FOLLOW) is Can.YES and traits.permissions(Verb.FOLLOW) <= rule.may
    return _can_follow(traits) and (sure or rule.version is Version.FOLLOW)


def _can_follow(traits: Traits) -> bool:
    return traits.follow is not Follow.NEVER and not isinstance(traits.ability(Verb.FOLLOW), Reason)
