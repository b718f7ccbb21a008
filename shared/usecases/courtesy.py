"""Reading what only a change that is due needs to know, and planning it with that."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from shared.domain.events import RESOURCE_EVENTS
from shared.domain.plan import Action, Facts, Step, Top, edits_in, plan, wanted, wants_rollout
from shared.domain.preparation import GrantAccess
from shared.domain.resource import Change, Json
from shared.domain.tug import WITHIN, Tug, grants_in, wins_in
from shared.domain.work import CheckResource
from shared.errors import AppError
from shared.usecases.above import read_top
from shared.usecases.context import Context
from shared.usecases.foreseen import foreseen
from shared.usecases.own_lines import own_lines
from shared.usecases.placing import top_in
from shared.usecases.prepare import granted
from shared.usecases.rollout import rollout_for


async def plan_with_courtesy(context: Context, facts: Facts, item: CheckResource) -> tuple[Step, ...]:
    """Plan; ask for what only a write needs to know when there is one, the dearest last. Raises AppError."""
    steps = wanted(facts)
    if not _acts(steps):
        return steps
    top = await _top(context, facts)
    managed = await context.ports.finder.managed_groups()
    facts = replace(facts, managed_groups=managed, tags=top.tags, owner=top.owner)
    steps = wanted(facts)
    rule = facts.rule
    if not _acts(steps) or rule is None:
        return steps
    if item.going is not None and item.going.changes == edits_in(steps):
        return steps  # what was begun is brought to its end
    facts = replace(facts, tug=await _tug(context, facts, steps, item))
    steps = plan(facts)
    if line := wants_rollout(steps, facts):
        steps = plan(replace(facts, rollout=await rollout_for(context, facts, rule, *line)))
    if bar := await foreseen(context, facts, steps):
        return (bar, *(step for step in steps if not isinstance(step, Action)))
    return steps


def _acts(steps: tuple[Step, ...]) -> bool:
    return bool(steps) and isinstance(steps[0], Action)


async def _top(context: Context, facts: Facts) -> Top:
    """Return what the resource at the top says, which holds for a child as well."""
    if not facts.address.parent:
        return top_in(facts.body)

    async def ask() -> Top:
        _, body = await read_top(context, facts.address)
        return top_in(body)

    return await context.recent.tops.get(facts.address.top.folded, context.ports.clock.now, ask)


async def _tug(context: Context, facts: Facts, steps: tuple[Step, ...], item: CheckResource) -> Tug | None:
    """Return how often a change that is due was made within a day and set back; None: there is no sign of that.

    The evidence is asked only where something hints at another hand: this instance has made the same change before, or
    somebody else has just written the resource, or its access is gone.
    """
    contested = _contested(steps)
    if contested is None:
        return None
    now = context.ports.clock.now()
    slot, what = (contested.slot, contested.to.url) if isinstance(contested, Change) else ("", granted(contested))
    mine = tuple(at for at in context.recent.wins(facts.address, slot, what) if now - at <= WITHIN)
    told_of = item.cause.event_type.lower() in RESOURCE_EVENTS or isinstance(contested, GrantAccess)
    if not mine and not told_of:
        return None
    try:
        page = await own_lines(context, facts.address, now - WITHIN)
    except AppError:
        return Tug(mine) if mine else None  # none is kept, or it cannot be read: one's own memory must do
    moments = max(mine, _told(page.lines, facts.address.folded, contested), key=len)
    return Tug(moments) if moments else None


def _contested(steps: tuple[Step, ...]) -> Change | GrantAccess | None:
    """Return what others may be setting back: the change of a slot, or a grant that is made again."""
    edits = edits_in(steps)
    if not edits and isinstance(steps[0], GrantAccess):
        return steps[0]
    return next((edit for edit in edits if isinstance(edit, Change)), None)


def _told(lines: tuple[Json, ...], resource: str, contested: Change | GrantAccess) -> tuple[datetime, ...]:
    if isinstance(contested, GrantAccess):
        return grants_in(lines, resource, contested.vault, contested.principal)
    return wins_in(lines, resource, contested.slot, contested.to.url)
