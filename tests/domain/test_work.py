"""Work items on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keys import KeyId, KeyRef
from shared.domain.reasons import Reason, Waited
from shared.domain.resource import Address, Change
from shared.domain.work import (
    AuditVault,
    BadWorkItem,
    Cause,
    CheckChildren,
    CheckKey,
    CheckNamed,
    CheckResource,
    CheckVault,
    EndingKey,
    Going,
    NamedPlace,
    RevokeAccess,
    RotateKey,
    Source,
    Sweep,
    WorkItem,
    decode,
    encode,
    revived,
)

moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1))  # noqa: DTZ001  hypothesis wants naive bounds
words = st.text("abcdefghijklmnop-", min_size=1, max_size=20)
causes = st.builds(Cause, words, st.sampled_from(Source), words, words, st.booleans())
keys = st.builds(KeyId, words, words)
addresses = st.builds(Address, words, words)
waits = st.none() | st.builds(Waited, st.sampled_from(Reason), moments)
changes = st.builds(Change, words, st.builds(KeyRef, keys, st.none() | words), st.booleans(), st.none() | words)
goings = st.builds(Going, words, st.integers(1, 3), st.lists(changes, max_size=3).map(tuple))
items = st.one_of(
    st.builds(CheckKey, keys, causes, moments, words, waits, st.none() | words),
    st.builds(CheckVault, causes, moments, words, words, waits),
    st.builds(CheckResource, addresses, causes, moments, moments, waits, st.booleans(), st.none() | goings),
    st.builds(CheckChildren, addresses, words, causes, moments, moments, waits, st.none() | keys, words),
    st.builds(CheckNamed, addresses, causes, moments, moments, st.builds(NamedPlace, st.integers(0, 9), words), waits),
    st.builds(RotateKey, keys, causes, moments, words, waits),
    st.builds(RevokeAccess, addresses, causes, moments, moments, st.integers(0, 9), st.none() | words, words, waits),
    st.builds(AuditVault, causes, moments, words, words, waits, words, st.integers(0, 900)),
    st.builds(EndingKey, keys, causes, moments, waits, words),
    st.builds(Sweep, causes, moments, waits, st.none() | words, st.none() | st.integers(0, 3)),
)


@given(items)
def test_an_item_comes_off_the_queue_as_it_was_put_on(item: WorkItem) -> None:
    assert decode(encode(item)) == item


@given(st.text(max_size=200))
def test_any_other_message_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadWorkItem):
        decode(text)


def test_the_size_of_a_message_is_counted_in_bytes() -> None:
    with pytest.raises(BadWorkItem, match="does not fit"):
        encode(Sweep(Cause("c", Source.TIMER), datetime(2026, 1, 1, tzinfo=UTC), cursor="長" * 20_000))


def test_an_item_of_another_version_is_refused() -> None:
    text = encode(Sweep(Cause("c", Source.TIMER), datetime(2026, 1, 1, tzinfo=UTC))).replace('"v":1', '"v":2')
    with pytest.raises(BadWorkItem, match="version 2"):
        decode(text)


def test_an_item_too_long_for_a_message_is_refused() -> None:
    with pytest.raises(BadWorkItem, match="does not fit"):
        encode(Sweep(Cause("c", Source.TIMER), datetime(2026, 1, 1, tzinfo=UTC), cursor="x" * 50_000))


def test_what_was_put_back_once_is_not_put_back_again_and_one_resource_never() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    first = CheckKey(KeyId("https://kv.vault.azure.net", "k"), Cause("1", Source.EVENT), at)
    again = revived(first)
    assert isinstance(again, CheckKey)
    assert (again.cause.revived, again.key, revived(again)) == (True, first.key, None)
    assert revived(CheckResource(Address("a", "b"), Cause("1", Source.EVENT), at, at)) is None


def test_messages_of_the_version_before_and_after_are_read_as_far_as_they_are_known() -> None:
    """Instances of two versions share the queue while one takes the other's place."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    item = CheckResource(Address("a", "/b"), Cause("c", Source.EVENT), now, now)
    message = json.loads(encode(item))
    younger = ("vain", "along", "reach", "wish", "going")
    message["item"] = {name: value for name, value in message["item"].items() if name not in younger}
    assert decode(json.dumps(message)) == item
    message["item"] |= {"tomorrow": {"a": ["b"]}, "cause": message["item"]["cause"] | {"tomorrow": 1}}
    assert decode(json.dumps(message)) == item
    message["item"]["type"] = "tomorrow"
    with pytest.raises(BadWorkItem, match="tomorrow"):
        decode(json.dumps(message))
