"""What comes into being with a resource, or is named below it, and has a key of its own: looked at with it, by its own
rule.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from shared.domain.policy import Mode, Rule
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json
from shared.domain.service import Service
from shared.domain.work import Cause, CheckNamed, CheckResource, NamedPlace, Source
from shared.errors import Refusal
from shared.usecases.carry_out import Progressed
from shared.usecases.context import Context
from shared.usecases.fan_out import put_all
from shared.usecases.named import known_address, slice_of

_SWEPT = {Source.TIMER}  # a sweep comes to each of them anyway


async def look_at_dependents(
    context: Context, service: Service, body: Json, item: CheckResource, progress: Progressed
) -> None:
    """Put an item for each resource of a known type that this one names, once in a handling. What Azure manages is left
    out, and so is what a resource that was itself named by another one names beside itself: any body may name any id,
    its own too.
    """
    if progress.told_below:
        return
    found = dependents_of(context, service, item.address, body) if _asks(item) else []
    if item.along:
        found = [one for one in found if _below(item, one)]
    if found and (has_its_key_there(service, body) or await begin_with_keys(context)):
        await _put(context, item, found)
    progress.told_below = True  # last: who fails before that asks again when it comes back


def dependents_of(context: Context, service: Service, address: Address, body: Json) -> list[Address]:
    """Return the resources of known types that a body names as what comes into being with it."""
    known = (known_address(context, id_) for id_ in service.dependents(body))
    found = {one.folded: one for one in known if one is not None}
    found.pop(address.folded, None)
    return list(found.values())


async def look_at_those_named(
    context: Context, service: Service, body: Json, item: CheckResource, rule: Rule | None, progress: Progressed
) -> None:
    """Put an item for each resource of a known type that lists below this one name, such as a hub's connections, once
    in a handling: the first of them here, the rest a slice at a time. One that may not be read is told of.
    """
    if progress.told_named:
        return
    naming = service.naming(body) if rule is not None and _asks(item) and not item.along else ()
    if naming and await begin_with_keys(context):
        found = await slice_of(context, service, item.address, body, NamedPlace())
        _, elsewhere = await put_those_named(context, item, found.found)
        progress.unread = "; ".join(filter(None, (_told(found.unread), elsewhere)))
        if found.following is not None:
            now = context.ports.clock.now()
            await context.ports.queue.put(CheckNamed(item.address, item.cause, now, now, found.following))
    progress.told_named = True


async def put_those_named(
    context: Context, item: CheckResource | CheckNamed, found: Iterable[Address]
) -> tuple[int, str]:
    """Put an item for each that lies in a subscription that the app reads. Returns how many, and what to tell of the
    others.
    """
    all_ = list(found)
    ours = await _in_our_subscriptions(context, item.address, all_)
    put = await _put(context, item, ours)
    others = len(all_) - len(ours)
    told = f"its connections name resources of subscriptions that the app does not read: {others}" if others else ""
    return put, told


def _told(unread: Refusal | None) -> str:
    return "" if unread is None else f"{unread.reason.value}: {unread.detail}"


def _asks(item: CheckResource) -> bool:
    """Return whether an item asks for more than the resource itself, and has not done so before it had to wait."""
    return not item.brought and item.wish is None and item.cause.source not in _SWEPT


async def _in_our_subscriptions(context: Context, address: Address, found: list[Address]) -> list[Address]:
    """Return those of the subscriptions that the app reads: whoever may write a connection may name any id in it."""
    here = address.arm.subscription.lower()
    if all(one.arm.subscription.lower() == here for one in found):
        return found
    ours = {here, *await context.ports.finder.group_chains()}
    return [one for one in found if one.arm.subscription.lower() in ours]


async def _put(context: Context, item: CheckResource | CheckNamed, found: list[Address]) -> int:
    now = context.ports.clock.now()
    ours = await unmanaged(context, found)
    await put_all(context, [CheckResource(one, along_with(item, one), now, now, along=True) for one in ours])
    return len(ours)


async def those_to_look_at(context: Context, address: Address, found: list[Address]) -> list[Address]:
    """Return those that lie in subscriptions that the app reads, and that Azure does not manage."""
    return await unmanaged(context, await _in_our_subscriptions(context, address, found))


async def unmanaged(context: Context, found: list[Address]) -> list[Address]:
    """Return those that do not lie in a resource group that Azure manages."""
    managed = await context.ports.finder.managed_groups()
    return [address for address in found if address.group_id not in managed]


def _below(item: CheckResource | CheckNamed, address: Address) -> bool:
    return address.folded.startswith(f"{item.address.folded}/")


def along_with(item: CheckResource | CheckNamed, address: Address) -> Cause:
    """Return the cause for one of them: who named a resource has named what lies below it, and nothing beside it."""
    below = _below(item, address)
    return item.cause if below else replace(item.cause, order=replace(item.cause.order, by_name=False))


def has_its_key_there(service: Service, body: Json) -> bool:
    """Return whether what comes into being with a resource holds its key."""
    return service.traits_of(body).elsewhere is Reason.KEY_IS_BELOW


async def begin_with_keys(context: Context) -> bool:
    """Return whether any rule lets resources begin with keys."""
    return any(rule.encryption is Mode.FIX for rule in (await context.ports.policies.current()).rules)
