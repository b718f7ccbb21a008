"""Events in either schema, with every quirk that was seen in the field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import BadEvent, Ignored, Reader, Skip, parse_events, work_for
from shared.domain.keys import KeyId
from shared.domain.work import CheckKey, CheckResource, CheckVault, Source, WorkItem

NOW = datetime(2026, 1, 25, 2, tzinfo=UTC)
SUB = "/subscriptions/11111111-1111-1111-1111-111111111111"
VAULT = f"{SUB}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-demo"
ACCOUNT = f"{SUB}/resourcegroups/rg/providers/Microsoft.Storage/storageAccounts/stdemo"
OWN = "44444444-4444-4444-4444-444444444444"
READER = Reader(
    ".vault.azure.net",
    frozenset({"microsoft.storage/storageaccounts", "microsoft.storage/storageaccounts/encryptionscopes"}),
    frozenset({OWN}),
)
KEY_DATA = {
    "Id": "https://kv-demo.vault.azure.net/keys/cmk/ee059b2bb5bc48398a53b168c6cdcb10",
    "VaultName": "kv-demo",
    "ObjectType": "Key",
    "ObjectName": "cmk",
    "Version": "ee059b2bb5bc48398a53b168c6cdcb10",
    "NBF": None,
    "EXP": 1800838113,
}


def event_grid(type_: str, data: Any, topic: str = VAULT, subject: str = "cmk") -> dict[str, Any]:
    return {
        "id": "00eccf70-95a7-4e7c-8299-2eb17ee9ad61",
        "topic": topic,
        "subject": subject,
        "eventType": type_,
        "data": data,
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": "2026-01-25T01:08:33.1036736Z",
    }


def cloud_event(type_: str, data: Any, source: str = VAULT, subject: str = "cmk") -> dict[str, Any]:
    return {
        "id": "00eccf70-95a7-4e7c-8299-2eb17ee9ad61",
        "source": source,
        "subject": subject,
        "type": type_,
        "time": "2026-01-25T03:08:33.1036736+02:00",
        "data": data,
        "specversion": "1.0",
    }


def work(body: Any) -> list[WorkItem | Ignored]:
    text = body if isinstance(body, str) else json.dumps(body)
    return [work_for(event, READER, now=NOW, source=Source.EVENT, spare_id="spare") for event in parse_events(text)]


def one(body: Any) -> WorkItem | Ignored:
    (found,) = work(body)
    return found


NEW_VERSION = "Microsoft.KeyVault.KeyNewVersionCreated"


@pytest.mark.parametrize("type_", [NEW_VERSION, "Microsoft.KeyVault.KeyNearExpiry", "Microsoft.KeyVault.KeyExpired"])
@pytest.mark.parametrize("schema", [event_grid, cloud_event])
@pytest.mark.parametrize("batched", [True, False])
def test_a_key_event_asks_to_look_at_the_key_in_either_schema_alone_or_in_an_array(
    type_: str,
    schema: Any,
    batched: bool,  # noqa: FBT001
) -> None:
    body = schema(type_, KEY_DATA)
    found = one([body] if batched else body)
    assert isinstance(found, CheckKey)
    assert (found.key, found.vault_id) == (KeyId("kv-demo.vault.azure.net", "cmk"), VAULT)
    assert found.cause.id == body["id"]
    assert found.asked_at == NOW


def test_data_in_camel_case_with_stray_blanks_and_dates_as_strings_is_understood() -> None:
    data = {
        "id": " https://KV-Demo.vault.azure.net:443/keys/CMK/ee059b2b ",
        "vaultName": "kv-demo",
        "objectType": "Key",
        "objectName ": "cmk",
        "version": " ee059b2b",
        "nbf": "1559081980",
        "exp": "1559082102",
    }
    found = one(event_grid(NEW_VERSION, data))
    assert isinstance(found, CheckKey)
    assert found.key == KeyId("kv-demo.vault.azure.net", "cmk")


def test_without_an_identifier_the_vault_and_object_names_serve() -> None:
    found = one(event_grid(NEW_VERSION, {"VaultName": "kv-demo", "ObjectName": "cmk", "ObjectType": "Key"}))
    assert isinstance(found, CheckKey)
    assert found.key == KeyId("kv-demo.vault.azure.net", "cmk")


def test_an_event_whose_topic_is_another_vault_asks_for_nothing() -> None:
    forged = {**KEY_DATA, "Id": "https://evil.vault.azure.net/keys/cmk/1"}
    assert one(event_grid(NEW_VERSION, forged)) == Ignored(
        "00eccf70-95a7-4e7c-8299-2eb17ee9ad61", NEW_VERSION, Skip.TOPIC_MISMATCH
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({**KEY_DATA, "ObjectType": "Secret"}, Skip.NOT_A_KEY),
        ({"Id": "https://kv-demo.vault.azure.net/secrets/cmk/1"}, Skip.NOT_A_KEY),
        ({"Id": "https://kv-demo.vault.azure.net/keys/../x"}, Skip.NO_NAME),
        ({}, Skip.NO_NAME),
        (None, Skip.NO_NAME),
        ("text", Skip.NO_NAME),
        ([1], Skip.NO_NAME),
    ],
)
def test_a_key_event_that_names_no_key_says_why_it_asks_for_nothing(data: Any, why: Skip) -> None:
    found = one(event_grid(NEW_VERSION, data, subject=""))
    assert isinstance(found, Ignored)
    assert found.why is why


def test_a_changed_access_policy_asks_to_look_at_the_vault_by_its_topic() -> None:
    found = one(event_grid("Microsoft.KeyVault.VaultAccessPolicyChanged", None))
    assert isinstance(found, CheckVault)
    assert found.vault_id == VAULT


def resource_data(id_: str, principal: str = "55555555-5555-5555-5555-555555555555") -> dict[str, Any]:
    return {
        "resourceUri": id_,
        "operationName": "Microsoft.Storage/storageAccounts/write",
        "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": principal, "appid": "x"},
    }


@pytest.mark.parametrize("type_", ["ResourceWriteSuccess", "ResourceDeleteSuccess"])
@pytest.mark.parametrize("schema", [event_grid, cloud_event])
def test_a_written_or_deleted_resource_of_a_known_type_is_looked_at(type_: str, schema: Any) -> None:
    found = one(schema(f"Microsoft.Resources.{type_}", resource_data(ACCOUNT), SUB, ACCOUNT))
    assert isinstance(found, CheckResource)
    assert (found.address.url, found.address.type) == (ACCOUNT, "Microsoft.Storage/storageAccounts")


@pytest.mark.parametrize("type_", ["CreatedOrUpdated", "Deleted"])
def test_a_resource_notification_is_looked_at_by_the_id_in_it(type_: str) -> None:
    data = {"resourceInfo": {"id": ACCOUNT.upper(), "type": "x", "tags": "a string"}, "apiVersion": "2019-06-01"}
    found = one(event_grid(f"Microsoft.ResourceNotifications.Resources.{type_}", data, SUB, ""))
    assert isinstance(found, CheckResource)
    assert found.address.folded == ACCOUNT.lower()


@pytest.mark.parametrize("claims", [dict, json.dumps])
def test_our_own_write_coming_back_asks_for_nothing_whether_claims_are_an_object_or_a_string(claims: Any) -> None:
    data = resource_data(ACCOUNT, OWN.upper())
    data["claims"] = claims(data["claims"])
    found = one(event_grid("Microsoft.Resources.ResourceWriteSuccess", data, SUB, ACCOUNT))
    assert isinstance(found, Ignored)
    assert found.why is Skip.OWN_WRITE


@pytest.mark.parametrize(
    ("id_", "why"),
    [
        (f"{SUB}/resourcegroups/rg/providers/Microsoft.Resources/deployments/d", Skip.NO_SERVICE),
        (f"{ACCOUNT}/blobServices/default", Skip.NO_SERVICE),
        (f"{SUB}/resourceGroups/rg", Skip.NO_SERVICE),
        ("nonsense", Skip.NO_NAME),
        (f"{SUB}/providers/Microsoft.Authorization/roleAssignments/1", Skip.WIDE_GRANT),
        (f"{ACCOUNT}/../x", Skip.NO_SERVICE),
    ],
)
def test_resources_that_hold_no_key_ask_for_nothing(id_: str, why: Skip) -> None:
    found = one(event_grid("Microsoft.Resources.ResourceWriteSuccess", resource_data(id_), SUB, id_))
    assert isinstance(found, Ignored)
    assert found.why is why


@pytest.mark.parametrize(
    "id_", [VAULT, f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/66666666-6666-6666-6666-666666666666"]
)
def test_a_write_to_a_vault_or_a_grant_on_it_asks_to_look_at_the_vault(id_: str) -> None:
    found = one(event_grid("Microsoft.Resources.ResourceWriteSuccess", resource_data(id_), SUB, id_))
    assert isinstance(found, CheckVault)
    assert found.vault_id == VAULT


@pytest.mark.parametrize("more", ["\n/", "\u00a0/", "\r\n//", "\x1f/"])
def test_a_topic_with_blanks_before_its_last_slash_names_no_vault(more: str) -> None:
    for type_, why in (
        (NEW_VERSION, Skip.TOPIC_MISMATCH),
        ("Microsoft.KeyVault.VaultAccessPolicyChanged", Skip.NO_NAME),
    ):
        found = one(event_grid(type_, KEY_DATA, VAULT + more))
        assert isinstance(found, Ignored)
        assert found.why is why


def test_a_number_that_nothing_can_hold_spoils_its_own_event_only() -> None:
    body = json.dumps([event_grid(NEW_VERSION, {"EXP": "BIG"}), event_grid(NEW_VERSION, KEY_DATA)])
    first, second = work(body.replace('"BIG"', "9" * 5000))
    assert isinstance(first, Ignored)
    assert isinstance(second, CheckKey)


def test_a_dead_letter_is_read_like_the_event_it_holds() -> None:
    letter = {**event_grid(NEW_VERSION, KEY_DATA), "deadLetterReason": "MaxDeliveryAttemptsExceeded"}
    assert isinstance(one([letter]), CheckKey)


def test_an_event_id_that_is_no_plain_id_is_replaced() -> None:
    found = one({**event_grid(NEW_VERSION, KEY_DATA), "id": "x\r\ninjected: y"})
    assert isinstance(found, CheckKey)
    assert found.cause.id == "spare"


def test_other_event_types_and_handshakes_ask_for_nothing() -> None:
    shake = one(event_grid("Microsoft.EventGrid.SubscriptionValidationEvent", {"validationCode": "x"}))
    other = one(event_grid("Microsoft.Storage.BlobCreated", {}))
    assert isinstance(shake, Ignored)
    assert isinstance(other, Ignored)
    assert (shake.why, other.why) == (Skip.HANDSHAKE, Skip.OTHER_TYPE)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[" * 100_000, "\ud800", "x" * 3_000_000, str([0] * 6000)],
)
def test_garbage_is_refused_without_repeating_it(body: str) -> None:
    with pytest.raises(BadEvent) as caught:
        work(body)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("body", ["null", "[1]", "{}", '{"eventType": 3}'])
def test_what_is_no_event_asks_for_nothing(body: str) -> None:
    found = one(body)
    assert isinstance(found, Ignored)
    assert found.why is Skip.UNREADABLE


def test_one_that_is_no_event_does_not_take_its_neighbours_along() -> None:
    first, second, third = work(["x", event_grid(NEW_VERSION, KEY_DATA), {"id": "1"}])
    assert isinstance(second, CheckKey)
    assert isinstance(first, Ignored)
    assert isinstance(third, Ignored)


def test_an_event_of_a_megabyte_is_read() -> None:
    body = json.dumps(event_grid(NEW_VERSION, {**KEY_DATA, "padding": "x" * 1_000_000}))
    assert isinstance(one(body), CheckKey)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
known_types = st.sampled_from([NEW_VERSION, "Microsoft.Resources.ResourceWriteSuccess", "Microsoft.KeyVault.X"])


@given(known_types, json_values, json_values, json_values)
def test_no_payload_whatever_makes_the_reader_fail(type_: str, data: Any, topic: Any, subject: Any) -> None:
    for schema in (event_grid, cloud_event):
        found = one(schema(type_, data, topic, subject))
        assert isinstance(found, Ignored | CheckKey | CheckVault | CheckResource)


@given(st.text(max_size=300))
def test_any_text_is_an_event_or_refused(body: str) -> None:
    try:
        work(body)
    except BadEvent:
        return
