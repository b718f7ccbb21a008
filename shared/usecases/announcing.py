"""Putting down what is about to be written, before it is: whoever writes may die before it can tell."""

from __future__ import annotations

import uuid

from msgspec.structs import replace

from shared.domain.evidence import worth_keeping
from shared.domain.keys import KeyId
from shared.domain.plan import Action, Facts, SetKeys
from shared.domain.preparation import place_of
from shared.domain.reasons import Blocked, Wait
from shared.domain.report import Begun, Converged, Gone, LeftAlone, Report
from shared.domain.work import CheckResource, RotateKey
from shared.usecases.context import Context
from shared.usecases.not_now import switched_off
from shared.usecases.outcomes import in_use

_IDS = uuid.UUID("5c7ed7f6-1f0b-5d3c-8a55-6a0c4f1f7b02")  # any will do, as long as it stays the same
_ENDS = Converged | Gone | LeftAlone  # nothing is left to do: what was put down and not sent is told of, too


async def announce(context: Context, item: CheckResource, facts: Facts, step: Action) -> Wait | Blocked | None:
    """Put a step down, once until this instance has told what came of it: one that is tried again is still the same.
    Returns why it has to wait where writing was switched off meanwhile.
    """
    now = context.ports.clock.now()
    id_ = _id(item, f"{item.address.folded} {step!r} {now.isoformat()}")
    if not context.recent.begins(item.address, repr(step), id_):
        return None
    if isinstance(step, SetKeys):
        begun = Begun(id_, item.address.url, changes=step.changes, uses=in_use(facts.uses))
    else:
        begun = Begun(id_, place_of(step, item.address.url), step)
    await context.ports.journal.append(Report(now, item, begun, item.address))
    return None if await context.ports.switch.is_on() else switched_off(context, item)


async def tell(context: Context, report: Report) -> None:
    """Hand on what came of a look at a resource, and with it of all that was put down before."""
    if report.address is None or not (worth_keeping(report) or isinstance(report.outcome, _ENDS)):
        await context.ports.journal.append(report)
        return
    await context.ports.journal.append(replace(report, closes=context.recent.told(report.address)))


async def announce_version(context: Context, item: RotateKey, key: KeyId) -> str:
    """Put down that a new version of a key is about to be made. Returns what the report of it closes."""
    now = context.ports.clock.now()
    begun = Begun(_id(item, f"{key.url} {now.isoformat()}"), key.url)
    await context.ports.journal.append(Report(now, item, begun))
    return begun.id


def _id(item: CheckResource | RotateKey, what: str) -> str:
    return str(uuid.uuid5(_IDS, f"{item.cause.id} {what}"))
