"""Comparing one vault with what the policy expects of it, a page of its keys at a time. Reads only, and reports."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from shared.domain.policy import VaultRule, decide
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Answered, Gone, Outcome, Report, Stopped, Waiting
from shared.domain.resource import Address, Json, address_of, fold
from shared.domain.vault_audit import (
    Audited,
    asks_for_bodies,
    is_enabled,
    key_findings,
    setting_findings,
    vault_findings,
)
from shared.domain.vault_rules import KeysExpected
from shared.domain.work import AuditVault, CheckVault, Sweep
from shared.errors import AppError, NotTaken, Refusal
from shared.ports import VaultSite
from shared.usecases.context import Context
from shared.usecases.placing import site_with_groups
from shared.usecases.recent import SKEW
from shared.usecases.sweeping import slice_of
from shared.usecases.waiting import step_for, waited_for

MOST_KEYS = 100  # looked at by one invocation
AT_ONCE = 8


async def audit_vault(context: Context, item: AuditVault) -> Report:
    """Compare a page and put the next one; report what is not as expected, and what could not be read."""
    ports = context.ports
    address: Address | None = None
    try:
        site = await _site(context, item)
        address = None if site is None else address_of(site.id)
        outcome = await _outcome(context, item, address)
    except NotTaken:
        raise
    except AppError as error:
        step = step_for(error, item.waited, ports.clock.now())
        outcome = Waiting(step) if isinstance(step, Wait) else Stopped((step,))
        if isinstance(step, Wait):
            await ports.queue.put(replace(item, waited=waited_for(step)), visible_at=step.again_at)
    report = Report(ports.clock.now(), item, outcome, address)
    await ports.journal.append(report)
    return report


async def _site(context: Context, item: AuditVault) -> VaultSite | None:
    """Return the vault if the inventory knows it: what only the settings name cannot be read through ARM."""
    vaults = context.ports.vaults
    if item.vault_id:
        site = await vaults.by_id(item.vault_id)
        return site if site is not None and site.id else None
    known = await vaults.by_host(item.host)
    id_ = "" if known is None else known.id or await vaults.id_of(item.host)
    return VaultSite(item.host, id_) if id_ else None


async def _outcome(context: Context, item: AuditVault, address: Address | None) -> Outcome:
    if address is None:
        return Stopped((Blocked(Reason.VAULT_NOT_KNOWN, detail=item.host or item.vault_id),))
    first = not item.cursor and not item.skip
    if first and context.recent.noted_since(_done(address), item.asked_at + SKEW):
        return Answered()
    began = context.ports.clock.now()
    body = await context.ports.vault_facts.body(address.url)
    if body is None:
        return Gone()
    found, following = await _compared(context, item, address, body)
    if following is not None:
        await context.ports.queue.put(following)
    if first:
        context.recent.note(_done(address), began)
    return found


def _done(vault: Address) -> str:
    return f"{vault.folded} audit"


async def _compared(
    context: Context, item: AuditVault, address: Address, body: Json
) -> tuple[Audited, AuditVault | None]:
    policy = await context.ports.policies.current()
    rule = decide(policy.vaults, await site_with_groups(context, policy, address, body))
    if rule is None:
        return Audited(), None
    findings: list[Blocked] = []
    if not item.cursor and not item.skip:
        findings += vault_findings(body, rule.expect)
        findings += await _settings(context, address, rule)
    looked, found, following = await _keys(context, item, address, rule.expect.keys)
    return Audited(rule.name, (*findings, *found), looked, more=following is not None), following


async def _settings(context: Context, address: Address, rule: VaultRule) -> tuple[Blocked, ...]:
    if not rule.expect.audit_events:
        return ()
    try:
        return setting_findings(await context.ports.vault_facts.settings(address.url), rule.expect)
    except Refusal as refusal:
        return (_unread(refusal, "its diagnostic settings"),)


async def _keys(
    context: Context, item: AuditVault, address: Address, expect: KeysExpected
) -> tuple[int, list[Blocked], AuditVault | None]:
    """Return how many keys were looked at, what is not as expected of them, and the item for the rest."""
    if expect == KeysExpected():
        return 0, [], None
    try:
        page = await context.ports.vault_facts.keys(address.url, item.cursor)
        mine = page.keys[item.skip : item.skip + MOST_KEYS]
        enabled = [key for key in mine if is_enabled(key)]
        found: list[Blocked] = []
        for start in range(0, len(enabled), AT_ONCE):
            chunk = enabled[start : start + AT_ONCE]
            told = await asyncio.gather(*(_key(context, address, key, expect) for key in chunk))
            found += [one for each in told for one in each]
    except Refusal as refusal:
        return 0, [_unread(refusal, "its keys")], None
    if item.skip + MOST_KEYS < len(page.keys):
        return len(enabled), found, replace(item, skip=item.skip + MOST_KEYS, waited=None)
    if page.following:
        return len(enabled), found, replace(item, cursor=page.following, skip=0, waited=None)
    return len(enabled), found, None


async def _key(context: Context, address: Address, listed: Json, expect: KeysExpected) -> tuple[Blocked, ...]:
    body: Json | None = listed
    if asks_for_bodies(expect):
        body = await context.ports.vault_facts.key(address.url, str(listed.get("name")))
    return () if body is None else key_findings(body, expect)  # gone since it was listed


def _unread(refusal: Refusal, what: str) -> Blocked:
    return Blocked(refusal.reason, detail=f"{what} could not be read: {refusal.detail}")


async def audits_for(context: Context, item: Sweep | CheckVault, host: str = "") -> list[AuditVault]:
    """Return the audits that come with a sweep (each vault once a day, in its quarter) or with a look at a vault."""
    if item.cursor is not None or not (await context.ports.policies.current()).vaults:
        return []
    vaults, now = context.ports.vaults, context.ports.clock.now()
    if isinstance(item, CheckVault):
        id_ = await vaults.id_of(host) if not item.within else ""  # what went above it changed nothing of the vault
        return [AuditVault(item.cause, item.asked_at, vault_id=id_)] if id_ else []
    known = {fold(site.id): site.id for site in await vaults.found()}
    wanted = [id_ for id_ in known.values() if item.slice is None or slice_of(address_of(id_)) == item.slice]
    return [AuditVault(item.cause, now, vault_id=id_) for id_ in sorted(wanted)]


async def audited(context: Context, item: AuditVault) -> Audited:
    """Return what an audit finds in its first page; nothing is put or reported. Raises AppError."""
    site = await _site(context, item)
    address = None if site is None else address_of(site.id)
    body = None if address is None else await context.ports.vault_facts.body(address.url)
    if address is None or body is None:
        raise Refusal(Reason.VAULT_NOT_KNOWN, item.host or item.vault_id)
    return (await _compared(context, item, address, body))[0]
