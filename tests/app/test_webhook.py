"""The Event Grid webhook: what is garbage or forged is let go, and nothing leaves for a stranger."""

from __future__ import annotations

import json

import pytest

from tests.support.azure import MID, OLD, TOPIC, account, estate
from tests.support.grid_events import FORGED, GARBAGE, VAULT_ID, key_event
from tests.support.whole_app import CLOUD, GRID, WholeApp, with_app

OURS = {
    "management.azure.com": "https://management.azure.com",
    "kv-main.vault.azure.net": "https://vault.azure.net",
    "cmkautopilot.queue.core.windows.net": "https://storage.azure.com",
    "cmkautopilot.blob.core.windows.net": "https://storage.azure.com",
    TOPIC: "https://eventgrid.azure.net",
    "127.0.0.1": "",  # the managed identity endpoint, which takes no token
}
FUNCTIONS = ["key_events", "resource_events"]


def strangers(app: WholeApp) -> list[tuple[str, str]]:
    """Return requests to hosts that are not ours, and tokens that went where they were not made for."""
    return [(one.host, one.token_for) for one in app.tried if one.token_for not in {"", OURS.get(one.host)}] + [
        (one.host, "") for one in app.tried if one.host not in OURS
    ]


@pytest.mark.parametrize("to", FUNCTIONS)
def test_garbage_is_accepted_and_leads_to_nothing(to: str) -> None:
    async def story(app: WholeApp) -> None:
        for name, body in GARBAGE.items():
            assert await app.deliver(body, to=to) == 202, name
            assert app.queued() == 0, name
        await app.run_until_quiet()
        assert strangers(app) == []
        assert app.calls("read", "write", "vault") == []

    with_app(estate(account("st1")), story)


def test_what_event_grid_brings_is_taken_once_even_if_it_is_garbage() -> None:
    async def story(app: WholeApp) -> None:
        for data in ({}, {"Id": 7}, {"Id": "https://evil.example/keys/k"}, {"ObjectType": None}):
            app.world.emit(VAULT_ID, "cmk", "Microsoft.KeyVault.KeyNewVersionCreated", data)
        await app.run_until_quiet()
        totals = app.stage.pump.totals
        assert (totals.delivered, totals.failed, totals.dead) == (4, 0, 0)
        assert app.events.waiting() == 0

    with_app(estate(account("st1")), story)


def test_garbage_does_not_keep_good_events_of_the_same_body_from_being_taken() -> None:
    behind = account("st1")

    async def story(app: WholeApp) -> None:
        assert await app.deliver([{"eventType": 1}, key_event(), {"x": []}]) == 202
        await app.run_until_quiet()
        assert app.in_use(behind) == MID

    with_app(estate(behind), story)


def test_a_forged_event_sends_no_request_and_no_token_to_any_vault() -> None:
    async def story(app: WholeApp) -> None:
        for name, forged in FORGED.items():
            assert await app.deliver([forged]) == 202, name
            await app.run_until_quiet()
            assert strangers(app) == [], name
            assert [one.url for one in app.tried if "vault" in one.host] == [], name
            assert app.queued() == 0, name
        assert app.calls("vault") == []

    with_app(estate(account("st1")), story)


def test_the_app_s_tokens_go_only_where_they_were_made_for() -> None:
    async def story(app: WholeApp) -> None:
        app.rotate()
        await app.run_until_quiet()
        assert strangers(app) == []
        assert {one.host for one in app.tried} == set(OURS)

    with_app(estate(account("st1")), story)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_an_event_of_a_megabyte_is_taken(schema: str) -> None:
    behind = account("st1")
    large = key_event(schema=schema)
    large["data"]["note"] = "x" * 1_000_000

    async def story(app: WholeApp) -> None:
        assert await app.deliver([large] if schema == GRID else large, schema) == 202
        await app.run_until_quiet()
        assert app.in_use(behind) == MID

    with_app(estate(behind), story)


def test_deep_nesting_breaks_neither_the_host_nor_the_app() -> None:
    behind = account("st1", OLD)
    deep = json.dumps(key_event()).replace('"NBF": null', f'"NBF": {"[" * 400}{"]" * 400}')
    bottomless = "[" * 200_000 + "]" * 200_000

    async def story(app: WholeApp) -> None:
        assert await app.deliver(bottomless) == 500  # the host's own parser gives up, as Azure's does
        assert await app.deliver(deep) == 202
        await app.run_until_quiet()
        assert app.in_use(behind) == MID

    with_app(estate(behind), story)


def test_a_body_that_is_no_json_is_the_host_s_to_refuse() -> None:
    async def story(app: WholeApp) -> None:
        for body in (b"", b"\xff\xfe", b"{", b"<xml/>"):
            assert await app.deliver(body) == 500
        assert app.queued() == 0

    with_app(estate(account("st1")), story)
