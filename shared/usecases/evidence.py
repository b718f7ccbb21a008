"""What was done, as it was written down: what a caller may ask, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from shared.domain.evidence_query import BadMark, Mark, Page, Query, parse_mark
from shared.domain.keys import BadKeyUrl, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import BadAddress, address_of
from shared.errors import Refusal
from shared.usecases.context import Context

LONGEST = timedelta(days=31)
DEFAULT = timedelta(days=1)
MOST_LINES = 1000
_KNOWN = ("from", "to", "resource", "key", "cursor", "limit")


async def evidence(context: Context, params: Mapping[str, str]) -> Page:
    """Return the lines that the parameters of a request ask for. Raises Refusal (BAD_REQUEST) and what reading does."""
    return await context.ports.evidence.read(read_query(params, context.ports.clock.now()))


def read_query(params: Mapping[str, str], now: datetime) -> Query:
    """Read a request's parameters: the last day by default. Raises Refusal (BAD_REQUEST) that names the parameter."""
    if unknown := sorted(set(params) - {*_KNOWN, "code"}):
        raise Refusal(Reason.BAD_REQUEST, f"unknown parameter {unknown[0][:50]!r}; there are {', '.join(_KNOWN)}")
    end = _moment(params, "to") or now
    try:
        start = _moment(params, "from") or end - DEFAULT
    except OverflowError as error:
        raise Refusal(Reason.BAD_REQUEST, "to is too long ago") from error
    if not timedelta(0) < end - start <= LONGEST:
        raise Refusal(Reason.BAD_REQUEST, f"from must be before to, by {LONGEST.days} days at most")
    return Query(start, end, _limit(params), _resource(params), _key(params), _cursor(params))


def _moment(params: Mapping[str, str], name: str) -> datetime | None:
    text = params.get(name, "")
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        _ = found + DEFAULT  # reading goes on to the day after
    except (ValueError, OverflowError) as error:
        raise Refusal(Reason.BAD_REQUEST, f"{name} is no time such as 2026-05-01T08:00:00Z: {text[:50]!r}") from error
    return found


def _limit(params: Mapping[str, str]) -> int:
    text = params.get("limit") or str(MOST_LINES)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_LINES)) and 1 <= int(text) <= MOST_LINES):
        raise Refusal(Reason.BAD_REQUEST, f"limit is a number from 1 to {MOST_LINES}, not {text[:50]!r}")
    return int(text)


def _resource(params: Mapping[str, str]) -> str:
    try:
        return address_of(params["resource"]).folded if params.get("resource") else ""
    except BadAddress as error:
        raise Refusal(Reason.BAD_REQUEST, str(error)) from error


def _key(params: Mapping[str, str]) -> str:
    try:
        return parse_key_url(params["key"]).url if params.get("key") else ""
    except BadKeyUrl as error:
        raise Refusal(Reason.BAD_REQUEST, str(error)) from error


def _cursor(params: Mapping[str, str]) -> Mark | None:
    try:
        return parse_mark(params["cursor"]) if params.get("cursor") else None
    except BadMark as error:
        raise Refusal(Reason.BAD_REQUEST, str(error)) from error
