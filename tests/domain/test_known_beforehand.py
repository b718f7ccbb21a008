"""What is known of a write before it is made: whether a lock, a denial or the app's own roles are in its way."""

from __future__ import annotations

import pytest

from shared.domain.beforehand import Denial, Need, Right, allowed, denied, locked

GROUP = "/subscriptions/s/resourceGroups/rg"
PLACE = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
WRITE = Need(PLACE, "Microsoft.KeyVault/vaults/write", PLACE)
DATA = Need(PLACE, "Microsoft.KeyVault/vaults/keys/read", PLACE, data=True)
ALL = ("*",)


@pytest.mark.parametrize("scope", [PLACE, PLACE.upper(), GROUP, f"{GROUP}/", "/subscriptions/S"])
def test_a_lock_holds_all_that_lies_below_it_however_it_is_spelled(scope: str) -> None:
    assert locked(WRITE, [scope]) is not None
    assert denied(WRITE, [Denial(scope, ALL)]) is not None


@pytest.mark.parametrize("scope", [f"{PLACE}x", f"{GROUP}x", f"{PLACE}/keys/cmk", "/subscriptions/other"])
def test_a_lock_beside_or_below_is_in_nobodys_way(scope: str) -> None:
    assert locked(WRITE, [scope]) is None
    assert denied(WRITE, [Denial(scope, ALL)]) is None


def test_a_lock_is_against_writes_of_resources_and_not_of_what_is_in_a_vault() -> None:
    assert locked(DATA, [PLACE]) is None
    assert locked(Need(PLACE, "Microsoft.KeyVault/vaults/register/action", PLACE), [PLACE]) is None


def test_a_denial_for_its_own_place_alone_holds_there_however_it_is_spelled_and_not_below() -> None:
    assert denied(WRITE, [Denial(PLACE.upper(), ALL, here_only=True)]) is not None
    assert denied(WRITE, [Denial(GROUP, ALL, here_only=True)]) is None


def test_a_denial_of_actions_is_none_of_data_and_the_other_way_round() -> None:
    assert denied(DATA, [Denial(PLACE, ALL)]) is None
    assert denied(WRITE, [Denial(PLACE, (), data_actions=ALL)]) is None
    assert denied(DATA, [Denial(PLACE, (), data_actions=ALL)]) is not None


def test_what_a_denial_leaves_out_it_does_not_deny() -> None:
    assert denied(WRITE, [Denial(PLACE, ALL, ("microsoft.keyvault/*",))]) is None
    assert denied(DATA, [Denial(PLACE, (), data_actions=ALL, not_data_actions=("*/read",))]) is None


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        ((), True),
        ((Right(("microsoft.keyvault/vaults/*",)),), True),
        ((Right(("*/read",)),), False),
        ((Right(ALL, ("microsoft.keyvault/*",)),), False),
        ((Right(("*/read",)), Right(("*/write",))), True),
        ((Right((), tells=False),), True),
    ],
    ids=["nothing told", "allowed", "another action", "left out", "by one of two", "not told of writes"],
)
def test_the_app_may_write_where_one_of_its_roles_says_so_or_none_says(rights: tuple[Right, ...], *, may: bool) -> None:
    assert allowed(WRITE, rights) is may


def test_a_right_to_write_is_no_right_to_data() -> None:
    assert not allowed(DATA, [Right(ALL)])
    assert allowed(DATA, [Right((), data_actions=("*/read",))])
    assert not allowed(DATA, [Right((), data_actions=ALL, not_data_actions=("*/keys/read",))])
    assert allowed(DATA, [Right((), tells_data=False)])
