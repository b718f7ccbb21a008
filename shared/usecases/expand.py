"""From a key, a vault or everything to the resources concerned: one page of candidates, then the next item."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyId
from shared.domain.order import Order
from shared.domain.policy import Mode
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Answered, Expanded, Outcome, Paced, Report, Stopped, Waiting
from shared.domain.resource import Address, Json, KeyUse, fold
from shared.domain.service import Service
from shared.domain.work import (
    MOST_PAGES,
    CheckChildren,
    CheckKey,
    CheckResource,
    CheckVault,
    Expansion,
    Source,
    Sweep,
    WorkItem,
    next_page,
)
from shared.errors import AppError, NotTaken
from shared.usecases.audit_vault import audits_for
from shared.usecases.candidates import Scope, scope_of, scope_within, worth_a_look
from shared.usecases.context import Context
from shared.usecases.ending import put_if_it_ends, put_those_that_end
from shared.usecases.fan_out import put_all
from shared.usecases.placing import top_in
from shared.usecases.recent import SKEW
from shared.usecases.sweeping import begin_or_go_on, is_confirmed_today, slice_of, told_and_ended
from shared.usecases.unencrypted import wanted_for
from shared.usecases.waiting import step_for, waited_for

ENDLESS = Blocked(Reason.SERVICE_UNAVAILABLE, detail="the answer cannot be read: the index is a list without an end")
WIDE_AGAIN = timedelta(minutes=10)
LONGEST_DELAY = timedelta(days=6)  # a queue hides a message for seven days at most


async def expand(context: Context, item: Expansion) -> Report:
    """Look through one page of candidates and put an item for each resource concerned, then one for the next page."""
    ports = context.ports
    try:
        outcome = await _outcome(context, item)
    except NotTaken:
        raise
    except AppError as error:
        step = step_for(error, item.waited, ports.clock.now())
        outcome = Waiting(step) if isinstance(step, Wait) else Stopped((step,))
        if isinstance(step, Wait):
            await ports.queue.put(replace(item, waited=waited_for(step)), visible_at=step.again_at)
    report = Report(ports.clock.now(), item, outcome)
    await ports.journal.append(report)
    return report


async def _outcome(context: Context, item: Expansion) -> Outcome:
    if done := await _done_already(context, item):
        return done
    began = context.ports.clock.now()
    scope = await scope_for(context, item)
    if isinstance(scope, Stopped):
        return scope
    if _is_made_up(item, scope) or scope.hosts == frozenset():
        return Expanded(0, 0, more=False)
    scope = replace(scope, ordered=item.cause.order != Order())
    if isinstance(item, Sweep) and (held := await begin_or_go_on(context, item)):
        return held
    if isinstance(item, Sweep | CheckVault):
        await put_all(context, await audits_for(context, item, _only(scope)))
    outcome = await _page(context, item, scope)
    if isinstance(item, Sweep):
        outcome = await told_and_ended(context, item, outcome)
    if isinstance(item, CheckVault) and item.cursor is None:
        context.recent.note(_named(item), began)
    if isinstance(item, CheckKey) and item.cursor is None:
        await _come_back_when_valid(context, item, scope)
        if scope.history is not None:
            await put_if_it_ends(context, item, scope.history)
        context.recent.note_expanded(item.key, began)
    return outcome


async def _done_already(context: Context, item: Expansion) -> Outcome | None:
    if _just_done(context, item):
        return Answered()
    if until := _too_soon(context, item):
        await context.ports.queue.put(item, visible_at=until)
        return Paced(until)
    return None


def _just_done(context: Context, item: Expansion) -> bool:
    """Return whether the users of the key or vault were looked for after this was asked: events come in twos and
    threes.
    """
    if isinstance(item, CheckVault) and item.cursor is None and item.cause.order == Order():
        return context.recent.noted_since(_named(item), item.asked_at + SKEW)
    first = isinstance(item, CheckKey) and item.cursor is None and item.cause.order == Order()
    return first and isinstance(item, CheckKey) and context.recent.expanded_since(item.key, item.asked_at)


def _too_soon(context: Context, item: Expansion) -> datetime | None:
    """Return when to look through a whole subscription or resource group again: role assignments come and go there
    all day where people are given rights for an hour, and one look answers for all that went before it.
    """
    if not isinstance(item, CheckVault) or not item.within or item.cursor is not None:
        return None
    again = context.recent.noted_at(_named(item))
    return again + WIDE_AGAIN if again is not None and again + WIDE_AGAIN > context.ports.clock.now() else None


def _is_made_up(item: Expansion, scope: Scope) -> bool:
    """Return whether an event names a key that its vault does not have. No event tells of a key that goes, so nothing
    true is lost but haste: the sweep finds who uses it. Looking for its users would let anybody who can send events
    make Resource Graph throttle, which holds up true ones.
    """
    return scope.key_is_gone and item.cause.source in {Source.EVENT, Source.REPLAY} and item.cause.order == Order()


def _only(scope: Scope) -> str:
    """Return the host of the one vault that is meant, "" if it is not one."""
    return next(iter(scope.hosts)) if scope.hosts is not None and len(scope.hosts) == 1 else ""


def _named(item: CheckVault) -> str:
    return f"vault {item.host or item.vault_id or item.within}".lower()


async def scope_for(context: Context, item: Expansion) -> Scope | Stopped:
    """Return what an item is about, or why nothing is done about it. Raises AppError."""
    if isinstance(item, CheckKey):
        return await _key_scope(context, item)
    if isinstance(item, CheckVault):
        if item.within:
            return await scope_within(context, item.within)
        vaults = context.ports.vaults
        site = await (vaults.by_host(item.host) if item.host else vaults.by_id(item.vault_id))
        if site is not None:
            return Scope(hosts=frozenset({site.host}))
        return await _of_deleted(context, item)
    return Scope()


async def _of_deleted(context: Context, item: CheckVault) -> Scope | Stopped:
    """Return the scope of a vault that was deleted: its users are looked at, and nothing is asked of it."""
    host = item.host or f"{item.vault_id.rpartition('/')[2]}{context.vault_suffix}".lower()
    if await context.ports.vaults.deleted(host, item.vault_id):
        return Scope(hosts=frozenset({host}))
    return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.host or item.vault_id),))


async def _key_scope(context: Context, item: CheckKey) -> Scope | Stopped:
    site = await context.ports.vaults.by_host(item.key.host)
    if site is None:
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.key.host),))
    if item.vault_id and site.id and fold(site.id) != fold(item.vault_id):
        site = await context.ports.vaults.by_id(item.vault_id)  # it may have been moved since it was found
    if site is None or site.host != item.key.host:
        detail = f"{item.key.host} does not belong to the vault that the event came from"
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=detail),))
    return await scope_of(context, item.key, item.asked_at)


async def _come_back_when_valid(context: Context, item: CheckKey, scope: Scope) -> None:
    """No event tells when a version's not-before passes, so look again then; once, however many events ask."""
    now = context.ports.clock.now()
    moment = scope.history.next_activation(now) if scope.history else None
    if moment is not None and not context.recent.comes_back(item.key, moment):
        at = min(moment, now + LONGEST_DELAY)
        await context.ports.queue.put(replace(item, asked_at=at, waited=None), visible_at=at)
        context.recent.note_come_back(item.key, moment)


