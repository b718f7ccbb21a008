"""Looking at one collection below a resource: the list's bodies are fresh, so they are the observation itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.order import Order
from shared.domain.policy import Mode
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Expanded, Gone, Outcome, Paced, Report, Stopped, Waiting
from shared.domain.resource import Address, Json
from shared.domain.service import ChildList, Service
from shared.domain.work import CheckChildren, CheckResource
from shared.errors import AppError, NotTaken, NotThere, Refusal
from shared.usecases.candidates import Scope, scope_of, scope_within, worth_a_look
from shared.usecases.check_resource import check_resource
from shared.usecases.context import Context
from shared.usecases.fan_out import put_all
from shared.usecases.observe import Seen, read_uses
from shared.usecases.pacing import SHORT, bucket_of
from shared.usecases.recent import Child
from shared.usecases.unencrypted import wanted_for
from shared.usecases.waiting import step_for, waited_for

HANDLED_AT_ONCE = 8  # children looked at in this invocation; more than that fan out


async def check_children(context: Context, item: CheckChildren) -> Report:
    """List the children, look at those concerned, and report."""
    async with context.recent.turn(item.parent, item.child_type):
        outcome = await _outcome(context, item)
        report = Report(context.ports.clock.now(), item, outcome, item.parent)
        await context.ports.journal.append(report)
        return report


async def _outcome(context: Context, item: CheckChildren) -> Outcome:
    parent = context.service(item.parent.type)
    child = context.service(item.child_type)
    what = next((c for c in (parent.children if parent else ()) if c.type.lower() == item.child_type.lower()), None)
    if child is None or what is None:
        return Stopped((Blocked(Reason.UNSUPPORTED_TYPE, detail=item.child_type),))
    if until := _slot(context, item, what):
        await context.ports.queue.put(replace(item, paced=True), visible_at=until)
        return Paced(until)
    return await _run(context, item, what, child)


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
    except NotTaken:
        raise
    except AppError as error:
        now = ports.clock.now()
        step = step_for(error, item.waited, now, item.first_at)
        if isinstance(step, Blocked):
            return Stopped((step,))
        if step.reason is Reason.THROTTLED:
            context.pacer.refused(bucket_of(item.parent, what.collection), now, _asked_for(step, now))
        successor = replace(item, asked_at=now, waited=waited_for(step), paced=False)
        await ports.queue.put(successor, visible_at=step.again_at)
        return Waiting(step)


def _asked_for(step: Wait, now: datetime) -> timedelta:
    return max(timedelta(0), step.again_at - now)


async def _look(context: Context, item: CheckChildren, what: ChildList, service: Service) -> Outcome:
    scope = replace(await _scope(context, item), ordered=item.cause.order != Order())
    known = context.recent.children(item.parent, what.type, context.ports.clock.now())
    if known is not None:
        found = [
            one for one in known if await worth_a_look(context, scope, service, one.address, one.uses, reach=item.reach)
        ]
        await put_all(context, [_item(item, child.address) for child in found])
        return Expanded(len(known), len(found), more=False)
    listed_at = context.ports.clock.now()
    bodies = [body async for body in context.ports.resources.children(item.parent, what, service)]
    children = tuple(_child(service, body) for body in bodies)
    context.recent.note_children(item.parent, what.type, children, listed_at)
    return await _handle(context, item, scope, list(zip(children, bodies, strict=True)), listed_at)


async def _scope(context: Context, item: CheckChildren) -> Scope:
    if item.key is not None:
        return await scope_of(context, item.key, item.asked_at)
    if item.within:
        return await scope_within(context, item.within)
    return Scope(hosts=frozenset({item.host}) if item.host else None)


def _child(service: Service, body: Json) -> Child:
    """Return a child; one that cannot be read must not hide the others, and is reported by its own check."""
    address = Address(service.type, str(body["id"]))
    try:
        return Child(address, read_uses(service, body))
    except Refusal:
        return Child(address, None)


async def _handle(
    context: Context, item: CheckChildren, scope: Scope, listed: list[tuple[Child, Json]], listed_at: datetime
) -> Outcome:
    sweeping = scope.key is None and scope.hosts is None
    concerned = [
        (child, body)
        for child, body in listed
        if child.uses is None or scope.concerns(child.uses) or (sweeping and await _begins(context, item, child, body))
    ]
    later = concerned[HANDLED_AT_ONCE:]
    await put_all(context, [_item(item, child.address) for child, _ in later])
    for child, body in concerned[:HANDLED_AT_ONCE]:
        await check_resource(context, replace(_item(item, child.address), asked_at=listed_at), Seen(body, listed_at))
    return Expanded(len(listed), len(later), more=False)


async def _begins(context: Context, item: CheckChildren, child: Child, body: Json) -> bool:
    """Return whether a child on the platform's key shall begin to use one of yours."""
    service = context.service(item.child_type)
    if service is None:
        return False
    return await wanted_for(context, service, child.address, body, child.uses) is Mode.FIX


def _item(item: CheckChildren, address: Address) -> CheckResource:
    return CheckResource(address, item.cause, item.asked_at, item.first_at, reach=item.reach)
