"""From a key, a vault or everything to the resources concerned: one page of candidates, then the next item."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyHistory
from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Expanded, Outcome, Report, Stopped, Waiting
from shared.domain.resource import Address, Json
from shared.domain.service import Service
from shared.domain.work import CheckChildren, CheckKey, CheckResource, CheckVault, Expansion, WorkItem, next_page
from shared.errors import AppError, TryLater
from shared.usecases.candidates import Scope, scope_of, worth_a_look
from shared.usecases.context import Context

AT_ONCE = 16  # messages put side by side
LONGEST_DELAY = timedelta(days=6)  # a queue hides a message for seven days at most


async def expand(context: Context, item: Expansion) -> Report:
    """Look through one page of candidates and put an item for each resource concerned, then one for the next page."""
    ports = context.ports
    try:
        scope = await _scope(context, item)
        outcome: Outcome = scope if isinstance(scope, Stopped) else await _page(context, item, scope)
    except AppError as error:
        after = error.after if isinstance(error, TryLater) else None
        now = ports.clock.now()
        step = wait_or_give_up(error.reason, since=item.asked_at, now=now, after=after, detail=error.detail)
        outcome = Waiting(step) if isinstance(step, Wait) else Stopped((step,))
        if isinstance(step, Wait):
            await ports.queue.put(item, visible_at=step.again_at)
    report = Report(ports.clock.now(), item, outcome)
    await ports.journal.append(report)
    return report


async def _scope(context: Context, item: Expansion) -> Scope | Stopped:
    if isinstance(item, CheckKey):
        return await _key_scope(context, item)
    if isinstance(item, CheckVault):
        vaults = context.ports.vaults
        site = await (vaults.by_host(item.host) if item.host else vaults.by_id(item.vault_id))
        if site is None:
            return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.host or item.vault_id),))
        return Scope(host=site.host)
    return Scope()


async def _key_scope(context: Context, item: CheckKey) -> Scope | Stopped:
    site = await context.ports.vaults.by_host(item.key.host)
    if site is None:
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.key.host),))
    if item.vault_id and site.id and site.id.lower().rstrip("/") != item.vault_id.lower().rstrip("/"):
        detail = f"{item.key.host} does not belong to the vault that the event came from"
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=detail),))
    scope = await scope_of(context, item.key, "")
    if scope.history is not None and item.cursor is None:
        await _come_back_when_valid(context, item, scope.history)
    return scope


async def _come_back_when_valid(context: Context, item: CheckKey, history: KeyHistory) -> None:
    """No event tells when a version's not-before passes, so look again then."""
    now = context.ports.clock.now()
    if moment := history.next_activation(now):
        at = min(moment, now + LONGEST_DELAY)
        await context.ports.queue.put(replace(item, asked_at=at), visible_at=at)


async def _page(context: Context, item: Expansion, scope: Scope) -> Outcome:
    types = frozenset(service.type.lower() for service in context.services.values() if service.in_graph)
    page = await context.ports.finder.page(types, item.cursor)
    work: list[WorkItem] = []
    for row in page.rows:
        service = context.service(str(row["type"]))
        if service is not None:
            work += await _for_row(context, item, scope, service, row)
    await put_all(context, work)
    if page.cursor is not None:
        await context.ports.queue.put(next_page(item, page.cursor))
    return Expanded(len(page.rows), len(work), more=page.cursor is not None)


async def _for_row(context: Context, item: Expansion, scope: Scope, service: Service, row: Json) -> list[WorkItem]:
    address = Address(service.type, str(row["id"]))
    now = context.ports.clock.now()
    work: list[WorkItem] = []
    if await _worth_a_look(context, scope, service, address, row):
        work.append(CheckResource(address, item.cause, since=now, asked_at=item.asked_at))
    for what in service.children:
        child = context.service(what.type)
        known = context.recent.children(address, what.type, now)
        if child is None or known is None:
            work.append(
                CheckChildren(address, what.type, item.cause, now, item.asked_at, key=scope.key, host=scope.host)
            )
            continue
        work += [
            CheckResource(one.address, item.cause, since=now, asked_at=item.asked_at)
            for one in known
            if await worth_a_look(context, scope, child, one.address, one.uses)
        ]
    return work


async def _worth_a_look(context: Context, scope: Scope, service: Service, address: Address, row: Json) -> bool:
    try:
        uses = service.read(row)
    except BadKeyUrl:
        return True  # the check reports it; it must not go unnoticed here
    return await worth_a_look(context, scope, service, address, uses)


async def put_all(context: Context, items: Sequence[WorkItem]) -> None:
    """Put items on the queue, a few at a time."""
    for start in range(0, len(items), AT_ONCE):
        await asyncio.gather(*(context.ports.queue.put(item) for item in items[start : start + AT_ONCE]))
