"""One message off the queue: decode it, do it. And what to say of a message that failed for good."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Report, Stopped
from shared.domain.resource import Address
from shared.domain.work import (
    AuditVault,
    BadWorkItem,
    CheckChildren,
    CheckNamed,
    CheckResource,
    EndingKey,
    RevokeAccess,
    RotateKey,
    WorkItem,
    decode,
    revived,
)
from shared.errors import AppError
from shared.ports import change_reference, correlation
from shared.usecases.audit_vault import audit_vault
from shared.usecases.check_children import check_children
from shared.usecases.check_named import check_named
from shared.usecases.check_resource import check_resource
from shared.usecases.context import Context
from shared.usecases.ending import look_at_the_end
from shared.usecases.expand import expand
from shared.usecases.revoke import revoke
from shared.usecases.rotate import rotate

DOES: Mapping[type[Any], Callable[[Context, Any], Awaitable[Report]]] = {  # the rest are expansions
    CheckResource: check_resource,
    CheckChildren: check_children,
    CheckNamed: check_named,
    RotateKey: rotate,
    EndingKey: look_at_the_end,
    RevokeAccess: revoke,
    AuditVault: audit_vault,
}
PUT_BACK_AFTER = timedelta(minutes=1)
_LOG = logging.getLogger("cmk")


async def handle(context: Context, message: str) -> Report:
    """Do what a message asks for. Raises BadWorkItem for what is no work item: the host then keeps it as poison."""
    item = decode(message)
    if context.recent.is_set_back(context.ports.clock.now()):
        context.pacer.forget()
    token, reference = correlation.set(item.cause.id), change_reference.set(item.cause.order.change)
    try:
        return await DOES.get(type(item), expand)(context, item)
    finally:
        change_reference.reset(reference)
        correlation.reset(token)


async def report_poison(context: Context, message: str) -> Report:
    """Report a message that failed as often as the host allows, and put back once what stands for many resources: five
    deaths of the app's process in a row poison healthy messages too. Never raises: nothing comes after this.
    """
    now = context.ports.clock.now()
    item: WorkItem | None = None
    try:
        item = found = decode(message)
        detail = f"handled in vain as often as the host allows{await _put_back(context, found)}"
    except BadWorkItem as error:
        detail = f"{error}; the message began with {message[:200]!r}"
    address = item.address if isinstance(item, CheckResource | CheckNamed | RevokeAccess) else _parent(item)
    token = correlation.set(item.cause.id if item else "")
    report = Report(now, item, Stopped((Blocked(Reason.POISONED, detail=detail),)), address)
    try:
        await context.ports.journal.append(report)
    except Exception:  # noqa: BLE001  whatever happens, the message must not go round again
        _LOG.exception("the report of a poisoned message could not be written: %s", detail)
    correlation.reset(token)
    return report


async def _put_back(context: Context, item: WorkItem) -> str:
    """Put a poisoned item back if that has not been done before, and say so."""
    again = revived(item)
    if again is None:
        return ""
    try:
        await context.ports.queue.put(again, visible_at=context.ports.clock.now() + PUT_BACK_AFTER)
    except AppError as error:
        return f"; it could not be put back: {error.reason.value}"
    return "; it is put back once"


def _parent(item: WorkItem | None) -> Address | None:
    return item.parent if isinstance(item, CheckChildren) else None
