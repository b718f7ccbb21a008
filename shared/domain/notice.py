"""What people are told of a report: one short message, in the form that their channel takes, or none.

Teams (Workflows) takes an Adaptive Card in a message [learn microsoftteams/platform/webhooks-and-connectors/how-to/
connectors-using: Workflows take Adaptive Cards only]; Slack takes {"text": ...} [docs.slack.dev, incoming webhooks].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.plain import one_line
from shared.domain.reasons import Blocked
from shared.domain.remedies import REMEDIES
from shared.domain.report import Report, Rotated, Stopped
from shared.domain.resource import Json

LONGEST = 8_000  # characters of a message: Teams takes 28 KB, Slack cuts at 40,000 characters
MOST_LINES = 20
_CARD = "application/vnd.microsoft.card.adaptive"


class Form(Enum):
    """What a channel takes."""

    TEAMS = "teams"
    SLACK = "slack"
    GENERIC = "generic"


class Notice(Struct, frozen=True):
    """A message. `about` and `kinds` say what it repeats: a target, and why it is told of."""

    title: str
    lines: tuple[str, ...]
    about: str = ""
    kinds: tuple[str, ...] = ()


def notice_of(report: Report) -> Notice | None:
    """Return what people are told of a report: what stopped, what was rotated, what is left to them; None of the rest.

    What waits goes on by itself. Of a message that is no work item nothing is told that it holds.
    """
    target = report.address.url if report.address else _about(report)
    name = target.rpartition("/")[2] or type(report.item).__name__.lower()
    blocked: tuple[Blocked, ...] = getattr(report.outcome, "blocked", ())
    blocked = blocked if report.item is not None else tuple(replace(one, detail="") for one in blocked)
    kinds = tuple(dict.fromkeys(one.reason.value for one in blocked))
    lines = [f"{one.reason.value}: {one.detail} {REMEDIES[one.reason]}" for one in blocked] + _at_risk(report)
    if isinstance(report.outcome, Rotated):
        kinds = ("rotated",)
        lines = [f"version {report.outcome.version} of {report.outcome.key.url}; its users move there"]
    elif report.to_do and not kinds:
        kinds = ("to_do",)
    if not kinds:
        return None
    lines += [f"To do: {report.to_do}"] * bool(report.to_do) + [target] * bool(target)
    return Notice(
        one_line(f"{name}: {', '.join(kinds)}"), tuple(one_line(one, 1000) for one in lines), target.lower(), kinds
    )


def digest_of(counts: Mapping[str, int], news: Mapping[str, int]) -> Notice:
    """Return one message for many reports: how many there are of each kind, and how many of them are new today."""
    lines = [f"{kind}: {count} ({news.get(kind, 0)} new today)" for kind, count in sorted(counts.items())]
    return Notice(f"{sum(counts.values())} findings", tuple(lines), kinds=tuple(sorted(counts)))


def body_of(notice: Notice, form: Form) -> Json:
    """Return the message as its channel takes it."""
    return _FORMS[form](notice)


def _about(report: Report) -> str:
    item = report.item
    key = getattr(item, "key", None)
    return key.url if key is not None else str(getattr(item, "host", "") or getattr(item, "vault_id", ""))


def _at_risk(report: Report) -> list[str]:
    risk = report.outcome.at_risk if isinstance(report.outcome, Stopped) else None
    if risk is None:
        return []
    more = [f"and {risk.users - MOST_LINES} more"] * (risk.users > MOST_LINES)
    return [f"{risk.users} at risk:", *risk.first[:MOST_LINES], *more]


def _text(notice: Notice) -> str:
    return "\n".join(notice.lines)[:LONGEST]


def _teams(notice: Notice) -> Json:
    title: Json = {"type": "TextBlock", "text": f"CMK Autopilot: {notice.title}", "weight": "Bolder", "wrap": True}
    lines: list[Json] = [{"type": "TextBlock", "text": one, "wrap": True} for one in _text(notice).split("\n")]
    for block in (title, *lines):
        block["text"] = _unlinked(block["text"])
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    card = {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": [title, *lines]}
    return {"type": "message", "attachments": [{"contentType": _CARD, "contentUrl": None, "content": card}]}


def _unlinked(text: str) -> str:
    """Return the text without what a TextBlock makes of it: a link that shows other words than its target, and dates.
    Tags and names are anybody's words [learn adaptive-cards/authoring-cards/text-features].
    """
    return text.replace("](", "] (").replace("{{", "{ {")


def _slack(notice: Notice) -> Json:
    # The three characters that mean something there; `mrkdwn` is about the rest [docs.slack.dev, formatting message
    # text; api.slack.com/reference/messaging/payload].
    text = f"CMK Autopilot: {notice.title}\n{_text(notice)}"
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), "mrkdwn": False}


def _generic(notice: Notice) -> Json:
    return {
        "source": "cmk-autopilot",
        "title": notice.title,
        "lines": list(notice.lines),
        "about": notice.about,
        "kinds": list(notice.kinds),
    }


_FORMS: Mapping[Form, Callable[[Notice], Json]] = {Form.TEAMS: _teams, Form.SLACK: _slack, Form.GENERIC: _generic}
