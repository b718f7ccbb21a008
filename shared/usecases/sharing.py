"""Which other resources reach their keys by the same identity: they lose them with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyId
from shared.domain.life import AccessLost
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json, fold
from shared.domain.revocation import Hold, Other, keys_lost
from shared.domain.service import Service
from shared.errors import NotThere, Refusal
from shared.usecases.context import Context
from shared.usecases.placing import rule_for

MOST = 100  # resources of one identity; below each of them may lie collections to be listed


async def sharing(context: Context, address: Address, top: Json, holds: tuple[Hold, ...]) -> tuple[Other, ...]:
    """Return who else loses a key when these holds are taken away: what lies beside the resource under the same `top`,
    and, for a user-assigned identity, the resources that have it too. Raises AppError.

    The index tells who has an identity, and may be minutes behind.
    """
    tops = {fold(str(top["id"])): top}
    for identity in dict.fromkeys(one.identity for one in holds if one.identity):
        tops |= {fold(str(row["id"])): row for row in await context.ports.finder.with_identity(identity)}
    if len(tops) > MOST:
        raise Refusal(Reason.OTHERS_AFFECTED, f"{len(tops)} resources have the identity; {MOST} can be looked at")
    found: dict[str, Other] = {}
    for folded, body in tops.items():
        mine = holds if folded == fold(str(top["id"])) else tuple(one for one in holds if one.identity)
        async for other in _losing(context, body, mine):
            found[fold(other.resource)] = other
    found.pop(address.folded, None)
    return tuple(found[name] for name in sorted(found))


async def _losing(context: Context, body: Json, holds: tuple[Hold, ...]) -> AsyncIterator[Other]:
    address = Address(str(body["type"]), str(body["id"]))
    service = context.service(address.type)
    if service is None:  # of a type that the app does not know: a machine may use keys by its identity, too
        yield Other(address.url)
        return
    if (own := _lost(service, body, address, holds)) is not None:
        yield await _with_its_rule(context, own, address, body)
    for what in service.children:
        child = context.service(what.type)
        if child is None:
            continue
        try:
            async for one in context.ports.resources.children(address, what, child):
                below = Address(child.type, str(one["id"]))
                if (lost := _lost(child, one, below, holds)) is not None:
                    yield await _with_its_rule(context, lost, below, one)
        except NotThere:
            continue  # gone since the index saw it


async def _with_its_rule(context: Context, lost: Other, address: Address, body: Json) -> Other:
    rule = await rule_for(context, address, body)
    restored = rule is not None and rule.access_lost is AccessLost.RESTORE
    return replace(lost, restored_by=rule.name) if rule is not None and restored else lost


def _lost(service: Service, body: Json, address: Address, holds: tuple[Hold, ...]) -> Other | None:
    """Return the resource with the keys that it loses, None if it loses none."""
    try:
        uses = service.read(body)
    except BadKeyUrl:
        return Other(address.url)
    keys = dict.fromkeys(use.configured.key for use in uses if any(_loses(use.configured.key, one) for one in holds))
    return Other(address.url, tuple(key.url for key in keys)) if keys else None


def _loses(key: KeyId, hold: Hold) -> bool:
    lost = keys_lost(hold)
    return key.host == hold.vault.host and (lost is None or key.name in lost)
