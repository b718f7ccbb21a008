"""Events of any shape: read or refused, and whatever comes in, the queue takes only names."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import BadEvent, Ignored, Reader, parse_events, types_of, work_for
from shared.domain.work import Source, decode
from shared.errors import Refusal
from shared.services.registry import services
from shared.usecases.intake import replay, take_delivery
from tests.fuzz.shapes import JSON, assert_names_only, examples, mutated, told, written
from tests.support.azure import TOPIC, Azure, account, estate, on_azure, scope
from tests.support.grid_events import FORGED, SUBSCRIPTION_ID, VAULT_ID, event, key_event, resource_event
from tests.support.whole_app import CLOUD

NOW = datetime(2026, 5, 1, tzinfo=UTC)
READER = Reader(".vault.azure.net", types_of(services()))
ACCOUNT, GRANT = str(account("st1")["id"]), f"{VAULT_ID}/providers/Microsoft.Authorization/roleAssignments/1"
CLAIMS = {"claims": json.dumps({"appid": "x"})}
VALID: list[Any] = [
    key_event(),
    key_event(schema=CLOUD),
    {**key_event(), "deadLetterReason": "MaxDeliveryAttemptsExceeded", "deliveryAttempts": 30},
    event("Microsoft.KeyVault.KeyNearExpiry", {"VaultName": "kv-main", "ObjectName": "cmk"}),
    event("Microsoft.KeyVault.VaultAccessPolicyChanged", None),
    resource_event(ACCOUNT, data=CLAIMS),
    resource_event(str(scope("st1", "one")["id"]), schema=CLOUD),
    resource_event(GRANT),
    resource_event(VAULT_ID),
    event(
        "Microsoft.ResourceNotifications.Resources.Deleted", {"resourceInfo": {"id": ACCOUNT}}, topic=SUBSCRIPTION_ID
    ),
    *FORGED.values(),
]
OURS = {
    "management.azure.com",
    "cmkautopilot.queue.core.windows.net",
    "cmkautopilot.blob.core.windows.net",
    "kv-main.vault.azure.net",
    TOPIC,
    "127.0.0.1",
}
BODIES = mutated(VALID) | mutated([VALID]) | st.lists(mutated(VALID), max_size=4) | JSON


def assert_taken_or_refused(body: str) -> None:
    events = told(BadEvent, lambda: parse_events(body))
    if isinstance(events, Exception):
        assert len(str(events)) < 200
        return
    for one in events:
        found = work_for(one, READER, now=NOW, source=Source.EVENT, spare_id="spare")
        if isinstance(found, Ignored):
            assert len(found.event_id) <= 64
            assert len(found.event_type) <= 100
        else:
            assert_names_only(found)


@examples(120)
@given(BODIES)
def test_an_event_of_any_shape_leads_to_names_or_to_nothing(body: Any) -> None:
    assert_taken_or_refused(written(body).decode("utf-8", "surrogatepass"))


@examples(80)
@given(mutated(VALID).map(written), st.integers(0, 2000), st.binary(max_size=8))
def test_bytes_put_anywhere_into_an_event_break_nothing(body: bytes, at: int, more: bytes) -> None:
    assert_taken_or_refused((body[:at] + more + body[at:]).decode("utf-8", "replace"))


@examples(3, cost=50)
@given(st.lists(BODIES.map(written), min_size=3, max_size=8))
def test_no_delivery_and_no_replay_ends_in_anything_but_work_or_a_refusal(bodies: list[bytes]) -> None:
    async def story(azure: Azure) -> None:
        for body in (written(key_event()), *bodies):  # the good one makes the queue
            await take_delivery(azure.app.context, body.decode("utf-8", "replace"), lambda: "spare")
            with suppress(Refusal):
                await replay(azure.app.context, body, Source.REPLAY, lambda: "spare", dry_run=False)
        for text in azure.waiting():
            assert_names_only(decode(base64.b64decode(text).decode()))
        await azure.drain()
        assert {urlsplit(one.url).hostname for one in azure.world.log} <= OURS
        assert len(azure.calls("write")) <= 1

    on_azure(estate(account("st1")), story)
