"""What a look at one resource would do to those that are looked at along with it, such as what a hub connects to."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from shared.domain.resource import Address
from shared.domain.work import CheckResource, NamedPlace
from shared.errors import AppError
from shared.usecases.context import Context
from shared.usecases.dependents import (
    along_with,
    begin_with_keys,
    dependents_of,
    has_its_key_there,
    those_to_look_at,
    unmanaged,
)
from shared.usecases.named import slice_of
from shared.usecases.observe import see
from shared.usecases.placing import rule_for
from shared.usecases.preview import preview

MOST = 200  # resources planned: an HTTP caller is cut off after 230 seconds
AT_ONCE = 8


async def plan_along(context: Context, item: CheckResource) -> dict[str, Any]:
    """Return the plan of each resource that is looked at along with this one, at most MOST of them, and whether there
    are more; {} where a look leads to no other. Raises AppError.
    """
    service = context.service(item.address.type)
    seen = await see(context, service, item.address) if service is not None and item.wish is None else None
    if service is None or seen is None:
        return {}
    found: dict[str, Address] = {}
    stands_on: dict[str, Address] = {}
    begins, truncated, unread = await begin_with_keys(context), False, ""
    if begins or has_its_key_there(service, seen.body):
        stands_on = {one.folded: one for one in dependents_of(context, service, item.address, seen.body)}
    place: NamedPlace | None = NamedPlace() if begins and service.naming(seen.body) else None
    if place is not None and await rule_for(context, item.address, seen.body) is None:
        place = None
    while place is not None and len(found) <= MOST:
        some = await slice_of(context, service, item.address, seen.body, place)
        if some.error is not None:
            raise some.error
        found |= {one.folded: one for one in some.found}
        unread = unread or (some.unread.detail if some.unread is not None else "")
        truncated, place = some.following is not None, some.following
    beside = [one for id_, one in found.items() if id_ not in stands_on]
    ours = await those_to_look_at(context, item.address, beside)
    ours = [*await unmanaged(context, list(stands_on.values())), *ours]
    planned: list[dict[str, Any]] = []
    for start in range(0, min(len(ours), MOST), AT_ONCE):
        planned += await asyncio.gather(
            *(_plan(context, item, one) for one in ours[start : min(start + AT_ONCE, MOST)])
        )
    if not planned and not unread:
        return {}
    return {"along": planned, "truncated": truncated or len(ours) > MOST} | ({"unread": unread} if unread else {})


async def _plan(context: Context, item: CheckResource, address: Address) -> dict[str, Any]:
    now = context.ports.clock.now()
    look = CheckResource(address, along_with(item, address), now, now, along=True)
    try:
        steps = await preview(context, replace(look, reach=item.reach))
    except AppError as error:
        return {"id": address.url, "error": error.reason.value, "detail": error.detail}
    return {"id": address.url, "exists": steps is not None, "steps": steps or ()}
