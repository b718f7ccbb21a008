"""What a look at a key, a vault or everything would do, resource by resource. Reads only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from shared.domain.plan import Action
from shared.domain.policy import Mode
from shared.domain.reasons import Wait
from shared.domain.resource import Address, Json, KeyUse, fold
from shared.domain.service import Service
from shared.domain.work import CheckResource, CheckVault, Expansion, Sweep
from shared.errors import AppError, NotThere, Refusal
from shared.usecases.candidates import Scope
from shared.usecases.context import Context
from shared.usecases.expand import scope_for, types_of
from shared.usecases.observe import read_uses
from shared.usecases.preview import preview
from shared.usecases.unencrypted import wanted_for

MOST = 200  # resources planned, and collections listed: an HTTP caller is cut off after 230 seconds
MOST_THROUGH = 20_000  # noted while the index is looked through; those that are not concerned are dropped
AT_ONCE = 8
OUTCOMES = ("changed", "waits", "stopped", "inOrder", "gone", "failed")


async def plan_for(context: Context, item: Expansion) -> dict[str, Any]:
    """Return the plan of each resource concerned, at most MOST of them, and whether there are more. Raises AppError."""
    scope = await scope_for(context, item)
    if not isinstance(scope, Scope):
        return {"resources": [], "truncated": False, "blocked": scope.blocked}
    found: list[Address] = []
    through: list[tuple[str, tuple[str, ...]]] = []
    truncated = False
    told_only: list[Address] = []
    async for address in _concerned(context, scope, through, told_only if isinstance(item, Sweep) else None):
        if address is None or len(found) == MOST:
            truncated = True
            break
        found.append(address)
    planned: list[dict[str, Any]] = []
    for start in range(0, len(found), AT_ONCE):
        planned += await asyncio.gather(*(_plan(context, item, one) for one in found[start : start + AT_ONCE]))
    counts = Counter(_outcome(one) for one in planned)
    told: dict[str, Any] = {"resources": planned, "truncated": truncated}
    if isinstance(item, Sweep):
        return {**told, "counts": {**dict.fromkeys(OUTCOMES, 0), **counts, "reported": len(told_only)}}
    return {**told, "counts": {**dict.fromkeys(OUTCOMES, 0), **counts}, "through": _users_of(found, through)}


def _outcome(planned: dict[str, Any]) -> str:
    """Return what comes of a resource, in one word: what is done, waited for or in its way, the first of these."""
    if "error" in planned:
        return "failed"
    if not planned["exists"]:
        return "gone"
    steps = planned["steps"]
    if any(isinstance(step, Action) for step in steps):
        return "changed"
    return "inOrder" if not steps else "waits" if any(isinstance(step, Wait) for step in steps) else "stopped"


def _users_of(found: list[Address], through: list[tuple[str, tuple[str, ...]]]) -> list[dict[str, str]]:
    """Return who uses the keys of the resources concerned, such as the disks of an encryption set."""
    concerned = {address.folded for address in found}
    return [{"id": id_, "uses": one} for id_, others in through for one in others if fold(one) in concerned]


async def _plan(context: Context, item: Expansion, address: Address) -> dict[str, Any]:
    now = context.ports.clock.now()
    try:
        look = CheckResource(address, item.cause, now, now, reach=isinstance(item, CheckVault))
        steps = await preview(context, look)
    except AppError as error:
        return {"id": address.url, "error": error.reason.value, "detail": error.detail}
    return {"id": address.url, "exists": steps is not None, "steps": steps or ()}


async def _concerned(
    context: Context, scope: Scope, through: list[tuple[str, tuple[str, ...]]], told_only: list[Address] | None
) -> AsyncIterator[Address | None]:
    """Yield the resources concerned; None when too many collections would have to be listed. Notes in `through` who
    uses the key of others, up to MOST_THROUGH. With `told_only` it looks at those on the platform's key too, and notes
    there those of which the rule says that it is only reported.
    """
    types = types_of(context, counted=True)
    lists, cursor = 0, None
    while True:
        page = await context.ports.finder.page(types, cursor)
        for row in page.rows:
            service = context.service(str(row.get("type")))
            if service is None:
                continue
            address = Address(service.type, str(row["id"]))
            if (others := service.through(row)) and len(through) < MOST_THROUGH:
                through.append((address.url, others))
            if _concerns(scope, service, row) or await _wants_key(context, service, address, row, told_only):
                yield address
            lists += len(service.children)
            if lists > MOST:
                yield None
            async for child in _children(context, scope, service, address, told_only):
                yield child
        if page.cursor is None:
            return
        cursor = page.cursor


async def _wants_key(
    context: Context, service: Service, address: Address, row: Json, told_only: list[Address] | None
) -> bool:
    if told_only is None:
        return False
    try:
        uses = read_uses(service, row)
    except Refusal:
        return False
    wanted = await wanted_for(context, service, address, row, uses)
    if wanted is Mode.REPORT:
        told_only.append(address)
    return wanted is Mode.FIX


async def _children(
    context: Context, scope: Scope, service: Service, parent: Address, told_only: list[Address] | None
) -> AsyncIterator[Address]:
    for what in service.children:
        child = context.service(what.type)
        if child is None:
            continue
        try:
            async for body in context.ports.resources.children(parent, what, child):
                address = Address(child.type, str(body["id"]))
                if _concerns(scope, child, body) or await _wants_key(context, child, address, body, told_only):
                    yield address
        except NotThere:
            continue  # gone since the index saw it


def _concerns(scope: Scope, service: Service, body: dict[str, Any]) -> bool:
    try:
        uses: tuple[KeyUse, ...] = read_uses(service, body)
    except Refusal:
        return True  # its plan says why it cannot be read
    return scope.concerns(uses)
