"""Whether a resource that failed is tried again, by an app that has forgotten why it failed."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.plan import Facts, has_failed, stands_ready
from shared.domain.tries import WITHIN, tries_in
from shared.errors import AppError
from shared.usecases.context import Context
from shared.usecases.own_lines import own_lines


async def with_tries(context: Context, facts: Facts) -> Facts:
    """Return the facts with what the work has been waiting for, as the evidence tells it, where a change is due and
    only the resource's failure is in its way.

    A grant that has not spread fails a resource, and nothing but the next change ends that. Whoever waited may be lost,
    or held longer than the wait lasts. Where no evidence can be read, or not to its end, nobody knows how often it was
    tried: it is not.
    """
    if not has_failed(facts):
        return facts
    try:
        page = await own_lines(context, facts.address, facts.now - WITHIN)
    except AppError:
        return facts
    if page.cursor is not None:
        return facts
    found = tries_in(page.lines, facts.address.folded).waited(facts.now, in_order=stands_ready(facts))
    return facts if found is None else replace(facts, waited=found)
