"""Bringing a resource under a key of yours: what it takes, in order, or why it is not done.

Every check comes before the first step, so that nothing is prepared, least of all what Azure never takes back, for a
change that is refused afterwards.
"""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyHistory, KeyRef, NeedMaterial, latest_usable, newest_usable
from shared.domain.plan.facts import Action, Facts, Ground, SetKeys, Step
from shared.domain.plan.hard_rules import forbidden, forbidden_vault, unsettled
from shared.domain.plan.rotation import MaterialMissing
from shared.domain.policy import Mode, Origin, Region, Rule, Version
from shared.domain.preparation import AssignIdentity, CreateKey, GrantAccess, HardenVault
from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.resource import Change, Json, KeyUse
from shared.domain.service import Can, Follow, May, Service, Traits, Verb
from shared.domain.vault import MOST_POLICIES, Vault, lacks, plain_location

_HARDENING = frozenset({May.HARDEN, May.IRREVERSIBLE})


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


def _bar(rule: Rule, facts: Facts) -> Blocked | None:
    return forbidden(facts) or _beyond(rule, facts)


def _beyond(rule: Rule, facts: Facts) -> Blocked | None:
    """Return why the service, or what the rule allows, is in the way."""
    slot, traits = facts.service.main_slot, facts.service.traits_of(facts.body)
    if isinstance(reason := traits.elsewhere or traits.ability(Verb.ENABLE), Reason):
        return Blocked(reason, slot, "it should begin to use a key")
    if not slot:
        return Blocked(Reason.CANNOT, detail="nothing is known of how this service begins to use a key")
    needed = traits.permissions(Verb.ENABLE)
    if rule.version is Version.FOLLOW and _can_follow(traits):
        needed |= traits.permissions(Verb.FOLLOW)
    if missing := sorted(one.value for one in needed - rule.may):
        detail = f"may: [{', '.join(missing)}]; it should begin to use a key"
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, slot, detail)
    if facts.address.parent:
        return Blocked(Reason.NOT_ENCRYPTED, slot, "its parent's identity would reach the key; POST use-key sets one")
    return None


def _from_the_ground(facts: Facts, rule: Rule) -> tuple[Step, ...]:
    slot, ground = facts.service.main_slot, facts.ground
    if ground is None:  # a bug: planning began before what it hangs on was read
        raise MaterialMissing("what the key stands on")
    if isinstance(ground, Blocked):
        return (Blocked(ground.reason, slot, ground.detail),)
    steps: list[Action] = []
    for found in (
        _fit(facts, rule, ground.vault),
        _hardened(rule, ground.vault),
        _key(facts, rule, ground),
        None if ground.attached else AssignIdentity(ground.identity),
        _access(facts, rule, ground),
        _change(facts, rule, ground),
    ):
        if isinstance(found, Blocked | Wait):
            return (replace(found, slot=slot),)
        if found is not None:
            steps.append(found)
    writes_vault = any(not isinstance(step, AssignIdentity | SetKeys) for step in steps)
    if writes_vault and (bar := forbidden_vault(facts, ground.vault)):
        return (bar,)
    return tuple(steps)


def _fit(facts: Facts, rule: Rule, vault: Vault) -> Blocked | None:
    """Return why this resource cannot use keys of this vault, whatever is done."""
    ground = facts.ground
    tenant = ground.tenant if isinstance(ground, Ground) else ""
    if tenant and vault.tenant and tenant != vault.tenant:
        return Blocked(Reason.CROSS_TENANT, detail=f"the vault is in tenant {vault.tenant}")
    if where := _apart(facts, vault):
        if facts.service.traits_of(facts.body).same_region:
            return Blocked(Reason.SAME_REGION_ONLY, detail=where)
        if rule.same_region is Region.REQUIRE:
            return Blocked(Reason.OTHER_REGION, detail=where)
    return Blocked(Reason.VAULT_CLOSED, detail=vault.id) if vault.closed else None


