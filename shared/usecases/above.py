"""The resource at the top, for what lies below it: its tags, its rule and its identities count for the child too."""

from __future__ import annotations

from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json
from shared.domain.service import Service
from shared.errors import Refusal, TryLater
from shared.usecases.context import Context


async def read_top(context: Context, address: Address) -> tuple[Service, Json]:
    """Return the service and the body of the resource at the top of a child. Raises AppError.

    Nothing is decided about a child without it: a rule that is meant for it must not be passed over.
    """
    top = address.top
    service = context.service(top.type)
    if service is None:
        raise Refusal(Reason.UNSUPPORTED_TYPE, top.url)
    body = await context.ports.resources.get(service, top)
    if body is None:
        raise TryLater(Reason.CONFLICT, f"{top.url} is not there, and what lies below it is")
    return service, body
