"""Evidence: what one line of it says, which reports become one, and what one may be asked by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.evidence_before import Taken, begun_of, keys_begun, taken_of, url_of
from shared.domain.jsonpath import member
from shared.domain.keys import KeyRef
from shared.domain.life import AtRisk
from shared.domain.policy import Version
from shared.domain.preparation import CreateKey
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Begun, Converged, Done, Expanded, Gone, InUse, Report, Rotated, Stopped, Waiting, Write
from shared.domain.resource import Json
from shared.domain.revocation import Announced, Revoked
from shared.domain.vault_audit import Audited
from shared.domain.work import (
    CheckChildren,
    CheckKey,
    CheckResource,
    CheckVault,
    EndingKey,
    RevokeAccess,
    RotateKey,
    WorkItem,
)

_NO_ITEM = "a message that is no work item; the log has its beginning"


class Written(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One change that was sent. Not accepted: its answer got lost, and the verification tells what became of it.
    Overtaken: read back, its target was no longer the one to use.
    """

    at: datetime
    slot: str
    from_key: str
    to_key: str
    accepted: bool
    fields_before: Json = {}
    fields_after: Json = {}
    overtaken: bool = False


class Prepared(Struct, frozen=True, omit_defaults=True):
    """One step that prepared a change: its kind, the id of what it changed, and what it said."""

    at: datetime
    step: str
    place: str
    accepted: bool
    said: Json = {}


class Effect(Struct, frozen=True, rename="camel"):
    """One key use as it was found at the end: what the resource names, and the version in effect if the service says
    one.
    """

    slot: str
    configured: str
    follows: bool
    effective: str | None


class Refused(Struct, frozen=True, omit_defaults=True):
    """Why something was not done."""

    reason: str
    slot: str = ""
    detail: str = ""


