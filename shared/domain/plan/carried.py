"""What has to be named anew because the whole body is sent, though nobody asked for its change."""

from __future__ import annotations

from shared.domain.keys import KeyHistory, NeedMaterial, latest_usable
from shared.domain.plan.facts import Facts
from shared.domain.plan.rotation import MaterialMissing
from shared.domain.reasons import Blocked
from shared.domain.resource import Change, Edit, KeyUse
from shared.domain.service import May


def carried(changes: tuple[Edit, ...], facts: Facts) -> tuple[Edit, ...] | Blocked:
    """Return the changes and, where all of the body is sent with them, one for each slot that follows by a switch: the
    version that it names may be one that it has left behind, and sending that back would make it return there.
    """
    taken = {change.slot for change in changes}
    found: list[Edit] = [*changes]
    for use in facts.uses:
        if use.slot in taken or not _names_what_it_left(use, facts):
            continue
        step = _latest(use, facts)
        if isinstance(step, Blocked):
            return step
        if step is not None:
            found.append(step)
    return tuple(found)


def _names_what_it_left(use: KeyUse, facts: Facts) -> bool:
    traits = facts.service.traits_of(facts.body, use.slot)
    return May.PUT in traits.needs and use.follows and use.configured.version is not None


def _latest(use: KeyUse, facts: Facts) -> Change | Blocked | None:
    history = facts.keys.get(use.configured.key)
    if not isinstance(history, KeyHistory):
        return None if history is None else Blocked(history.reason, use.slot, history.detail)
    target = latest_usable(history, facts.service.traits_of(facts.body, use.slot).accepts, facts.now)
    if isinstance(target, NeedMaterial):
        raise MaterialMissing(target.version)
    if isinstance(target, Blocked):
        return Blocked(target.reason, use.slot, target.detail)
    same = target.version == use.configured.version
    return None if same else Change(use.slot, history.key.at(target.version), follow=True)
