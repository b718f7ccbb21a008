"""Every parser of the app and of `cmkctl`, on what nobody meant to send: only the documented errors come out."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from cmkctl.app import Result, WrongUrl, checked_url, results
from cmkctl.recorded import Recorded, Unreadable, events_in, moment_of
from cmkctl.schedule import Disorder, duplicates, encoded, requests, schedule
from shared.adapters.myself import _claims
from shared.adapters.translate import retry_after, translate_vault, translated
from shared.domain.keys import BadKeyUrl, key_ref, parse_key_url
from shared.domain.plain import one_line
from shared.domain.reasons import Reason
from shared.domain.resource import BadAddress, address_of
from shared.domain.work import (
    AuditVault,
    BadWorkItem,
    Cause,
    CheckKey,
    CheckResource,
    CheckVault,
    RevokeAccess,
    RotateKey,
    Source,
    Sweep,
    WorkItem,
    decode,
    encode,
)
from shared.errors import AppError, Refusal
from shared.usecases.forms import ConvergeWish, RotateWish, read_wish
from shared.usecases.wishes import converge_item, rotate_item
from tests.fuzz.shapes import JSON, ODD, TEXTS, assert_names_only, examples, mutated, told, written
from tests.support.azure import account, vault
from tests.support.grid_events import VAULT_ID, key_event

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CAUSE = Cause("cause-1", Source.HTTP)
KEY = "https://kv-main.vault.azure.net:443/keys/cmk/a1a1"
ID = str(account("st1")["id"])
ITEMS: list[WorkItem] = [
    CheckKey(parse_key_url(KEY).key, CAUSE, NOW, VAULT_ID),
    CheckVault(CAUSE, NOW, vault_id=VAULT_ID),
    CheckResource(address_of(ID), CAUSE, NOW, NOW),
    RotateKey(parse_key_url(KEY).key, CAUSE, NOW),
    RevokeAccess(address_of(ID), CAUSE, NOW, NOW, 2, ID),
    AuditVault(CAUSE, NOW, vault_id=VAULT_ID, cursor="next", skip=1),
    Sweep(CAUSE, NOW, cursor="next"),
]
spoiled = st.builds(
    lambda one, at, odd: one[:at] + odd + one[at:], st.sampled_from([KEY, ID]), st.integers(0, 200), ODD
)


@examples(120)
@given(TEXTS | spoiled, TEXTS, TEXTS)
def test_a_key_identifier_is_read_or_refused_and_what_is_read_reads_the_same(url: str, name: str, version: str) -> None:
    for read in (partial(parse_key_url, url), partial(key_ref, url, name, version)):
        found = told(BadKeyUrl, read)
        if isinstance(found, Exception):
            assert len(str(found)) < 1000
        else:
            assert parse_key_url(found.url) == found
            assert found.url.isascii()
            assert found.url == one_line(found.url, 1000)


@examples(120)
@given(TEXTS | spoiled)
def test_a_resource_id_is_read_or_refused_and_what_is_read_reads_the_same(text: str) -> None:
    found = told(BadAddress, lambda: address_of(text))
    if isinstance(found, Exception):
        assert len(str(found)) < 1000
    else:
        assert address_of(found.url) == found
        assert found.url.isprintable()
        assert len(found.arm.names) == found.type.count("/")


@examples(80)
@given(mutated([json.loads(encode(item)) for item in ITEMS]).map(written) | st.binary(max_size=200))
def test_a_queue_message_is_a_work_item_or_refused(message: bytes) -> None:
    try:
        found = decode(message.decode("utf-8", "surrogatepass"))
    except (BadWorkItem, UnicodeDecodeError):
        return
    with suppress(BadWorkItem):  # too long to be put again
        assert decode(encode(found)) == found


WISHES: list[Any] = [
    {"key": KEY},
    {"vault": VAULT_ID},
    {"vault": "kv-main.vault.azure.net"},
    {"resource": ID},
    {"all": True},
]
ROTATIONS: list[Any] = [{"key": KEY, "ifLatestIs": "a1a1", "dryRun": True}]


@examples(120)
@given(mutated([*WISHES, *ROTATIONS]).map(written) | JSON.map(written) | st.binary(max_size=100))
def test_a_wish_becomes_names_or_is_refused_with_a_readable_reason(body: bytes) -> None:
    for form, item_of in ((ConvergeWish, converge_item), (RotateWish, rotate_item)):
        item: Any = told(Refusal, partial(_item, item_of, body, form))
        if isinstance(item, Refusal):
            assert item.reason is Reason.BAD_REQUEST
            assert item.detail == one_line(item.detail)
        else:
            assert_names_only(item)


def _item(item_of: Any, body: bytes, form: Any) -> Any:
    return item_of(read_wish(body, form), CAUSE, NOW)


def answered(status: int, body: bytes, headers: dict[str, str]) -> Any:
    """Return what azure-core holds of an answer."""
    return SimpleNamespace(
        status_code=status,
        reason="Because\r\n[x] forged",
        headers=headers,
        content_type="application/json",
        body=lambda: body,
        text=lambda _encoding=None: body.decode("utf-8", "replace"),
    )


ERRORS: list[Any] = [
    {"error": {"code": "KeyVaultPolicyError", "message": "m", "details": [{"code": "c", "message": "m"}]}},
    {"error": {"code": "Forbidden", "message": "m", "innererror": {"code": "ForbiddenByFirewall"}}},
    {"code": "ScopeLocked", "message": f"Bearer eyJh.eyJh.x sig={'s' * 40}"},
]


@examples(80)
@given(
    st.sampled_from([200, 301, 400, 401, 403, 404, 409, 412, 423, 429, 500, 503, 599]),
    mutated(ERRORS).map(written) | JSON.map(written) | st.binary(max_size=60),
    TEXTS,
)
def test_an_error_of_azure_s_becomes_one_of_ours_on_one_short_line(status: int, body: bytes, after: str) -> None:
    for how in (None, translate_vault):
        with pytest.raises(AppError) as caught, translated("x", how) if how else translated("x"):
            raise HttpResponseError(response=answered(status, body, {"Retry-After": after}))
        assert caught.value.detail == one_line(caught.value.detail)
        assert "eyJh" not in caught.value.detail


DATE = r"[A-Z][a-z]{2}, \d{1,3} (Jan|Feb|Mai|x) \d{1,6} \d{1,3}:\d+:\d+ [A-Z+-]\w{0,5}"
DATES = st.datetimes().map(lambda one: one.strftime("%a, %d %b %Y %X")) | st.from_regex(DATE)


@examples(120)
@given(TEXTS | st.floats().map(str) | st.integers().map(str) | DATES)
def test_retry_after_is_a_span_up_to_a_day_or_nothing(text: str) -> None:
    found = retry_after({"Retry-After": text})
    assert found is None or timedelta(0) <= found <= timedelta(days=1)


@examples(80)
@given(TEXTS | st.builds("{}.{}.{}".format, TEXTS, TEXTS, TEXTS) | JSON.map(lambda one: f"a.{_base64(one)}.c"))
def test_a_token_tells_who_we_are_or_nothing(token: str) -> None:
    assert all(isinstance(one, str) for one in _claims(token))


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(written(value)).decode().rstrip("=")


@examples(80)
@given(mutated([key_event(), [key_event(), vault()]]).map(written) | st.binary(max_size=60))
def test_a_recorded_file_is_read_or_refused_and_all_of_it_is_sent(content: bytes) -> None:
    found = told(Unreadable, lambda: events_in(content))
    if isinstance(found, Exception):
        assert len(str(found)) < 300
        return
    events = [Recorded("f", one, moment_of(one)) for one in found]
    how = Disorder(seed=len(content), shuffle=True, duplicate="50%", speed=2.0)
    sent = [one for _, batch in requests(schedule(events, how)) for one in batch]
    assert len(sent) == len(events) + duplicates("50%", len(events))
    assert all(encoded([one.event]) for one in sent)


@examples(80)
@given(st.integers(0, 999), JSON, st.integers(0, 3))
def test_an_answer_of_any_shape_gives_each_event_one_result(status: int, told: Any, count: int) -> None:
    events = [Recorded("f", {}, None)] * count
    found = results(events, status, told)
    assert [one.recorded for one in found] == events
    assert all(isinstance(one, Result) and len(one.what) < 300 for one in found)


@examples(80)
@given(TEXTS | st.builds("https://{}".format, TEXTS), TEXTS)
def test_an_address_and_a_count_on_the_command_line_are_taken_or_refused(url: str, count: str) -> None:
    with suppress(WrongUrl):
        assert checked_url(url).startswith(("http", "HTTP"))
    with suppress(ValueError):
        assert 0 <= duplicates(count, 10) <= 100_000
