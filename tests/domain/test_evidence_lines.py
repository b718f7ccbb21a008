"""Which reports are evidence, and what a line says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.evidence import changed_fields, encode, line_of, worth_keeping
from shared.domain.evidence_query import BadMark, Head, Mark, Query, parse_mark
from shared.domain.keys import KeyId, KeyRef
from shared.domain.reasons import Blocked, Reason, Wait, Waited
from shared.domain.report import (
    Answered,
    Certainty,
    Converged,
    Expanded,
    Gone,
    InUse,
    Outcome,
    Paced,
    Report,
    Rotated,
    Stopped,
    Waiting,
    Write,
    as_json,
)
from shared.domain.resource import Change, address_of
from shared.domain.work import Cause, CheckResource, CheckVault, RotateKey, Source
from shared.services.storage import ENCRYPTION_SCOPES, STORAGE_ACCOUNTS
from tests.support.azure import MID, OLD, account, scope

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
KEY = KeyId("kv-main.vault.azure.net", "cmk")
PLACE = address_of(str(account("st1")["id"]))
CAUSE = Cause("cause-1", Source.EVENT, "event-1", "Microsoft.KeyVault.KeyNewVersionCreated")
WRITE = Write(NOW, "encryption", KEY.at(OLD), KEY.at(MID), fields_before={"a.b": OLD}, fields_after={"a.b": MID})
FOUND = (InUse("encryption", KEY.at(MID), follows=False, effective=MID),)


def waiting(reason: Reason) -> Waiting:
    return Waiting(Wait(reason, NOW, NOW, NOW + timedelta(hours=1)), FOUND)


def report(outcome: Outcome, *wrote: Write, waited: Reason | None = None) -> Report:
    kept = Waited(waited, NOW) if waited else None
    return Report(NOW, CheckResource(PLACE, CAUSE, NOW, NOW, kept), outcome, PLACE, (), wrote)


IN_EFFECT = Converged(Certainty.REPORTED, FOUND)
REFUSED = Stopped((Blocked(Reason.SCOPE_LOCKED, "encryption", "409 ScopeLocked"),), FOUND)
WORTH = {
    "a write": report(waiting(Reason.NOT_YET_IN_EFFECT), WRITE, waited=Reason.NOT_YET_IN_EFFECT),
    "a write that was verified": report(IN_EFFECT, WRITE),
    "a verification after a wait": report(IN_EFFECT, waited=Reason.NOT_YET_IN_EFFECT),
    "a refusal": report(REFUSED),
    "a wait that begins": report(waiting(Reason.FOLLOWS_BY_ITSELF)),
    "a wait for something else": report(waiting(Reason.THROTTLED), waited=Reason.CONFLICT),
    "a wait that ends with the resource": report(Gone(), waited=Reason.PROVISIONING),
    "a rotation": Report(NOW, RotateKey(KEY, CAUSE, NOW), Rotated(KEY, MID)),
    "a message nobody understands": Report(NOW, None, Stopped((Blocked(Reason.POISONED, detail="?"),))),
}
NOT_WORTH = {
    "all in order": report(IN_EFFECT),
    "waiting on": report(waiting(Reason.FOLLOWS_BY_ITSELF), waited=Reason.FOLLOWS_BY_ITSELF),
    "answered": report(Answered()),
    "paced": report(Paced(NOW)),
    "gone": report(Gone()),
    "a page that led to work": Report(NOW, CheckVault(CAUSE, NOW, "kv"), Expanded(200, 12, more=True)),
}


@pytest.mark.parametrize("kept", WORTH.values(), ids=WORTH)
def test_what_changes_anything_or_ends_a_wait_is_evidence(kept: Report) -> None:
    assert worth_keeping(kept)


@pytest.mark.parametrize("idle", NOT_WORTH.values(), ids=NOT_WORTH)
def test_what_changed_nothing_is_not(idle: Report) -> None:
    assert not worth_keeping(idle)


def told(kept: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(line_of(kept, "line-1")))
    return found


def test_a_line_tells_who_asked_what_was_sent_and_what_is_in_effect() -> None:
    assert told(report(IN_EFFECT, WRITE)) == {
        "id": "line-1",
        "at": "2026-05-01T08:30:00Z",
        "outcome": "converged",
        "correlationId": "cause-1",
        "source": "event",
        "eventId": "event-1",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "item": "CheckResource",
        "resource": PLACE.url,
        "wrote": [
            {
                "at": "2026-05-01T08:30:00Z",
                "slot": "encryption",
                "fromKey": f"https://kv-main.vault.azure.net/keys/cmk/{OLD}",
                "toKey": f"https://kv-main.vault.azure.net/keys/cmk/{MID}",
                "accepted": True,
                "fieldsBefore": {"a.b": OLD},
                "fieldsAfter": {"a.b": MID},
            }
        ],
        "certainty": "reported",
        "uses": [
            {
                "slot": "encryption",
                "configured": f"https://kv-main.vault.azure.net/keys/cmk/{MID}",
                "follows": False,
                "effective": MID,
            }
        ],
        "keys": [f"https://kv-main.vault.azure.net/keys/cmk/{one}" for one in (OLD, MID)],
    }


def test_a_line_of_a_refusal_tells_the_reason_and_one_of_a_wait_its_end() -> None:
    assert told(report(REFUSED))["refused"] == [
        {"reason": "scope_locked", "slot": "encryption", "detail": "409 ScopeLocked"}
    ]
    waits = told(report(waiting(Reason.CONFLICT)))["waits"]
    assert (waits["reason"], waits["deadline"]) == ("conflict", "2026-05-01T09:30:00Z")


def test_a_rotation_is_found_by_its_key_and_by_the_version_it_made() -> None:
    line = told(Report(NOW, RotateKey(KEY, CAUSE, NOW, OLD), Rotated(KEY, MID)))
    assert line["keys"] == [KEY.url, KEY.at(MID).url]
    assert line["wish"] == {"rotate": KEY.url, "ifLatestIs": OLD}


def test_what_a_message_that_nobody_understands_says_is_not_kept() -> None:
    secret = Blocked(Reason.POISONED, detail="not a work item; the message began with 'sig=secret'")
    line = encode(line_of(Report(NOW, None, Stopped((secret,))), "line-1"))
    assert b"secret" not in line
    assert b"poisoned" in line


def test_a_write_s_fields_are_in_the_report_as_well() -> None:
    plain: Any = as_json(report(IN_EFFECT, WRITE))
    (wrote,) = plain["wrote"]
    assert (wrote["fields_before"], wrote["fields_after"]) == ({"a.b": OLD}, {"a.b": MID})


def test_the_fields_of_a_change_are_those_that_differ_and_no_others() -> None:
    change = Change("encryption", KeyRef(KEY, MID), follow=False)
    for service, body, path in (
        (STORAGE_ACCOUNTS, account("st1"), "properties.encryption.keyvaultproperties.keyversion"),
        (ENCRYPTION_SCOPES, scope("st1", "one"), "properties.keyVaultProperties.keyUri"),
    ):
        (request,) = service.write(body, (change,))
        before, after = changed_fields(body, request.body or {})
        assert list(before) == list(after) == [path]
        assert str(before[path]).endswith(OLD)
        assert str(after[path]).endswith(MID)


def test_a_field_that_was_not_there_was_none_and_names_are_compared_in_any_case() -> None:
    assert changed_fields({"A": {"B": 1}}, {"a": {"b": 1, "c": [2]}}) == ({"a.c": None}, {"a.c": [2]})
    assert changed_fields({"a": "text"}, {"a": {"b": 1}}) == ({"a.b": None}, {"a.b": 1})


HEAD = Head("b", NOW, PLACE.url.upper() + "/", (KEY.at(OLD).url, KEY.at(MID).url))
DAY = Query(NOW - timedelta(hours=1), NOW + timedelta(hours=1), 10)
ASKED: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing special": ({}, True),
    "the resource": ({"resource": PLACE.folded}, True),
    "its parent": ({"resource": PLACE.folded.rpartition("/")[0]}, True),
    "one with a longer name": ({"resource": PLACE.folded[:-1]}, False),
    "the key": ({"key": KEY.url}, True),
    "a version": ({"key": KEY.at(MID).url}, True),
    "another version": ({"key": KEY.at("c3" * 16).url}, False),
    "a key with a longer name": ({"key": KEY.url[:-1]}, False),
    "from now on": ({"start": NOW}, True),
    "until now": ({"end": NOW}, False),
    "after the line before": ({"after": Mark(NOW, "a")}, True),
    "after the line": ({"after": Mark(NOW, "b")}, False),
}


@pytest.mark.parametrize(("wish", "wanted"), ASKED.values(), ids=ASKED)
def test_a_line_is_found_by_time_resource_and_key(wish: dict[str, Any], *, wanted: bool) -> None:
    assert msgspec.structs.replace(DAY, **wish).wants(HEAD) is wanted


def test_a_cursor_comes_back_as_it_was() -> None:
    mark = Mark(NOW + timedelta(microseconds=7), "1234_5")
    assert parse_mark(mark.text) == mark
    assert "+" not in mark.text
    beyond = ("9999-12-31T23:59:59-14:00_x", "0001-01-01T00:00:00+14:00_x")
    for wrong in ("", "x", "2026-05-01T08:00:00_x", "2026-05-01T08:00:00Z", "yesterday_1", *beyond):
        with pytest.raises(BadMark):
            parse_mark(wrong)
