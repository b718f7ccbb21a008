"""From a key, a vault or everything to the resources concerned: one page of candidates, then the next item."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyHistory, KeyId, KeyVersion, latest_usable, newest_usable
from shared.domain.reasons import Blocked, Reason, Wait, wait_or_give_up
from shared.domain.report import Expanded, Outcome, Report, Stopped, Waiting
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.domain.work import CheckChildren, CheckKey, CheckResource, CheckVault, Expansion, WorkItem, next_page
from shared.errors import AppError, NotThere, Refusal, TryLater
from shared.usecases.check_children import concerns
from shared.usecases.context import Context
from shared.usecases.observe import with_materials
from shared.usecases.recent import Child

AT_ONCE = 16  # messages put side by side
LONGEST_DELAY = timedelta(days=6)  # a queue hides a message for seven days at most


class _Scope:
    """Which resources an expansion is about. `history` is None when the key cannot be read or many keys are meant."""

    def __init__(self, key: KeyId | None = None, host: str = "", history: KeyHistory | None = None) -> None:
        self.key = key
        self.host = host
        self.history = history


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


async def _scope(context: Context, item: Expansion) -> _Scope | Stopped:
    if isinstance(item, CheckKey):
        return await _key_scope(context, item)
    if isinstance(item, CheckVault):
        vaults = context.ports.vaults
        site = await (vaults.by_host(item.host) if item.host else vaults.by_id(item.vault_id))
        if site is None:
            return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.host or item.vault_id),))
        return _Scope(host=site.host)
    return _Scope()


async def _key_scope(context: Context, item: CheckKey) -> _Scope | Stopped:
    site = await context.ports.vaults.by_host(item.key.host)
    if site is None:
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.key.host),))
    if item.vault_id and site.id and site.id.lower().rstrip("/") != item.vault_id.lower().rstrip("/"):
        detail = f"{item.key.host} does not belong to the vault that the event came from"
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=detail),))
    try:
        history: KeyHistory | None = await context.ports.keys.history(item.key, not_older_than=item.asked_at)
    except (NotThere, Refusal):
        history = None  # each user is looked at and reports the same; who they are is what counts now
    if history is not None and item.cursor is None:
        await _come_back_when_valid(context, item, history)
    return _Scope(item.key, history=history)


async def _come_back_when_valid(context: Context, item: CheckKey, history: KeyHistory) -> None:
    """No event tells when a version's not-before passes, so look again then."""
    now = context.ports.clock.now()
    if moment := history.next_activation(now):
        at = min(moment, now + LONGEST_DELAY)
        await context.ports.queue.put(replace(item, asked_at=at), visible_at=at)


async def _page(context: Context, item: Expansion, scope: _Scope) -> Outcome:
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


async def _for_row(context: Context, item: Expansion, scope: _Scope, service: Service, row: Json) -> list[WorkItem]:
    address = Address(service.type, str(row["id"]))
    now = context.ports.clock.now()
    work: list[WorkItem] = []
    if await _worth_a_look(context, scope, service, row):
        work.append(CheckResource(address, item.cause, since=now, asked_at=item.asked_at))
    for what in service.children:
        child = context.service(what.type)
        known = context.recent.children(address, what.type, now)
        if child is None or known is None:
            work.append(
                CheckChildren(address, what.type, item.cause, now, item.asked_at, key=scope.key, host=scope.host)
            )
        else:
            found = await _known_children(context, scope, child, known)
            work += [CheckResource(one.address, item.cause, since=now, asked_at=item.asked_at) for one in found]
    return work


async def _known_children(context: Context, scope: _Scope, service: Service, known: Sequence[Child]) -> list[Child]:
    concerned = [one for one in known if concerns(one.uses, scope.key, scope.host)]
    return [one for one in concerned if not await _there_already(context, scope, service, one.uses)]


async def _worth_a_look(context: Context, scope: _Scope, service: Service, row: Json) -> bool:
    try:
        uses = service.read(row)
    except BadKeyUrl:
        return True  # the check reports it; it must not go unnoticed here
    return concerns(uses, scope.key, scope.host) and not await _there_already(context, scope, service, uses)


async def _there_already(context: Context, scope: _Scope, service: Service, uses: tuple[KeyUse, ...]) -> bool:
    """Return whether the index already shows each use at the version it should have, by configuration and in effect.

    Such a resource is no candidate. The index may be minutes behind: who leaves the version in that time raises an
    event of its own, and the sweep finds who does not.
    """
    if scope.history is None:
        return False
    for use in uses:
        if use.configured.key != scope.key:
            continue
        target = await _target(context, scope.history, service, follows=use.follows)
        if target is None or use.effective != target.version:
            return False
        if not use.follows and use.configured.version != target.version:
            return False
    return True


async def _target(context: Context, history: KeyHistory, service: Service, *, follows: bool) -> KeyVersion | None:
    filled = await with_materials(context, history, service, follows=follows)
    choose = latest_usable if follows else newest_usable
    target = choose(filled, service.traits.accepts, context.ports.clock.now())
    return target if isinstance(target, KeyVersion) else None


async def put_all(context: Context, items: Sequence[WorkItem]) -> None:
    """Put items on the queue, a few at a time."""
    for start in range(0, len(items), AT_ONCE):
        await asyncio.gather(*(context.ports.queue.put(item) for item in items[start : start + AT_ONCE]))
