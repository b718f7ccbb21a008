"""By which of its identities a resource reaches a key, and whether that one is still there."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from shared.domain.acting import Acting
from shared.domain.identity import has_assigned, has_no_identity, identities_named, left_behind
from shared.domain.resource import Address, BadAddress, Json, KeyUse, fold, parse_arm_id
from shared.errors import Refusal
from shared.usecases.above import read_top
from shared.usecases.context import Context


async def identities_of(
    context: Context, acts: Acting, address: Address, body: Json, chosen: str | None
) -> tuple[Json, tuple[str, ...]]:
    """Return whose identities reach a key, and which of them ("": the system-assigned one), as far as that is told.
    `chosen`: the one that it shall be, or that is named for this key alone. Raises AppError.
    """
    owner, identities = body, acts.told(body)
    if acts.above is not None:  # what lies below another resource has the identities of that one
        _, owner = await read_top(context, address)
        identities = identities_named(body, owner) or (acts.above(owner),)
    return owner, identities if chosen is None else (chosen,)


async def gone_by(context: Context, acts: Acting, address: Address, body: Json, use: KeyUse, as_of: datetime) -> str:
    """Return in words that the identity by which a key was reached is there no more; "" where one is, or where nobody
    can tell. The roles of one that was deleted stay, so they say nothing. Raises AppError.
    """
    if acts.application or acts.shown is not None:
        return ""
    owner, identities = await identities_of(context, acts, address, body, use.identity)
    if has_no_identity(owner):
        return "the resource has no identity any more" if acts.own or acts.above is not None else ""
    if use.identity is None and acts.above is None and (left := left_behind(body)):
        identities = (left,)
    found = [await _gone(context, owner, one, as_of) for one in identities]
    return found[0] if found and all(found) else ""


async def _gone(context: Context, owner: Json, identity: str, as_of: datetime) -> str:
    if not identity:
        return ""
    if not has_assigned(owner, identity):
        return f"the resource does not have the identity {identity} any more"
    return "" if await _is_there(context, identity, as_of) else f"the identity {identity} is not there any more"


async def _is_there(context: Context, identity: str, as_of: datetime) -> bool:
    """Return whether a user-assigned identity is there; also where the app cannot tell."""
    what, now = f"identity {fold(identity)}", context.ports.clock.now()
    known = context.recent.seen(what, as_of)
    if isinstance(known, bool):
        return known
    there = True
    with suppress(Refusal, BadAddress):
        if parse_arm_id(identity).subscription.lower() in await context.ports.finder.group_chains():
            there = await context.ports.grants.principal(identity) is not None
    context.recent.note_seen(what, there, now)
    return there
