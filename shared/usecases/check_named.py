"""Going on with what lists below a resource name: a slice for each handling, then the item for the next."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Expanded, Gone, Outcome, Report, Stopped, Waiting
from shared.domain.work import CheckNamed
from shared.errors import AppError, NotTaken
from shared.usecases.context import Context
from shared.usecases.dependents import begin_with_keys, put_those_named
from shared.usecases.named import slice_of
from shared.usecases.observe import see
from shared.usecases.placing import rule_for
from shared.usecases.waiting import step_for, waited_for


async def check_named(context: Context, item: CheckNamed) -> Report:
    """Put an item for each resource that this slice names, then one for the next slice, and report."""
    try:
        outcome = await _outcome(context, item)
    except NotTaken:
        raise
    except AppError as error:
        outcome = await _waiting(context, item, error)
    report = Report(context.ports.clock.now(), item, outcome, item.address)
    await context.ports.journal.append(report)
    return report


async def _outcome(context: Context, item: CheckNamed) -> Outcome:
    service = context.service(item.address.type)
    if service is None:
        return Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),))
    seen = await see(context, service, item.address)
    if seen is None:
        return Gone()
    if await rule_for(context, item.address, seen.body) is None or not await begin_with_keys(context):
        return Expanded(0, 0, more=False)  # the policy has changed meanwhile
    found = await slice_of(context, service, item.address, seen.body, item.place)
    put, elsewhere = await put_those_named(context, item, found.found)
    if found.error is not None:
        return await _waiting(context, replace(item, place=found.following or item.place), found.error)
    if found.following is not None:
        await context.ports.queue.put(replace(item, place=found.following, waited=None))
    refused = () if found.unread is None else (Blocked(found.unread.reason, detail=found.unread.detail),)
    foreign = () if not elsewhere else (Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail=elsewhere),)
    return Expanded(found.looked_at, put, more=found.following is not None, blocked=(*refused, *foreign))


async def _waiting(context: Context, item: CheckNamed, error: AppError) -> Outcome:
    now = context.ports.clock.now()
    step = step_for(error, item.waited, now, item.first_at)
    if not isinstance(step, Wait):
        return Stopped((step,))
    await context.ports.queue.put(replace(item, waited=waited_for(step)), visible_at=step.again_at)
    return Waiting(step)