class Awaited(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What is waited for, since when, and when that ends."""

    reason: str
    since: datetime
    deadline: datetime
    slot: str = ""
    detail: str = ""


class Line(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One line of evidence. `id` tells it apart: a line whose answer got lost may be there twice."""

    id: str
    at: datetime
    outcome: str
    correlation_id: str = ""
    source: str = ""
    event_id: str = ""
    event_type: str = ""
    change: str = ""  # the reference that the caller gave
    urgent: bool = False
    item: str = ""  # the kind of the work item; "": a message that is none
    resource: str = ""
    key: str = ""  # or the host of a vault, for a look at all its keys
    wish: Json | None = None
    wrote: tuple[Written, ...] = ()
    did: tuple[Prepared, ...] = ()
    takes: tuple[Taken, ...] = ()  # told before the first of it goes
    begins: tuple[Taken, ...] = ()  # told before it is written
    closes: tuple[str, ...] = ()  # the ids of lines that told beforehand of what this one tells
    certainty: str = ""
    uses: tuple[Effect, ...] = ()
    refused: tuple[Refused, ...] = ()
    waits: Awaited | None = None
    at_risk: AtRisk | None = None  # of a key that ends: who uses it
    keys: tuple[str, ...] = ()  # every key identifier the line speaks of, in order: what it can be found by


def worth_keeping(report: Report) -> bool:
    """Return whether a report is evidence: something was changed, refused, verified after that, or begins to wait.

    A look that found all in order is none, nor is one that waits on for the same thing: they would bury the rest.
    """
    outcome, waited = report.outcome, report.item.waited if report.item else None
    if (
        report.wrote
        or report.did
        or report.closes
        or isinstance(outcome, Rotated | Begun | Announced | Revoked | Stopped)
    ):
        return True
    if isinstance(outcome, Expanded | Audited):
        return bool(outcome.blocked if isinstance(outcome, Expanded) else outcome.findings)
    if isinstance(outcome, Waiting):
        return waited is None or waited.reason is not outcome.wait.reason
    return isinstance(outcome, Converged | Gone) and waited is not None


def line_of(report: Report, id_: str) -> Line:
    """Return the line that keeps a report."""
    item, outcome = report.item, report.outcome
    uses = outcome.uses if isinstance(outcome, Converged | Waiting | Stopped) else ()
    cause = item.cause if item else None
    return Line(
        id=outcome.id if isinstance(outcome, Begun) else id_,
        at=report.at,
        outcome=type(outcome).__name__.lower(),
        correlation_id=cause.id if cause else "",
        source=cause.source.value if cause else "",
        event_id=cause.event_id if cause else "",
        event_type=cause.event_type if cause else "",
        change=cause.order.change if cause else "",
        urgent=cause.order.urgent if cause else False,
        item=type(item).__name__ if item else "",
        resource=report.address.url if report.address else "",
        key=_key(item),
        wish=_wish(item),
        wrote=tuple(_written(one) for one in report.wrote),
        did=tuple(_prepared(one) for one in report.did),
        takes=tuple(taken_of(one) for one in outcome.takings) if isinstance(outcome, Announced) else (),
        begins=(begun_of(outcome),) if isinstance(outcome, Begun) else (),
        closes=report.closes,
        certainty=outcome.certainty.value if isinstance(outcome, Converged) else "",
        uses=tuple(Effect(use.slot, use.configured.url, use.follows, use.effective) for use in uses),
        refused=tuple(_refused(one, item) for one in _blocked(report)),
        waits=_awaited(outcome) if isinstance(outcome, Waiting) else None,
        at_risk=outcome.at_risk if isinstance(outcome, Stopped) else None,
        keys=tuple(sorted({ref.url for ref in _named(report, uses)})),
    )


def encode(line: Line) -> bytes:
    """Return the line as JSON, with its end of line."""
    return msgspec.json.encode(line) + b"\n"


def changed_fields(body: Json, sent: Json) -> tuple[Json, Json]:
    """Return what a write changes, as it was and as it is sent, by the path of each value.

    Only what is sent counts: read-only parts that a request leaves out are no change. Lists are compared as a whole.
    """
    pairs = [(path, before, after) for path, before, after in _leaves(body, sent, "") if before != after]
    return {path: before for path, before, _ in pairs}, {path: after for path, _, after in pairs}


def _leaves(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(after, dict):
        yield path, before, after
        return
    known = before if isinstance(before, dict) else {}
    for name, value in after.items():
        key = member(known, name)
        yield from _leaves(known[key] if key is not None else None, value, f"{path}.{name}" if path else name)


def _blocked(report: Report) -> tuple[Blocked, ...]:
    if isinstance(report.outcome, Audited):
        return report.outcome.findings
    return report.outcome.blocked if isinstance(report.outcome, Stopped | Waiting | Expanded) else ()


def _refused(blocked: Blocked, item: WorkItem | None) -> Refused:
    # What a message that nobody understands says is nobody's business here: it may hold anything.
    hidden = item is None and blocked.reason is Reason.POISONED
    return Refused(blocked.reason.value, blocked.slot, _NO_ITEM if hidden else blocked.detail)


def _awaited(outcome: Waiting) -> Awaited:
    wait = outcome.wait
    return Awaited(wait.reason.value, wait.since, wait.deadline, wait.slot, wait.detail)


def _written(one: Write) -> Written:
    before, after = url_of(one.before), url_of(one.after)
    return Written(one.at, one.slot, before, after, one.accepted, one.fields_before, one.fields_after, one.overtaken)


def _prepared(one: Done) -> Prepared:
    said: Json = msgspec.to_builtins(one.step)
    return Prepared(one.at, said.pop("type"), one.place, one.accepted, said)


def _key(item: WorkItem | None) -> str:
    if isinstance(item, CheckKey | RotateKey | EndingKey):
        return item.key.url
    if isinstance(item, CheckVault):
        return item.host or item.vault_id or item.within
    return item.key.url if isinstance(item, CheckChildren) and item.key else ""


def _wish(item: WorkItem | None) -> Json | None:
    """Return what somebody asked for beyond a look: what the app would not have done by itself."""
    if isinstance(item, RotateKey):
        return {"rotate": item.key.url, **({"ifLatestIs": item.if_latest_is} if item.if_latest_is else {})}
    if isinstance(item, RevokeAccess):
        asked = {"revoke": True, "alsoAffects": item.also_affects, "slot": item.slot, "identity": item.identity}
        return {name: value for name, value in asked.items() if value}
    if isinstance(item, CheckResource) and item.wish is not None:
        wish = item.wish
        told = {
            "useKey": url_of(wish.key),
            "through": url_of(wish.through),
            "slot": wish.slot,
            "identity": wish.identity or "",
        }
        told |= {"version": wish.version.value if wish.version is not Version.KEEP else ""}
        return {"revert": True} if wish.revert else {name: value for name, value in told.items() if value}
    return None


def _named(report: Report, uses: tuple[InUse, ...]) -> Iterator[KeyRef]:
    item, outcome = report.item, report.outcome
    if isinstance(item, CheckKey | RotateKey | EndingKey | CheckChildren) and item.key:
        yield item.key.at(None)
    if isinstance(outcome, Rotated):
        yield outcome.key.at(outcome.version)
    if isinstance(outcome, Begun):
        yield from keys_begun(outcome)
    for write in report.wrote:
        yield from (key for key in (write.before, write.after) if key)
    for done in report.did:
        if isinstance(done.step, CreateKey):
            yield done.step.key.at(None)
    for use in uses:
        yield use.configured
        if use.effective:
            yield use.configured.key.at(use.effective)
