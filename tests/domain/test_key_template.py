"""The key that a rule names for each resource."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from shared.domain.key_template import could_name, key_of
from shared.domain.keys import KeyId
from shared.domain.policy import Site
from shared.domain.reasons import Blocked, Reason

SITE = Site(
    "Microsoft.Storage/storageAccounts",
    "st1",
    "11111111-1111-1111-1111-111111111111",
    "rg",
    location="West Europe",
    tags={"owner": "ledger", "Team": "payments", "empty": "", "odd": "kv.evil.example/keys/x"},
)


@pytest.mark.parametrize(
    ("template", "host", "name"),
    [
        ("https://kv-{tag:team}.vault.azure.net/keys/cmk", "kv-payments.vault.azure.net", "cmk"),
        ("https://kv-{tag: OWNER }.vault.azure.net/keys/cmk", "kv-ledger.vault.azure.net", "cmk"),
        ("https://kv-{location}.vault.azure.net/keys/{service}", "kv-westeurope.vault.azure.net", "storage"),
        ("https://kv.vault.azure.net/keys/k-{subscription}", "kv.vault.azure.net", f"k-{SITE.subscription}"),
    ],
)
def test_each_place_is_filled_with_what_it_names(template: str, host: str, name: str) -> None:
    assert key_of(template, SITE) == KeyId(host, name)


@pytest.mark.parametrize("tag", ["absent", "empty", "odd"])
def test_a_tag_that_is_not_there_or_would_lead_elsewhere_names_no_key(tag: str) -> None:
    found = key_of(f"https://kv-{{tag:{tag}}}.vault.azure.net/keys/cmk", SITE)
    assert isinstance(found, Blocked)
    assert found.reason is Reason.KEY_TEMPLATE


def test_a_location_that_is_not_told_names_no_key() -> None:
    found = key_of("https://kv-{location}.vault.azure.net/keys/cmk", replace(SITE, location=""))
    assert isinstance(found, Blocked)


def test_a_template_could_name_the_keys_that_it_would_name_for_some_resource_and_no_others() -> None:
    template = "https://kv-{location}.vault.azure.net/keys/CMK/"
    assert could_name(template, KeyId("kv-westeurope.vault.azure.net", "cmk"))
    assert not could_name(template, KeyId("kv-westeurope.vault.azure.net", "other"))
    assert not could_name(template, KeyId("vault-westeurope.vault.azure.net", "cmk"))
