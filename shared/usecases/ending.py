"""Keys whose newest version ends: who uses them, and then one rotation or one report.

Its own chain of items beside the look at the key's users: each carries what the pages before it said, so that a
process that dies loses nothing, and what a page says twice is said by nobody else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.courtesy import Reference
from shared.domain.keys import BadKeyUrl, KeyHistory, KeyId
from shared.domain.life import (
    AtRisk,
    Ending,
    NearExpiry,
    RotationPolicy,
    Tally,
    ending,
    rotates_by_itself,
    why_not_rotated,
)
from shared.domain.policy import Rule
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Answered, Expanded, Outcome, Report, Stopped, Waiting
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.domain.windows import frozen_until
from shared.domain.work import MOST_PAGES, CheckKey, EndingKey, RotateKey, Sweep
from shared.errors import AppError, NotTaken, NotThere, Refusal, TryLater
from shared.usecases.context import Context
from shared.usecases.placing import rule_for
from shared.usecases.rotate import barred
from shared.usecases.waiting import step_for, waited_for

AFTER = timedelta(seconds=90)  # the look at the users lists what lies below them; what it finds is remembered so long
ONCE = timedelta(hours=23)  # a day, less what a sweep may come early
NEWS = frozenset({"microsoft.keyvault.keynearexpiry", "microsoft.keyvault.keyexpired"})


class _End(Struct, frozen=True):
    history: KeyHistory
    ending: Ending
    policy: RotationPolicy | None


async def look_at_the_end(context: Context, item: EndingKey) -> Report:
    """Count the users on one page of candidates; after the last one rotate the key, or tell who is at risk."""
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


async def put_if_it_ends(context: Context, item: CheckKey | Sweep, history: KeyHistory) -> None:
    """Put a look at the end of a key that was just read, once a day and instance.

    After an event whose key has an end in any case: the vault's own policy may call sooner what is soon.
    """
    now = context.ports.clock.now()
    told = item.cause.event_type.lower() in NEWS and any(one.expires for one in history.versions)
    if not told and ending(history, now) is None:
        return
    if context.recent.noted_since(f"end of {history.key.url}", now - ONCE):
        return
    await context.ports.queue.put(EndingKey(history.key, item.cause, now), visible_at=now + AFTER)
    context.recent.note(f"end of {history.key.url}", now)


async def put_those_that_end(context: Context, item: Sweep, keys: set[KeyId]) -> None:
    """Do so for the keys that a page of a sweep shows in use. What cannot be read is told by the looks at its users."""
    for key in sorted(keys):
        try:
            if await context.ports.vaults.by_host(key.host) is not None:
                history = await context.ports.keys.history(key, not_older_than=item.asked_at)
                await put_if_it_ends(context, item, history)
        except NotTaken:
            raise
        except AppError:
            continue


async def _outcome(context: Context, item: EndingKey) -> Outcome:
    found = await _end_of(context, item.key)
    if found is None:
        return Answered()
    page = await context.ports.finder.page(_types(context), item.cursor)
    tally = item.tally
    for row in page.rows:
        service = context.service(str(row.get("type")))
        if service is not None:
            tally = await _counted(context, item, tally, service, row)
    if page.cursor is not None:
        if item.page >= MOST_PAGES:  # who has not been counted may be against a rotation
            raise TryLater(Reason.SERVICE_UNAVAILABLE, "the index is a list without an end")
        await context.ports.queue.put(replace(item, cursor=page.cursor, tally=tally, waited=None, page=item.page + 1))
        return Expanded(len(page.rows), 1, more=True)
    return await _decided(context, item, found, tally)


async def _end_of(context: Context, key: KeyId) -> _End | None:
    """Return how the key ends, by what its vault says now; None if it does not, or the vault sees to it."""
    ports = context.ports
    if await ports.vaults.by_host(key.host) is None:
        raise Refusal(Reason.VAULT_NOT_KNOWN, key.host)
    try:
        history = await ports.keys.history(key, not_older_than=ports.clock.now())
        policy = await _policy(context, key)
    except NotThere:
        return None  # each of its users says so
    now = ports.clock.now()
    found = ending(history, now, policy.notifies_before if policy else None)
    version = history.find(found.version) if found else None
    if found is None or version is None or (policy and rotates_by_itself(policy, version, now)):
        return None
    return _End(history, found, policy)


async def _policy(context: Context, key: KeyId) -> RotationPolicy | None:
    try:
        return await context.ports.keys.rotation_policy(key)
    except Refusal:
        return None


def _types(context: Context) -> frozenset[str]:
    return frozenset(service.type.lower() for service in context.services.values() if service.in_graph)


async def _counted(context: Context, item: EndingKey, tally: Tally, service: Service, row: Json) -> Tally:
    """Count a resource and what is known to lie below it."""
    key = item.key
    address = Address(service.type, str(row["id"]))
    try:
        uses: tuple[KeyUse, ...] = service.read(row)
    except BadKeyUrl:
        uses = ()  # told by its own look
    if _is_used(key, uses):
        tally = await _with(context, item, tally, address, row)
    for what in service.children:
        known = context.recent.children(address, what.type, context.ports.clock.now())
        if known is None:
            tally = replace(tally, unseen=tally.unseen + 1)
        for child in known or ():
            if child.uses is not None and _is_used(key, child.uses):
                tally = await _with(context, item, tally, child.address, row)
    return tally


def _is_used(key: KeyId, uses: tuple[KeyUse, ...]) -> bool:
    return any(use.configured.key == key for use in uses)


async def _with(context: Context, item: EndingKey, tally: Tally, address: Address, body: Json) -> Tally:
    rule = await rule_for(context, address, body)
    bar = _bar(rule, item, address, context.ports.clock.now())
    name = rule.name if rule else ""
    return tally.counting(address.url, bar or f"rule {name!r}", rotate=not bar)


def _bar(rule: Rule | None, item: EndingKey, address: Address, now: datetime) -> str:
    """Return why a user's rule bars a rotation, in words; "" if it does not."""
    if rule is None:
        return f"no rule is meant for {address.url}"
    if rule.near_expiry is not NearExpiry.ROTATE:  # which no rule says of an imported key: the policy would be none
        return f"rule {rule.name!r} does not say nearExpiry: rotate"
    if rule.change is Reference.REQUIRED and not item.cause.order.change:
        return f"rule {rule.name!r} takes a change reference: POST rotate with one"
    if until := frozen_until(rule.freeze, now):  # followers would take the version up, whatever holds the others
        return f"rule {rule.name!r} is frozen until {until.isoformat()}"
    return ""


async def _decided(context: Context, item: EndingKey, found: _End, tally: Tally) -> Outcome:
    if not tally.users:
        return Answered()
    why_not = why_not_rotated(tally, found.history, found.policy)
    wish = RotateKey(item.key, item.cause, context.ports.clock.now(), if_latest_is=found.history.latest)
    if not why_not and (bar := await barred(context, wish)):  # else nobody would be told of who is at risk
        why_not = f"{bar.reason.value}, {bar.detail}"
    if not why_not:
        await context.ports.queue.put(wish)
        return Expanded(tally.users, 1, more=False)
    end = found.ending
    reason = Reason.EXPIRED if end.over else Reason.NEAR_EXPIRY
    ends = f"version {end.version} {'ended' if end.over else 'ends'} at {end.expires.isoformat()}"
    unseen = f"; {tally.unseen} collections below resources were not looked into" if tally.unseen else ""
    detail = f"{item.key.url}: {ends}; users: {tally.users}; {why_not}{unseen}"
    at_risk = AtRisk(end.version, end.expires, tally.users, tally.first, tally.unseen)
    return Stopped((Blocked(reason, detail=detail),), at_risk=at_risk)
