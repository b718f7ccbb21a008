"""Where reports go: the log always, and the outcome topic when one is set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.adapters.connection import Connection
from shared.adapters.translate import translated
from shared.domain.keys import KeyId
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.remedies import REMEDIES
from shared.domain.report import (
    Answered,
    Begun,
    Converged,
    Done,
    Expanded,
    Paced,
    Report,
    Rotated,
    Stopped,
    Waiting,
    Write,
    as_json,
)
from shared.domain.revocation import Announced, place_taken
from shared.domain.vault_audit import Audited
from shared.domain.work import Source

if TYPE_CHECKING:
    from azure.eventgrid.aio import EventGridPublisherClient

_LOG = logging.getLogger("cmk")
PLATFORM = "the platform's key"
EVENT_TYPE = "CmkAutopilot.Report"
_WARN_AGAIN = timedelta(hours=1)
# What an event alone brings about, which anybody may have forged, is warned of so often an hour for each reason.
_FORGEABLE = frozenset({Reason.VAULT_NOT_KNOWN, Reason.REFUSED})
_MOST_FORGEABLE = 20
_MOST_WARNED = 10_000  # resources and reasons remembered; the oldest is forgotten


class Sink(Protocol):
    """One place where reports go."""

    name: str

    async def write(self, report: Report) -> None:
        """Write one report. Raises AppError."""
        ...


class LogSink:
    """One line for each report, with the fields that an operator searches for."""

    name = "log"

    def __init__(self) -> None:
        self._warned: dict[tuple[str, Reason], datetime] = {}
        self._forgeable: dict[Reason, list[datetime]] = {}

    async def write(self, report: Report) -> None:
        """Log the report; what is stopped as a warning once an hour for each resource and reason (and so often for all
        that events may bring about by themselves), what was not even looked at only for the curious.
        """
        outcome = report.outcome
        level = logging.INFO
        idle = isinstance(outcome, Expanded) and not outcome.put and not outcome.more and not outcome.blocked
        if idle or isinstance(outcome, Answered | Paced | Begun):
            level = logging.DEBUG
        target = report.address.url if report.address else type(report.item).__name__
        refused = isinstance(outcome, Stopped) or (isinstance(outcome, Expanded) and bool(outcome.blocked))
        refused |= isinstance(outcome, Audited) and bool(outcome.findings)
        if refused and (report.item is None or self._is_news(_about(report), report)):
            level = logging.WARNING
        _LOG.log(level, "%s %s%s%s", type(outcome).__name__.lower(), target, _tail(report), _to_do(report))

    def _is_news(self, target: str, report: Report) -> bool:
        """Return whether one of the reasons was not warned of for this target in the last hour; remember all that
        were not.
        """
        news = [
            (target, reason)
            for reason in report.reasons
            if (at := self._warned.get((target, reason))) is None or report.at - at >= _WARN_AGAIN
            if self._has_room(reason, report)
        ]
        for one in news:
            self._warned.pop(one, None)  # to the end: the first in line is the oldest
            self._warned[one] = report.at
        while len(self._warned) > _MOST_WARNED:
            del self._warned[next(iter(self._warned))]
        return bool(news)

    def _has_room(self, reason: Reason, report: Report) -> bool:
        """Return whether a warning of this reason is among those that events may bring about in an hour."""
        asked = report.item is not None and report.item.cause.source is Source.EVENT
        if reason not in _FORGEABLE or not asked or report.wrote:
            return True
        recent = [at for at in self._forgeable.get(reason, ()) if report.at - at < _WARN_AGAIN]
        self._forgeable[reason] = [*recent, report.at][:_MOST_FORGEABLE]
        return len(recent) < _MOST_FORGEABLE


def _about(report: Report) -> str:
    """Return what a report is about, in the form that may be compared: the resource, or the key or vault looked for."""
    if report.address:
        return report.address.folded
    plain = (getattr(report.item, name, "") for name in ("key", "host", "vault_id"))
    named = next((one for one in plain if one), type(report.item).__name__)
    return (named.url if isinstance(named, KeyId) else str(named)).lower()


def _tail(report: Report) -> str:
    outcome = report.outcome
    moved = "".join(_did(one) for one in report.did) + "".join(_move(one) for one in report.wrote)
    if isinstance(outcome, Converged):
        return f" ({outcome.certainty.value})" + "".join(_why(one) for one in outcome.doubts) + moved
    if isinstance(outcome, Waiting):
        told = _why(outcome.wait) + "".join(_why(one) for one in outcome.blocked)
        return f"{told} until {outcome.wait.again_at.isoformat()}{moved}"
    if isinstance(outcome, Stopped):
        return _remedies(outcome.blocked) + moved
    if isinstance(outcome, Announced):
        return "".join(f" {type(one).__name__} {place_taken(one)}" for one in outcome.takings)
    if isinstance(outcome, Rotated):
        return f" {outcome.key.url} has the new version {outcome.version}"
    return _looked(outcome) if isinstance(outcome, Expanded | Audited) else moved


def _looked(outcome: Expanded | Audited) -> str:
    if isinstance(outcome, Audited):
        return f" by rule {outcome.rule!r}, keys: {outcome.keys}, more: {outcome.more}{_remedies(outcome.findings)}"
    plain = f", on the platform's key: {outcome.unencrypted}" if outcome.unencrypted else ""
    told = f" looked at {outcome.looked_at}, put {outcome.put}, more: {outcome.more}{plain}"
    return told + _remedies(outcome.blocked)


def _remedies(blocked: tuple[Blocked, ...]) -> str:
    return "".join(f"{_why(one)} {REMEDIES[one.reason]}" for one in blocked)


def _to_do(report: Report) -> str:
    return f" TO DO: {report.to_do}" if report.to_do else ""


def _why(one: Wait | Blocked) -> str:
    return f" {one.reason.value} [{one.detail}]" if one.detail else f" {one.reason.value}"


def _did(one: Done) -> str:
    return f" {type(one.step).__name__} {one.place}{'' if one.accepted else ' (sent, the answer got lost)'}"


def _move(one: Write) -> str:
    sure = "" if one.accepted else " (sent, the answer got lost)"
    sure += " (overtaken)" if one.overtaken else ""
    if one.before and one.after and one.before.key == one.after.key:
        return f" {one.slot}: {one.before.version or 'following'} -> {one.after.version}{sure}"
    return (
        f" {one.slot}: {one.before.url if one.before else PLATFORM} -> {one.after.url if one.after else PLATFORM}{sure}"
    )


class TopicSink:
    """The outcome topic: one CloudEvent for each report that says something, through azure-eventgrid."""

    name = "outcome topic"

    def __init__(self, connection: Connection, endpoint: str, new_id: Callable[[], str]) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._new_id = new_id
        self._made: EventGridPublisherClient | None = None

    async def write(self, report: Report) -> None:
        """Publish the report; expansions that met nothing and questions already answered are left to the log."""
        dull = isinstance(report.outcome, Answered | Paced | Begun)  # what came of it is told soon
        dull |= isinstance(report.outcome, Audited) and not report.outcome.findings
        if dull or (isinstance(report.outcome, Expanded) and not report.outcome.blocked):
            return
        from azure.core.messaging import CloudEvent  # noqa: PLC0415  costs time at cold start

        event = CloudEvent(
            source="cmk-autopilot",
            type=f"{EVENT_TYPE}.{type(report.outcome).__name__}",
            data=as_json(report),
            subject=report.address.url if report.address else "",
            id=self._new_id(),
            time=report.at,
        )
        with translated(self.name):
            await self._client().send(event)

    def _client(self) -> EventGridPublisherClient:
        if self._made is None:
            from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415  costs time at cold start

            self._made = EventGridPublisherClient(
                self._endpoint,
                self._connection.credential,
                transport=self._connection.transport,
                retry_total=0,  # a sink must not hold the work up: Retry-After would be obeyed inside the invocation
                permit_redirects=False,
            )
        return self._made


class Journals:
    """Implements ports.Journal: every sink gets every report. A sink that fails shows in `health`, and undoes nothing:
    the work a report tells of has happened.
    """

    def __init__(self, sinks: tuple[Sink, ...], now: Callable[[], datetime]) -> None:
        self._sinks = sinks
        self._now = now
        self.failures: dict[str, str] = {}

    async def append(self, report: Report) -> None:
        """Hand the report to every sink."""
        for sink in self._sinks:
            try:
                await sink.write(report)
            except Exception as error:  # noqa: BLE001  whatever a sink does, the work has happened
                self.failures[sink.name] = f"{self._now().isoformat()} {type(error).__name__}: {error}"
                _LOG.warning("the %s did not take a report: %s", sink.name, error)
            else:
                self.failures.pop(sink.name, None)
