"""Resource ids: what is read as one, and what never becomes part of a path."""

from __future__ import annotations

import pytest

from shared.domain.resource import LONGEST_ID, BadAddress, address_of

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-data"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st1"


@pytest.mark.parametrize(
    "written",
    [
        f"{ACCOUNT}/encryptionScopes/..",
        f"{GROUP}/providers/Microsoft.Storage/storageAccounts/..",
        ACCOUNT.replace("rg-data", "."),
        ACCOUNT.replace("rg-data", "rg/../own"),
        f"{ACCOUNT}//encryptionScopes/x",
        f"{ACCOUNT}%2f..",
        f"{ACCOUNT}?x=1",
        f"{ACCOUNT}#x",
        f"{ACCOUNT}\\x",
        f"{ACCOUNT}\nx",
        f"{ACCOUNT} x",
        f"{ACCOUNT}\u202e",
        f"{ACCOUNT}/providers/Microsoft.Authorization/roleAssignments/1",
        f"{GROUP}/providers/Microsoft.Storage",
        ACCOUNT.removeprefix("/"),
        f"https://management.azure.com{ACCOUNT}",
    ],
)
def test_what_is_no_resource_id_is_refused(written: str) -> None:
    with pytest.raises(BadAddress):
        address_of(written)


def test_an_id_may_be_as_long_as_azure_lets_it_and_no_longer() -> None:
    longest = ACCOUNT + "x" * (LONGEST_ID - len(ACCOUNT))
    assert address_of(longest).url == longest
    with pytest.raises(BadAddress):
        address_of(f"{longest}x")
