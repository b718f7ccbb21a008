"""Looking at one collection below a resource: the list's bodies are fresh, so they are the observation itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Expanded, Gone, Outcome, Paced, Report, Stopped, Waiting
from shared.domain.resource import Address
from shared.domain.service import ChildList, Service
from shared.domain.work import CheckChildren, CheckResource
from shared.errors import AppError, NotThere, TryLater
from shared.usecases.candidates import scope_of, worth_a_look
from shared.usecases.check_resource import check_resource
from shared.usecases.context import Context
from shared.usecases.observe import Seen, read_uses
from shared.usecases.pacing import SHORT, bucket_of
from shared.usecases.recent import Child

HANDLED_AT_ONCE = 8  # children looked at in this invocation; more than that fan out


async def check_children(context: Context, item: CheckChildren) -> Report:
    """List the children, look at those concerned, and report."""
    async with context.recent.turn(item.parent, item.child_type):
        return await _check(context, item)


async def _check(context: Context, item: CheckChildren) -> Report:
    parent = context.service(item.parent.type)
    child = context.service(item.child_type)
    what = next((c for c in (parent.children if parent else ()) if c.type.lower() == item.child_type.lower()), None)
    if child is None or what is None:
        outcome: Outcome = Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.child_type),))
    elif until := _slot(context, item, what):
        outcome = Paced(until)
        await context.ports.queue.put(replace(item, paced=True), visible_at=until)
    else:
        outcome = await _run(context, item, what, child)
    report = Report(context.ports.clock.now(), item, outcome, item.parent)
    await context.ports.journal.append(report)
    return report


def _slot(context: Context, item: CheckChildren, what: ChildList) -> datetime | None:
    """Return when to come back if lists of this subscription have been refused lately."""
    if item.paced:
        return None
    now = context.ports.clock.now()
    delay = context.pacer.slot_if_closed(bucket_of(item.parent, what.collection), what.pace, now)
    return now + delay if delay > SHORT else None


async def _run(context: Context, item: CheckChildren, what: ChildList, service: Service) -> Outcome:
    ports = context.ports
    try:
        return await _look(context, item, what, service)
    except NotThere:
        return Gone()
    except AppError as error:
        after = error.after if isinstance(error, TryLater) else None
        now = ports.clock.now()
        if error.reason is Reason.THROTTLED:
            context.pacer.refused(bucket_of(item.parent, what.collection), now, after or timedelta(0))
        step = wait_or_give_up(error.reason, since=item.since, now=now, after=after, detail=error.detail)
        if isinstance(step, Wait):
            await ports.queue.put(replace(item, asked_at=now, paced=False), visible_at=step.again_at)
            return Waiting(step)
        return Stopped((step,))


async def _look(context: Context, item: CheckChildren, what: ChildList, service: Service) -> Outcome:
    scope = await scope_of(context, item.key, item.host)
    known = context.recent.children(item.parent, what.type, context.ports.clock.now())
    if known is not None:
        found = [one for one in known if await worth_a_look(context, scope, service, one.address, one.uses)]
        for child in found:
            await context.ports.queue.put(_item(item, child.address))
        return Expanded(len(known), len(found), more=False)
    listed_at = context.ports.clock.now()
    children: list[Child] = []
    bodies: list[tuple[Address, Seen]] = []
    async for body in context.ports.resources.children(item.parent, what, service):
        address = Address(service.type, str(body["id"]))
        uses = read_uses(service, body)
        children.append(Child(address, uses))
        if scope.concerns(uses):
            bodies.append((address, Seen(body, listed_at)))
    context.recent.note_children(item.parent, what.type, tuple(children), listed_at)
    return await _handle(context, item, bodies, len(children), listed_at)


async def _handle(
    context: Context, item: CheckChildren, found: list[tuple[Address, Seen]], looked_at: int, listed_at: datetime
) -> Outcome:
    for address, _ in found[HANDLED_AT_ONCE:]:
        await context.ports.queue.put(_item(item, address))
    for address, seen in found[:HANDLED_AT_ONCE]:
        await check_resource(context, replace(_item(item, address), asked_at=listed_at), seen)
    return Expanded(looked_at, max(0, len(found) - HANDLED_AT_ONCE), more=False)


def _item(item: CheckChildren, address: Address) -> CheckResource:
    return CheckResource(address, item.cause, item.since, item.asked_at)
