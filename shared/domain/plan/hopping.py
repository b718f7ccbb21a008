"""Taking up a new version where a service does so only by moving to another key and back: one wish, two changes.

Nothing is remembered but what travels with the work: which key the resource is on says which half comes next.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.keys import KeyHistory, KeyId, KeyRef
from shared.domain.patience import PATIENCE, wait_or_give_up, waited_since
from shared.domain.plan.facts import Facts
from shared.domain.plan.wished import Found, against_the_rule, target_of
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.resource import Change, KeyUse
from shared.domain.service import Verb
from shared.domain.wish import Wish

PAUSE = PATIENCE[Reason.HOPPING].first  # from the first change to the second


def hopped(facts: Facts, home: KeyRef, through: KeyRef) -> Iterator[Found]:
    """Yield what each slot needs to end on the newest version of `home`, by way of `through`."""
    wish = facts.wish or Wish()
    if against := against_the_rule(facts, wish):
        yield against, None
        return
    uses = [use for use in facts.uses if wish.slot in {"", use.slot}]
    if not uses:
        yield Blocked(Reason.BAD_REQUEST, wish.slot, "it uses no key of yours"), None
    for use in uses:
        step = _step(facts, use, home.key, through.key)
        if step is not None:
            yield step, use


def _step(facts: Facts, use: KeyUse, home: KeyId, through: KeyId) -> Change | Wait | Blocked | None:
    if use.tenant_is_foreign:
        return Blocked(Reason.CROSS_TENANT, use.slot)
    if facts.service.traits_of(facts.body, use.slot).ability(Verb.REPOINT) is not Reason.HOP_ONLY:
        return Blocked(Reason.BAD_REQUEST, use.slot, "this service takes up new versions without a detour")
    if use.configured.key == home:
        return _out(facts, use, home, through)
    if use.configured.key == through:
        return _back(facts, use, home)
    return Blocked(Reason.BAD_REQUEST, use.slot, f"it uses {use.configured.key.url}, which is neither of the two")


def _out(facts: Facts, use: KeyUse, home: KeyId, through: KeyId) -> Change | Blocked | None:
    """Return the change to the temporary key; None if the resource holds the newest version of its own."""
    target, history = target_of(facts, home, Wish(), latest=False, slot=use.slot), facts.keys[home]
    if isinstance(target, Blocked):
        return target
    only = isinstance(history, KeyHistory) and len(history.versions) == 1
    if use.configured.version == target.version or (use.configured.version is None and only):
        return None
    detour = target_of(facts, through, Wish(), latest=False, slot=use.slot)
    return detour if isinstance(detour, Blocked) else Change(use.slot, detour, use.follows)


def _back(facts: Facts, use: KeyUse, home: KeyId) -> Change | Wait | Blocked:
    """Return the change back, once the one before it has had its time."""
    if facts.now - waited_since(facts.waited, Reason.HOPPING, facts.now) < PAUSE:
        pause = Blocked(Reason.HOPPING, use.slot, f"back to {home.name} after the pause")
        return wait_or_give_up(pause, waited=facts.waited, now=facts.now)
    target = target_of(facts, home, Wish(), latest=False, slot=use.slot)
    return target if isinstance(target, Blocked) else Change(use.slot, target, use.follows)
