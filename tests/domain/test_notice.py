"""What people are told of a report, and in which form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.keys import KeyId
from shared.domain.life import AtRisk
from shared.domain.notice import LONGEST, Form, Notice, body_of, digest_of, notice_of
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.remedies import REMEDIES
from shared.domain.report import (
    Answered,
    Certainty,
    Converged,
    Expanded,
    Gone,
    Outcome,
    Report,
    Rotated,
    Stopped,
    Waiting,
)
from shared.domain.resource import address_of
from shared.domain.work import Cause, CheckResource, EndingKey, Source, Sweep

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CAUSE = Cause("c", Source.EVENT)
KEY = KeyId("kv-main.vault.azure.net", "cmk")
ST1 = address_of("/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/st1")
LOST = Blocked(Reason.ACCESS_LOST, detail="principal p lacks wrapKey")


def told(outcome: Outcome, to_do: str = "") -> Notice | None:
    return notice_of(Report(NOW, CheckResource(ST1, CAUSE, NOW, NOW), outcome, ST1, to_do=to_do))


def test_what_stopped_is_told_with_its_remedy_and_place() -> None:
    notice = told(Stopped((LOST,)))
    assert notice is not None
    assert notice.title == "st1: access_lost"
    assert LOST.detail in notice.lines[0]
    assert REMEDIES[Reason.ACCESS_LOST] in notice.lines[0]
    assert notice.lines[-1] == ST1.url
    assert (notice.about, notice.kinds) == (ST1.folded, ("access_lost",))


@pytest.mark.parametrize(
    "outcome",
    [
        Converged(Certainty.REPORTED),
        Gone(),
        Answered(),
        Expanded(1, 1, more=False),
        Waiting(Wait(Reason.THROTTLED, NOW, NOW, NOW)),
    ],
)
def test_what_went_well_or_goes_on_by_itself_is_not_told(outcome: Outcome) -> None:
    assert told(outcome) is None


def test_what_is_left_to_people_is_told() -> None:
    notice = told(Converged(Certainty.REPORTED), "restart it")
    assert notice is not None
    assert (notice.kinds, notice.lines[0]) == (("to_do",), "To do: restart it")


def test_a_rotation_is_told_with_its_version() -> None:
    notice = notice_of(Report(NOW, EndingKey(KEY, CAUSE, NOW), Rotated(KEY, "v2")))
    assert notice is not None
    assert notice.kinds == ("rotated",)
    assert "v2" in notice.lines[0]


def test_users_at_risk_are_named_as_far_as_a_message_goes() -> None:
    risk = AtRisk("v1", NOW + timedelta(days=9), 60, tuple(f"/st{number}" for number in range(50)))
    notice = notice_of(Report(NOW, EndingKey(KEY, CAUSE, NOW), Stopped((Blocked(Reason.NEAR_EXPIRY),), at_risk=risk)))
    assert notice is not None
    assert "60 at risk:" in notice.lines
    assert "/st0" in notice.lines
    assert "and 40 more" in notice.lines


def test_what_a_sweep_could_not_look_at_is_told() -> None:
    blocked = (Blocked(Reason.SUBSCRIPTION_UNREADABLE, detail="subscription s"),)
    notice = notice_of(Report(NOW, Sweep(CAUSE, NOW), Expanded(0, 0, more=False, blocked=blocked)))
    assert notice is not None
    assert notice.title == "sweep: subscription_unreadable"


def test_nothing_of_a_message_that_is_no_work_item_gets_out() -> None:
    notice = notice_of(Report(NOW, None, Stopped((Blocked(Reason.POISONED, detail="secret words"),))))
    assert notice is not None
    assert "secret words" not in str(notice)


NOTICE = Notice("st1: <x> & y", ("one", "two"), "/st1", ("x",))


def test_each_channel_gets_the_form_that_it_takes() -> None:
    teams = body_of(NOTICE, Form.TEAMS)
    assert teams["type"] == "message"
    (attached,) = teams["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attached["content"]["type"] == "AdaptiveCard"
    assert [one["text"] for one in attached["content"]["body"]] == ["CMK Autopilot: st1: <x> & y", "one", "two"]
    assert body_of(NOTICE, Form.SLACK) == {
        "text": "CMK Autopilot: st1: &lt;x&gt; &amp; y\none\ntwo",
        "mrkdwn": False,
    }
    assert body_of(NOTICE, Form.GENERIC)["lines"] == ["one", "two"]


def test_no_tag_or_name_becomes_a_link_in_a_chat() -> None:
    words = "tag team is '[reset your password](https://evil.example)' {{DATE(2026-05-01T00:00:00Z)}}"
    notice = Notice(words, (words, "<https://evil.example|reset>"))
    teams = json.dumps(body_of(notice, Form.TEAMS)["attachments"][0]["content"]["body"])
    assert "](" not in teams
    assert "{{" not in teams
    slack = body_of(notice, Form.SLACK)
    assert "<" not in slack["text"]
    assert slack["mrkdwn"] is False


@pytest.mark.parametrize("form", Form)
def test_no_message_is_larger_than_teams_takes(form: Form) -> None:
    notice = Notice("t", ("x" * 1000,) * 100)
    assert len(json.dumps(body_of(notice, form))) < 28 * 1024 or form is Form.GENERIC
    assert LONGEST < 28 * 1024


def test_a_digest_counts_each_kind_and_what_is_new() -> None:
    notice = digest_of({"b": 2, "a": 3}, {"a": 1})
    assert notice.title == "5 findings"
    assert notice.lines == ("a: 3 (1 new today)", "b: 2 (0 new today)")
