"""Key identifiers and the choice of the newest usable version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keys import (
    RSA_2048_TO_4096,
    BadKeyUrl,
    KeyHistory,
    KeyId,
    KeyRef,
    KeyRules,
    KeyVersion,
    Material,
    NeedMaterial,
    State,
    latest_usable,
    newest_usable,
    parse_key_url,
)
from shared.domain.reasons import Blocked, Reason

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = KeyId("v.vault.azure.net", "cmk")
RULES = KeyRules(RSA_2048_TO_4096)
GOOD = Material("RSA", 3072, frozenset({"wrapKey", "unwrapKey"}))

days = st.integers(-400, 400).map(lambda d: NOW + timedelta(days=d))
materials = st.sampled_from(
    [
        GOOD,
        Material("RSA-HSM", 2048, frozenset({"wrapKey", "unwrapKey", "sign"})),
        Material("RSA", 3072, frozenset({"sign"})),
        Material("EC", 0, frozenset({"sign", "verify"})),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> KeyHistory:
    """Any history whose materials are known."""
    versions = tuple(
        KeyVersion(
            f"{number:032x}",
            draw(days),
            draw(st.booleans()),
            draw(st.none() | days),
            draw(st.none() | days),
            material=draw(materials),
        )
        for number in range(draw(st.integers(1, 6)))
    )
    return KeyHistory(KEY, versions, draw(st.sampled_from(versions)).version, NOW)


@given(histories())
def test_the_chosen_version_is_usable_and_none_that_is_usable_is_newer(history: KeyHistory) -> None:
    chosen = newest_usable(history, RULES, NOW)
    fit = [v for v in history.versions if v.state(NOW) is State.USABLE and v.material and RULES.accept(v.material)]
    if isinstance(chosen, KeyVersion):
        assert chosen in fit
        assert all(history.age_rank(other) <= history.age_rank(chosen) for other in fit)
    else:
        assert isinstance(chosen, Blocked)
        assert not fit


@given(histories())
def test_a_follower_gets_what_the_vault_calls_latest_or_nothing(history: KeyHistory) -> None:
    chosen = latest_usable(history, RULES, NOW)
    if isinstance(chosen, KeyVersion):
        assert chosen.version == history.latest
        assert chosen.state(NOW) is State.USABLE
    else:
        assert chosen == Blocked(Reason.LATEST_UNUSABLE, detail=getattr(chosen, "detail", ""))


def test_a_tie_of_whole_seconds_goes_to_what_the_vault_calls_latest() -> None:
    first, second = (KeyVersion(name, NOW - timedelta(days=1), material=GOOD) for name in ("a" * 32, "b" * 32))
    history = KeyHistory(KEY, (first, second), first.version, NOW)
    assert newest_usable(history, RULES, NOW) == first


def test_the_material_of_the_newest_version_alone_is_asked_for() -> None:
    old, new = KeyVersion("a" * 32, NOW - timedelta(days=9)), KeyVersion("b" * 32, NOW - timedelta(days=1))
    history = KeyHistory(KEY, (old, new), new.version, NOW)
    assert newest_usable(history, RULES, NOW) == NeedMaterial(new.version)
    assert newest_usable(history.with_material(new.version, GOOD), RULES, NOW).version == new.version  # type: ignore[union-attr]


def test_no_version_of_an_accepted_type_is_told_apart_from_no_valid_version() -> None:
    wrong = KeyVersion("a" * 32, NOW, material=Material("EC", 0, frozenset({"sign"})))
    disabled = KeyVersion("b" * 32, NOW, enabled=False, material=GOOD)
    assert newest_usable(KeyHistory(KEY, (wrong,), wrong.version, NOW), RULES, NOW) == Blocked(
        Reason.KEY_TYPE_NOT_ACCEPTED
    )
    assert newest_usable(KeyHistory(KEY, (disabled,), disabled.version, NOW), RULES, NOW) == Blocked(
        Reason.NO_USABLE_VERSION
    )


def test_the_next_activation_is_that_of_a_version_newer_than_every_usable_one() -> None:
    later = NOW + timedelta(days=3)
    usable = KeyVersion("a" * 32, NOW - timedelta(days=9), material=GOOD)
    coming = KeyVersion("b" * 32, NOW - timedelta(days=1), not_before=later)
    passed_over = KeyVersion("c" * 32, NOW - timedelta(days=20), not_before=NOW + timedelta(days=1))
    assert KeyHistory(KEY, (usable, coming, passed_over), "b" * 32, NOW).next_activation(NOW) == later
    assert KeyHistory(KEY, (usable, passed_over), "a" * 32, NOW).next_activation(NOW) is None


@pytest.mark.parametrize(
    "written",
    [
        "https://V.Vault.Azure.Net:443/keys/CMK/ABCDEF",
        "  https://v.vault.azure.net/keys/cmk/abcdef/ ",
        "HTTPS://v.vault.azure.net/Keys/cmk/abcdef",
    ],
)
def test_one_key_identifier_has_many_spellings(written: str) -> None:
    assert parse_key_url(written) == KeyRef(KEY, "abcdef")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "https://v.vault.azure.net/secrets/cmk",
        "https://v.vault.azure.net/keys/",
        "https://v.vault.azure.net/keys/a/b/c",
        "http://v.vault.azure.net/keys/a",
        "https://u@v.vault.azure.net/keys/a",
        "https://v.vault.azure.net:8443/keys/a",
        "https://v.vault.azure.net/keys/a?x=1",
        "https://v.vault.azure.net/keys/a b",
        "https://[::1/keys/a",
        "https://v.vault.azure.net/keys/../secrets",
        "https://v\u00e4.vault.azure.net/keys/a",
        "https://v\u3002vault.azure.net/keys/a",
        "https://v.example%2f.vault.azure.net/keys/a",
        "https://v.example\\.vault.azure.net/keys/a",
    ],
)
def test_what_is_no_key_identifier_is_refused(written: str) -> None:
    with pytest.raises(BadKeyUrl):
        parse_key_url(written)


@given(st.text(max_size=120))
def test_any_text_is_a_key_identifier_or_refused(text: str) -> None:
    try:
        ref = parse_key_url(text)
    except BadKeyUrl:
        return
    assert parse_key_url(ref.url) == ref


def test_the_next_version_to_become_valid_is_one_that_is_enabled_and_newer_than_what_can_be_used() -> None:
    hour = timedelta(hours=1)
    usable = KeyVersion("a", NOW - 9 * hour)
    soon = KeyVersion("b", NOW - 3 * hour, not_before=NOW + hour)
    later = KeyVersion("c", NOW - 2 * hour, not_before=NOW + 2 * hour)
    off = KeyVersion("d", NOW - hour, enabled=False, not_before=NOW + hour / 2)
    over = KeyVersion("e", NOW - hour, not_before=NOW - 2 * hour, expires=NOW - hour / 2)

    def activation(*versions: KeyVersion) -> datetime | None:
        return KeyHistory(KEY, versions, versions[0].version, NOW).next_activation(NOW)

    assert activation(usable, soon, later, off, over) == NOW + hour
    assert activation(usable, off, over) is None
    assert activation(soon, KeyVersion("f", NOW - hour / 2)) is None