def _apart(facts: Facts, vault: Vault) -> str:
    """Return where the vault and the resource are if that is not the same region."""
    place = plain_location(str(facts.body.get("location") or ""))
    return "" if place == vault.location else f"the vault is in {vault.location}, the resource in {place}"


def _hardened(rule: Rule, vault: Vault) -> HardenVault | Blocked | None:
    if vault.recoverable and vault.protected:
        return None
    if rule.may >= _HARDENING:
        return HardenVault(vault.id)
    return Blocked(Reason.VAULT_NOT_PROTECTED, detail=f"the rule would have to say {_may(rule, *_HARDENING)}")


def _key(facts: Facts, rule: Rule, ground: Ground) -> CreateKey | Wait | Blocked | None:
    history = facts.keys[ground.key]
    if not isinstance(history, Blocked):
        target = _newest(history, facts, rule)
        return None if isinstance(target, KeyRef) else target
    if history.reason is not Reason.KEY_NOT_FOUND:
        return history
    return _made(facts, rule, ground)


def _made(facts: Facts, rule: Rule, ground: Ground) -> CreateKey | Blocked:
    """Return how the key is made that is not there, or why it is not."""
    like = rule.create_key
    if rule.origin is Origin.IMPORTED:
        return Blocked(Reason.KEY_NOT_FOUND, detail=f"{ground.key.url} is to be imported")
    if like is None or May.CREATE_KEY not in rule.may:
        needed = "createKey" if like is None else _may(rule, May.CREATE_KEY)
        return Blocked(Reason.KEY_NOT_FOUND, detail=f"{ground.key.url}; the rule would have to say {needed}")
    if (like.type, like.size) not in facts.service.traits_of(facts.body).accepts.types:
        return Blocked(Reason.KEY_TYPE_NOT_ACCEPTED, detail=f"createKey: {like.type} {like.size}")
    if like.type.endswith("-HSM") and not ground.vault.premium:
        return Blocked(Reason.KEY_TYPE_NOT_ACCEPTED, detail="a standard vault holds no keys in hardware")
    if like.not_before is not None and like.not_before > facts.now:
        return Blocked(Reason.NO_USABLE_VERSION, detail=f"createKey: valid from {like.not_before.isoformat()}")
    return CreateKey(ground.vault.id, ground.key, like)


def _access(facts: Facts, rule: Rule, ground: Ground) -> GrantAccess | Blocked | None:
    vault, access = ground.vault, facts.service.traits_of(facts.body).access
    missing = lacks(vault, ground.key.name, ground.principal, ground.grants, access)
    if ground.principal and not missing:
        return None
    who = f"principal {ground.principal}" if ground.principal else "the identity it gets"
    if May.GRANT not in rule.may:
        detail = f"{_may(rule, May.GRANT)}; {who} lacks {', '.join(missing or access.permissions)} on {vault.id}"
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, detail=detail)
    known = any(one.principal == ground.principal and not one.application for one in vault.policies)
    if not vault.rbac and not known and len(vault.policies) >= MOST_POLICIES:
        return Blocked(Reason.QUOTA, detail=f"{vault.id} has {len(vault.policies)} access policies")
    role, permissions = (access.role, ()) if vault.rbac else ("", access.permissions)
    return GrantAccess(vault.id, ground.principal, vault.tenant, role, permissions)


def _change(facts: Facts, rule: Rule, ground: Ground) -> SetKeys | Wait | Blocked:
    """Return the change itself. Before the key is made its version has no name."""
    history = facts.keys[ground.key]
    target = ground.key.at(None) if isinstance(history, Blocked) else _newest(history, facts, rule)
    if not isinstance(target, KeyRef):
        return target
    follow = _follows(facts.service.traits_of(facts.body), rule)
    change = Change(facts.service.main_slot, target, follow, ground.identity)
    return SetKeys((change,), _apart(facts, ground.vault))


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


def _may(rule: Rule, *needed: May) -> str:
    return f"may: [{', '.join(sorted(one.value for one in frozenset(needed) - rule.may))}]"