async def _page(context: Context, item: Expansion, scope: Scope) -> Expanded:
    page = await context.ports.finder.page(types_of(context, counted=isinstance(item, Sweep)), item.cursor)
    work: list[WorkItem] = []
    unencrypted = 0
    keys: set[KeyId] = set()
    for row in page.rows:
        service = context.service(str(row.get("type")))
        if service is None:
            continue
        if isinstance(item, Sweep):
            first, told = await _without_key(context, item, service, row)
            work += first
            unencrypted += told
            keys |= {use.configured.key for use in _uses(service, row) or () if not use.tenant_is_foreign}
        work += await _for_row(context, item, scope, service, row)
    await put_all(context, work)
    if isinstance(item, Sweep):
        await put_those_that_end(context, item, keys)
    more = page.cursor if item.page < MOST_PAGES else None
    if more is not None:
        await context.ports.queue.put(next_page(item, more))
    endless = (ENDLESS,) if more != page.cursor else ()
    return Expanded(len(page.rows), len(work), more=more is not None, blocked=endless, unencrypted=unencrypted)


def types_of(context: Context, *, counted: bool) -> frozenset[str]:
    """Return the types to look through; `counted`: those as well that name no key."""
    wanted = (one for one in context.services.values() if one.in_graph or (counted and one.only_counted))
    return frozenset(one.type.lower() for one in wanted)


async def _for_row(context: Context, item: Expansion, scope: Scope, service: Service, row: Json) -> list[WorkItem]:
    address = Address(service.type, str(row["id"]))
    now = context.ports.clock.now()
    found: list[WorkItem] = []
    uses = _uses(service, row)
    if service.children:
        context.recent.tops.note(address.folded, top_in(row), now)
    reach = _asks_reach(item, address)
    spared = isinstance(item, Sweep) and await is_confirmed_today(context, item, service, address, uses)
    if not spared and await worth_a_look(context, scope, service, address, uses, reach=reach):
        found.append(CheckResource(address, item.cause, item.asked_at, now, reach=reach))
    for what in service.children:
        child = context.service(what.type)
        known = context.recent.children(address, what.type, now)
        if child is not None and known is not None:
            found += [
                CheckResource(one.address, item.cause, item.asked_at, now, reach=reach)
                for one in known
                if await worth_a_look(context, scope, child, one.address, one.uses, reach=reach)
            ]
        elif not scope.key_is_gone and _in_slice(item, address):  # made-up keys must not make us list everything
            look = CheckChildren(address, what.type, item.cause, item.asked_at, now, key=scope.key, host=_only(scope))
            found.append(replace(look, reach=reach, within=item.within if isinstance(item, CheckVault) else ""))
    return found


async def _without_key(context: Context, item: Sweep, service: Service, row: Json) -> tuple[list[WorkItem], bool]:
    """Return the work for a resource on the platform's key whose rule says fix; and whether its rule says report: those
    are counted, since a look at each, four times a day, would tell nothing new.
    """
    address = Address(service.type, str(row["id"]))
    wanted = await wanted_for(context, service, address, row, _uses(service, row))
    look: WorkItem = CheckResource(address, item.cause, item.asked_at, context.ports.clock.now())
    return [look] if wanted is Mode.FIX else [], wanted is Mode.REPORT


def _asks_reach(item: Expansion, address: Address) -> bool:
    """Return whether users are asked if they still reach their keys: that costs reads, so after an event about the
    vault, and once a day.
    """
    return isinstance(item, CheckVault) or (isinstance(item, Sweep) and item.slice == slice_of(address))


def _in_slice(item: Expansion, address: Address) -> bool:
    return not isinstance(item, Sweep) or item.slice is None or slice_of(address) == item.slice


def _uses(service: Service, row: Json) -> tuple[KeyUse, ...] | None:
    try:
        return service.read(row)
    except BadKeyUrl:
        return None
