"""What a caller's wish asks of each slot of a resource."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.identity import identities_in, other_identities
from shared.domain.keys import KeyHistory, KeyId, KeyRef, NeedMaterial, latest_usable, newest_usable
from shared.domain.plan.facts import Facts
from shared.domain.plan.rotation import MaterialMissing, step_of
from shared.domain.policy import Mode, Version
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Change, Edit, KeyUse, Revert, fold
from shared.domain.service import Follow, Verb
from shared.domain.wish import Wish

Found = tuple[Edit | Wait | Blocked, KeyUse | None]


def wished(facts: Facts, wish: Wish) -> Iterator[Found]:
    """Yield the step for each slot that the wish is about, and the use it is for; None: the slot has no key yet."""
    if against := against_the_rule(facts, wish):
        yield against, None
        return
    if bar := _no_such_slot(facts, wish) or _identity_not_taken(facts, wish):
        yield bar, None
        return
    uses = [use for use in facts.uses if wish.slot in {"", use.slot}]
    if wish.revert:
        yield from ((_reverted(use), use) for use in uses)
        return
    if not uses:
        yield _enabled(facts, wish), None
        return
    if apart := _keys_apart(wish, uses):
        yield apart, None
        return
    for use in uses:
        step = _used(facts, wish, use)
        if step is not None:
            yield step, use


def against_the_rule(facts: Facts, wish: Wish) -> Blocked | None:
    """Return why the wish would be undone by the next sweep, or None."""
    rule = facts.rule
    if rule is None:
        return None  # told where all that is outside the policy is
    if wish.revert and rule.encryption is Mode.FIX:
        return Blocked(Reason.CONTRADICTS_RULE, wish.slot, f"rule {rule.name!r} says encryption: fix")
    if rule.rotation is Mode.IGNORE:
        return Blocked(Reason.CONTRADICTS_RULE, wish.slot, f"rule {rule.name!r} says ignore")
    if wish.version not in {Version.KEEP, rule.version} and rule.version is not Version.KEEP:
        return Blocked(Reason.CONTRADICTS_RULE, wish.slot, f"rule {rule.name!r} says version: {rule.version.value}")
    return None


def _no_such_slot(facts: Facts, wish: Wish) -> Blocked | None:
    """Return why nothing is done where the slot that the wish names is none: the request would change another one."""
    service = facts.service
    named = (service.main_slot, *service.slots, *(use.slot for use in facts.uses))
    there = dict.fromkeys(filter(None, named))
    if not there or wish.slot in {"", *there}:
        return None
    return Blocked(Reason.BAD_REQUEST, wish.slot, f"no such slot; there are {', '.join(there)}")


def _keys_apart(wish: Wish, uses: list[KeyUse]) -> Blocked | None:
    """Return why it must be said which slot is meant: keys that stand in for each other, or lie in paired regions, must
    not become one by a word left out. Those that are there already do not count: they may be half of the wish.
    """
    if wish.key is None or len({use.configured.key for use in uses} - {wish.key.key}) < 2:  # noqa: PLR2004
        return None
    used = ", ".join(f"{use.slot} ({use.configured.key.url})" for use in uses)
    return Blocked(Reason.BAD_REQUEST, detail=f"it uses several keys; say by slot which one is meant: {used}")


def _identity_not_taken(facts: Facts, wish: Wish) -> Blocked | None:
    """Return why the key cannot be reached by the identity that is wished, or None. A request that can name none would
    leave the one that is there, without a word.
    """
    acts = facts.service.traits_of(facts.body, wish.slot).acts
    if wish.identity is None:
        return None
    if not (acts.user if wish.identity else acts.system):
        kind = "user-assigned" if wish.identity else "system-assigned"
        return Blocked(Reason.IDENTITY_NOT_TAKEN, wish.slot, f"the service reaches no key by a {kind} identity")
    same = fold(wish.identity) in map(fold, acts.told(facts.body))
    above = acts.above is not None  # whose user-assigned identities a child's request would name by what only it shows
    fixed = acts.application or acts.shown is not None or (above and (bool(wish.identity) or not acts.named))
    if fixed or (not acts.rechosen and not same):
        return Blocked(Reason.IDENTITY_NOT_TAKEN, wish.slot, "no request chooses the identity that reaches the key")
    if not acts.named and (others := other_identities(facts.body, wish.identity)):
        detail = f"it acts by the one identity that it has, and has {others}"
        return Blocked(Reason.IDENTITY_NOT_TAKEN, wish.slot, detail)
    if not facts.address.parent and fold(wish.identity) not in map(fold, identities_in(facts.body)):
        return Blocked(Reason.IDENTITY_NOT_TAKEN, wish.slot, f"it does not have {wish.identity or 'one of its own'}")
    return None


def _reverted(use: KeyUse) -> Revert | Blocked:
    return Blocked(Reason.CROSS_TENANT, use.slot) if use.tenant_is_foreign else Revert(use.slot)


def _enabled(facts: Facts, wish: Wish) -> Change | Blocked:
    slot = wish.slot or facts.service.main_slot
    if isinstance(never := facts.service.traits_of(facts.body, slot).ability(Verb.ENABLE), Reason):
        return Blocked(never, slot, "it uses no key of yours")
    if lacking := facts.service.incapable(facts.body):
        return Blocked(Reason.NOT_CAPABLE, slot, lacking)
    if wish.key is None:
        return Blocked(Reason.BAD_REQUEST, slot, "it uses no key of yours; name the one that it shall use")
    if not slot:
        return Blocked(Reason.CANNOT, detail="nothing is known of how this service begins to use a key")
    follow = wish.version is Version.FOLLOW or facts.service.traits_of(facts.body, slot).follow is Follow.ALWAYS
    version = target_of(facts, wish.key.key, wish, latest=follow, slot=slot)
    if isinstance(version, Blocked):
        return version
    who = _by_whom(facts, wish, slot)
    return who if isinstance(who, Blocked) else Change(slot, version, follow, who)


def _by_whom(facts: Facts, wish: Wish, slot: str) -> str | Blocked | None:
    """Return the identity that reaches a first key, as Change has it. Where the caller names none it is the one that
    the resource has: a service that is told of none looks for a system-assigned one.
    """
    acts = facts.service.traits_of(facts.body, slot).acts
    if wish.identity is not None or not acts.own:
        return wish.identity
    told = [one for one in acts.told(facts.body) if (acts.user if one else acts.system)]
    if told:
        return (told[0] or None) if acts.named else None
    why = "say which identity reaches the key" if identities_in(facts.body) else "it has no identity to reach a key by"
    return Blocked(Reason.IDENTITY_NOT_TAKEN, slot, why)


def _used(facts: Facts, wish: Wish, use: KeyUse) -> Change | Wait | Blocked | None:
    if use.tenant_is_foreign:
        return Blocked(Reason.CROSS_TENANT, use.slot)
    key = wish.key.key if wish.key else use.configured.key
    follow = use.follows if wish.version is Version.KEEP else wish.version is Version.FOLLOW
    # One that stops following is pinned to what it follows, so that it never goes back on the way.
    version = target_of(facts, key, wish, latest=follow or use.follows, slot=use.slot)
    if isinstance(version, Blocked):
        return version
    if key == use.configured.key and follow is use.follows and not _by_another(facts, wish, use):
        return step_of(use, facts)
    return Change(use.slot, version, follow, wish.identity)


def _by_another(facts: Facts, wish: Wish, use: KeyUse) -> bool:
    """Return whether the key that is used shall be reached by another identity than the body tells; not where it tells
    none: nobody could see that it was done.
    """
    told = (use.identity,) if use.identity is not None else _told_by(facts, use.slot)
    return wish.identity is not None and bool(told) and fold(wish.identity) not in map(fold, told)


def _told_by(facts: Facts, slot: str) -> tuple[str, ...]:
    return facts.service.traits_of(facts.body, slot).acts.told(facts.body)


def target_of(facts: Facts, key: KeyId, wish: Wish, *, latest: bool, slot: str) -> KeyRef | Blocked:
    """Return the version of a key that a slot should use, or why there is none."""
    history = facts.keys[key]
    if isinstance(history, Blocked):
        return Blocked(history.reason, slot, history.detail)
    if history.backs_certificate:
        return Blocked(Reason.KEY_BACKS_CERTIFICATE, slot)
    return _newest(facts, history, wish, latest=latest, slot=slot)


def _newest(facts: Facts, history: KeyHistory, wish: Wish, *, latest: bool, slot: str) -> KeyRef | Blocked:
    choose = latest_usable if latest else newest_usable
    target = choose(history, facts.service.traits_of(facts.body).accepts, facts.now)
    if isinstance(target, NeedMaterial):
        raise MaterialMissing(target.version)
    if isinstance(target, Blocked):
        return Blocked(target.reason, slot, target.detail)
    named = wish.key.version if wish.key else None
    if named and named != target.version:
        return Blocked(Reason.CONTRADICTS_RULE, slot, f"the newest usable version is {target.version}")
    return history.key.at(target.version)
