"""What a look at one resource would do. Reads only."""

from __future__ import annotations

from shared.domain.plan import Step, ignored
from shared.domain.reasons import Blocked, Reason
from shared.domain.work import CheckResource
from shared.usecases.context import Context
from shared.usecases.courtesy import plan_with_courtesy
from shared.usecases.observe import Wanted, fresh_enough, gather, see
from shared.usecases.placing import rule_for
from shared.usecases.trying_again import with_tries


async def preview(context: Context, item: CheckResource) -> tuple[Step, ...] | None:
    """Return the plan for a resource without carrying it out; None when there is no such resource. Raises AppError."""
    service = context.service(item.address.type)
    if service is None:
        return (Blocked(Reason.UNSUPPORTED_TYPE, detail=item.address.type),)
    seen = await see(context, service, item.address)
    if seen is None:
        return None
    rule = await rule_for(context, item.address, seen.body)
    if rule is not None and item.wish is None and ignored(service, seen.body, rule):
        return ()
    now = fresh_enough(context)
    asked = Wanted(rule, item.wish, item.waited, item.cause.order, item.asked_at if item.reach else None)
    facts = await with_tries(context, await gather(context, service, item.address, seen, asked, keys_as_of=now))
    return await plan_with_courtesy(context, facts, item)
