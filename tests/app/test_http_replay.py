"""POST replay: recorded events do what the triggers do, and the caller is told what each led to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.azure import MID, account, estate
from tests.support.grid_events import FORGED, SUBSCRIPTION_ID, VAULT_ID, event, key_event, resource_event
from tests.support.whole_app import CLOUD, GRID, WholeApp, with_app

BEHIND = account("st1")
DEAD_LETTER = {"deadLetterReason": "MaxDeliveryAttemptsExceeded", "deliveryAttempts": 30, "lastHttpStatusCode": 500}


@pytest.mark.parametrize(
    "body",
    [
        key_event(),
        [key_event()],
        key_event(schema=CLOUD),
        [key_event(schema=CLOUD)],
        [{**key_event(), **DEAD_LETTER}],
        [{**key_event(schema=CLOUD), **{name.lower(): value for name, value in DEAD_LETTER.items()}}],
    ],
    ids=["grid", "grid array", "cloud", "cloud array", "dead letter", "cloud dead letter"],
)
def test_recorded_events_do_what_delivered_ones_do(body: Any) -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("replay", body)
        assert (reply.status, [one["result"] for one in reply.body]) == (202, ["put"])
        assert reply.body[0]["item"]["key"] == {"host": "kv-main.vault.azure.net", "name": "cmk"}
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_each_event_gets_its_own_answer() -> None:
    body = [
        key_event(id_="e1"),
        event("Contoso.Other", {}, id_="e2", schema=CLOUD),
        resource_event(str(BEHIND["id"]), id_="e3"),
        event("Microsoft.KeyVault.VaultAccessPolicyChanged", {}, id_="e4", topic=VAULT_ID),
        event("Microsoft.EventGrid.SubscriptionValidationEvent", {"validationCode": "x"}, id_="e5"),
        resource_event(f"{SUBSCRIPTION_ID}/resourceGroups/rg/providers/Microsoft.Web/sites/a", id_="e6"),
        event("Microsoft.KeyVault.KeyNewVersionCreated", {"ObjectType": "Secret"}, id_="e7"),
    ]

    async def story(app: WholeApp) -> None:
        told = (await app.post("replay", body)).body
        assert [one["eventId"] for one in told] == [f"e{number}" for number in range(1, 8)]
        assert [one["result"] for one in told] == ["put", "ignored", "put", "put", "ignored", "ignored", "ignored"]
        assert [one["item"]["type"] for one in told if one["result"] == "put"] == ["key", "resource", "vault"]
        assert all(one["why"] for one in told if one["result"] == "ignored")
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


@pytest.mark.parametrize("query", ["dryRun=1", "dryRun=yes", "dry_run=true"])
def test_a_mistyped_dry_run_is_refused_and_puts_nothing(query: str) -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post(f"replay?{query}", [key_event()])
        assert reply.is_problem(400, "bad_request")
        assert app.queued() == 0

    with_app(estate(account("st1")), story)


def test_a_dry_run_tells_the_same_and_puts_nothing() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("replay?dryRun=true", [key_event(), event("Contoso.Other", {})])
        assert (reply.status, [one["result"] for one in reply.body]) == (200, ["put", "ignored"])
        await app.run_until_quiet()
        assert app.queued() == 0
        assert {one.host for one in app.tried} <= {"127.0.0.1"}  # who we are, and no more

    with_app(estate(BEHIND), story)


UNREADABLE = {
    "nothing": b"",
    "no json": b"not json",
    "no text": b"\xff\xfe\x00",
    "cut short": json.dumps([key_event()]).encode()[:-3],
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "5001 events": json.dumps([{"id": "1"}] * 5001).encode(),
}
TOO_LARGE = {
    "3 MB": json.dumps([key_event(id_="x" * 3_000_000)]).encode(),
    "5001 whole events": json.dumps([key_event()] * 5001).encode(),
    "a bomb": b"[" * 10_000_000,
}


def test_what_cannot_be_read_is_refused_whole() -> None:
    async def story(app: WholeApp) -> None:
        for name, body in UNREADABLE.items():
            assert (await app.post("replay", body)).is_problem(400, "bad_request"), name
            assert app.queued() == 0, name

    with_app(estate(BEHIND), story)


def test_a_body_above_the_limit_is_not_read_and_puts_nothing() -> None:
    async def story(app: WholeApp) -> None:
        for name, body in TOO_LARGE.items():
            assert (await app.post("replay", body)).is_problem(413, "bad_request"), name
            assert app.queued() == 0, name

    with_app(estate(BEHIND), story)


def test_garbage_among_good_events_is_told_of_and_the_good_ones_are_taken() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("replay", [{"id": "no type"}, 7, None, key_event(), []])
        assert reply.status == 202
        assert [one["result"] for one in reply.body] == ["ignored", "ignored", "ignored", "put", "ignored"]
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_a_forged_vault_gets_no_request() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("replay", list(FORGED.values()))
        assert (reply.status, len(reply.body)) == (202, len(FORGED))
        await app.run_until_quiet()
        assert [one.url for one in app.tried if "vault" in one.host or "evil" in one.host] == []
        assert app.calls("vault") == []

    with_app(estate(BEHIND), story)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_a_megabyte_is_taken(schema: str) -> None:
    large = key_event(schema=schema)
    large["data"]["note"] = "x" * 1_000_000

    async def story(app: WholeApp) -> None:
        reply = await app.post("replay", large)
        assert (reply.status, reply.body[0]["result"]) == (202, "put")
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_a_recorded_handshake_among_events_is_passed_over() -> None:
    async def story(app: WholeApp) -> None:
        body = [event("Microsoft.EventGrid.SubscriptionValidationEvent", {"validationCode": "x"})]
        assert (await app.post("replay", body)).body[0]["why"]

    with_app(estate(BEHIND), story)
