"""Giving a resource an identity beside those that it has."""

from __future__ import annotations

from shared.domain.identity import with_identity
from shared.domain.plan import Facts, Ground
from shared.domain.preparation import AssignIdentity
from shared.domain.resource import Request
from shared.ports import Reply
from shared.usecases.context import Context


async def assign_identity(context: Context, facts: Facts, step: AssignIdentity) -> Reply:
    """Send the identities that were read, and one more; nothing else of the resource, or of the one above it."""
    address, body, api_version = facts.address, facts.body, facts.service.api_version
    if step.above and isinstance(facts.ground, Ground) and facts.ground.above is not None:
        above = facts.ground.above
        address, body, api_version = above.address, above.body, above.api_version
    request = Request("PATCH", address, api_version, {"identity": with_identity(body, step.identity)})
    return await context.ports.resources.send(request)
