"""Asking, before the first of several writes, whether Azure would refuse one that comes later: what cannot be done to
its end is not begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.domain.beforehand import Need, allowed, denied, locked
from shared.domain.plan import Action, Facts, Step, assigns_roles_in, homes_of, needs_of
from shared.domain.preparation import CreateVault, RecoverVault
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import fold, parse_arm_id
from shared.usecases.context import Context

_T = TypeVar("_T")


async def foreseen(context: Context, facts: Facts, steps: tuple[Step, ...]) -> Blocked | None:
    """Return why the row of steps would not get to its end, as far as reading tells; None: nothing is known against it.

    A single write tells of its refusal itself, and nothing is begun by it. Raises TryLater.
    """
    actions = tuple(step for step in steps if isinstance(step, Action))
    founds = any(isinstance(step, CreateVault | RecoverVault) for step in actions)
    if len(actions) < 2 and not founds:  # noqa: PLR2004
        return None
    bar = (
        await _no_home(context, actions)
        or await _barred(context, needs_of(actions, facts))
        or await _full(context, actions)
    )
    if bar is not None:  # people put it right and ask again: they are not to be told of what was
        context.recent.foreseen.clear()
    return bar


async def _no_home(context: Context, actions: tuple[Action, ...]) -> Blocked | None:
    """Return why a vault cannot come about where it should: no resource group, or no region that has vaults."""
    ask = context.ports.beforehand
    for group, location in homes_of(actions):
        found = await _told(context, ask.group, group)
        if found is None or found.going:
            state = "is being deleted" if found else "is not there"
            return Blocked(Reason.GROUP_NOT_FOUND, detail=f"{group} {state}; a vault would be made in it")
        subscription = group.split("/")[2]
        where = await _told(context, ask.vault_locations, subscription)
        if where and location not in where:
            return Blocked(Reason.LOCATION_NOT_OFFERED, detail=f"vaults in {location or 'no location'}")
    return None


async def _barred(context: Context, needs: tuple[Need, ...]) -> Blocked | None:
    ask = context.ports.beforehand
    for need in needs:
        subscription = parse_arm_id(need.place).subscription
        if bar := denied(need, await _told(context, ask.denials, subscription)):
            return bar
        if not await _may(context, need):
            reason = Reason.VAULT_FORBIDDEN if need.data else Reason.NO_RIGHTS
            return Blocked(reason, detail=f"{need.action} on {need.place}: the app's own identity may not")
        if bar := locked(need, await _told(context, ask.locks, subscription)):
            return bar
    return None


async def _may(context: Context, need: Need) -> bool:
    """Return whether the app may write there: by what it may in the whole resource group, else at the place itself."""
    ask = context.ports.beforehand
    for place in filter(None, dict.fromkeys((need.group, need.there))):
        rights = await _told(context, ask.rights, place)
        if allowed(need, rights):
            return True
    return False


async def _full(context: Context, actions: tuple[Action, ...]) -> Blocked | None:
    subscription = assigns_roles_in(actions)
    if not subscription:
        return None
    ask = context.ports.beforehand
    left = await _told(context, ask.assignments_left, subscription)
    if left is None or left > 0:
        return None
    return Blocked(Reason.QUOTA, detail=f"subscription {subscription} takes no more role assignments")


async def _told(context: Context, ask: Callable[[str], Awaitable[_T]], of: str) -> _T:
    """Ask one question about one place, or remember the answer: every step towards one key asks the same."""
    found: _T = await context.recent.foreseen.get(
        f"{ask.__name__} {fold(of)}", context.ports.clock.now, lambda: ask(of)
    )
    return found
