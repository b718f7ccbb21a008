"""Giving a resource an identity beside those that it has."""

from __future__ import annotations

from shared.domain.identity import with_identity
from shared.domain.plan import Facts
from shared.domain.preparation import AssignIdentity
from shared.domain.resource import Request
from shared.ports import Reply
from shared.usecases.context import Context


async def assign_identity(context: Context, facts: Facts, step: AssignIdentity) -> Reply:
    """Send the identities that were read, and one more; nothing else of the resource."""
    body = {"identity": with_identity(facts.body, step.identity)}
    request = Request("PATCH", facts.address, facts.service.api_version, body)
    return await context.ports.resources.send(request)
