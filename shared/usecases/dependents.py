"""What comes into being with a resource and has a key of its own: looked at along with it, each by its own rule."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.policy import Mode
from shared.domain.reasons import Reason
from shared.domain.resource import Address, BadAddress, Json, address_of
from shared.domain.service import Service
from shared.domain.work import Cause, CheckResource, Source
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
    if (
        not first
        or item.waited is not None
        or item.going is not None
        or item.wish is not None
        or item.cause.source in _SWEPT
    ):
        return
    found = [known for id_ in service.dependents(body) if (known := _known(context, id_)) is not None]
    if not found or not (_has_its_key_there(service, body) or await _begin_with_keys(context)):
        return
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    ours = [address for address in found if address.group_id not in managed]
    await put_all(context, [CheckResource(address, _cause(item, address), now, now) for address in ours])


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
