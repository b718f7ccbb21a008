"""One message off the queue: decode it, do it. And what to say of a message that failed for good."""

from __future__ import annotations

import logging

from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Report, Stopped
from shared.domain.resource import Address
from shared.domain.work import (
    BadWorkItem,
    CheckChildren,
    CheckResource,
    RotateKey,
    WorkItem,
    decode,
)
from shared.ports import correlation
from shared.usecases.check_children import check_children
from shared.usecases.check_resource import check_resource
from shared.usecases.context import Context
from shared.usecases.expand import expand
from shared.usecases.rotate import rotate

_LOG = logging.getLogger("cmk")


async def handle(context: Context, message: str) -> Report:
    """Do what a message asks for. Raises BadWorkItem for what is no work item: the host then keeps it as poison."""
    item = decode(message)
    token = correlation.set(item.cause.id)
    try:
        return await _do(context, item)
    finally:
        correlation.reset(token)


async def _do(context: Context, item: WorkItem) -> Report:
    if isinstance(item, CheckResource):
        return await check_resource(context, item)
    if isinstance(item, CheckChildren):
        return await check_children(context, item)
    if isinstance(item, RotateKey):
        return await rotate(context, item)
    return await expand(context, item)


async def report_poison(context: Context, message: str) -> Report:
    """Report a message that failed as often as the host allows. Never raises: nothing comes after this."""
    now = context.ports.clock.now()
    try:
        item: WorkItem | None = decode(message)
        detail = "handled in vain as often as the host allows"
    except BadWorkItem as error:
        item = None
        detail = f"{error}; the message began with {message[:200]!r}"
    address = item.address if isinstance(item, CheckResource) else _parent(item)
    token = correlation.set(item.cause.id if item else "")
    report = Report(now, item, Stopped((Blocked(Reason.POISONED, detail=detail),)), address)
    try:
        await context.ports.journal.append(report)
    except Exception:  # noqa: BLE001  whatever happens, the message must not go round again
        _LOG.exception("the report of a poisoned message could not be written: %s", detail)
    correlation.reset(token)
    return report


def _parent(item: WorkItem | None) -> Address | None:
    return item.parent if isinstance(item, CheckChildren) else None
