"""What comes into being with a resource, or is named below it, and has a key of its own: looked at with it, by its own
rule.
"""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.policy import Mode, Rule
from shared.domain.reasons import Reason
from shared.domain.resource import Address, BadAddress, Json, address_of
from shared.domain.service import Service
from shared.domain.work import Cause, CheckResource, Source
from shared.errors import AppError, NotThere
from shared.usecases.carry_out import Progressed
from shared.usecases.context import Context
from shared.usecases.fan_out import put_all

_SWEPT = {Source.TIMER}  # a sweep comes to each of them anyway


async def look_at_dependents(
    context: Context, service: Service, body: Json, item: CheckResource, progress: Progressed
) -> None:
    """Put an item for each resource of a known type that this one names, once in a handling. What Azure manages is left
    out.
    """
    first, progress.told_below = not progress.told_below, True
    if not first or not _asks(item):
        return
    found = [known for id_ in service.dependents(body) if (known := _known(context, id_)) is not None]
    if found and (_has_its_key_there(service, body) or await _begin_with_keys(context)):
        await _put(context, item, found)


async def look_at_those_named(
    context: Context, service: Service, body: Json, item: CheckResource, rule: Rule | None, progress: Progressed
) -> None:
    """Put an item for each resource of a known type that lists below this one name, such as a hub's connections, once
    in a handling. Only lists are read, which tell no secret; one that may not be read is told of.
    """
    first, progress.told_named = not progress.told_named, True
    naming = service.naming(body) if first and rule is not None and _asks(item) and not item.along else ()
    if not naming or not await _begin_with_keys(context):
        return
    found: dict[str, Address] = {}
    for one in naming:
        try:
            members = await context.ports.lists.members(service, item.address, one.path)
        except NotThere:
            continue
        except AppError as error:
            progress.unread = f"who its {one.path} name could not be read: {error.reason.value} {error.detail}"
            continue
        known = (_known(context, id_) for member in members for id_ in one.names(member))
        found |= {address.folded: address for address in known if address is not None}
    found.pop(item.address.folded, None)
    ours = await _in_our_subscriptions(context, item, list(found.values()))
    if (others := len(found) - len(ours)) and not progress.unread:
        progress.unread = f"its connections name resources of subscriptions that the app does not read: {others}"
    await _put(context, item, ours, along=True)


def _asks(item: CheckResource) -> bool:
    """Return whether an item asks for more than the resource itself: one that waits has done so before."""
    waits = item.waited is not None or item.going is not None
    return not waits and item.wish is None and item.cause.source not in _SWEPT


async def _in_our_subscriptions(context: Context, item: CheckResource, found: list[Address]) -> list[Address]:
    """Return those of the subscriptions that the app reads: whoever may write a connection may name any id in it."""
    here = item.address.arm.subscription.lower()
    if all(one.arm.subscription.lower() == here for one in found):
        return found
    ours = {here, *await context.ports.finder.group_chains()}
    return [one for one in found if one.arm.subscription.lower() in ours]


async def _put(context: Context, item: CheckResource, found: list[Address], *, along: bool = False) -> None:
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    ours = [address for address in found if address.group_id not in managed]
    await put_all(context, [CheckResource(one, _cause(item, one), now, now, along=along) for one in ours])


def _cause(item: CheckResource, address: Address) -> Cause:
    """Return the cause for one of them: who named a resource has named what lies below it, and nothing beside it."""
    below = address.folded.startswith(f"{item.address.folded}/")
    return item.cause if below else replace(item.cause, order=replace(item.cause.order, by_name=False))


def _has_its_key_there(service: Service, body: Json) -> bool:
    return service.traits_of(body).elsewhere is Reason.KEY_IS_BELOW


async def _begin_with_keys(context: Context) -> bool:
    return any(rule.encryption is Mode.FIX for rule in (await context.ports.policies.current()).rules)


def _known(context: Context, id_: str) -> Address | None:
    try:
        found = address_of(id_)
    except BadAddress:
        return None
    return found if context.service(found.type) is not None else None
