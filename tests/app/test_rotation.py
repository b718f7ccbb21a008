"""A key is rotated in its vault: Event Grid tells the app, and everything that uses the key converges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.eventgrid.subscriptions import of_type
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from tests.support.azure import MID, OLD, SUB, account, estate, group, scope, vault
from tests.support.whole_app import CLOUD, GRID, POISON, QUEUE, WholeApp, with_app

CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
VAULT_ID = str(vault()["id"])
USERS = [account("st1", MID), account("st2", MID), account("stold", OLD), scope("st1", "one", MID)]


def subscriptions(schema: str) -> list[dict[str, Any]]:
    """Both functions, told in one schema."""
    return [
        {"source": VAULT_ID, "endpoint": "azurefunction:key_events", "schema": schema},
        {"source": f"/subscriptions/{SUB}", "endpoint": "azurefunction:resource_events", "schema": schema},
    ]


def deliver_first_again(app: WholeApp) -> None:
    """Event Grid brings the first rotation's event once more."""
    first = next(one for one in app.events.history if one.event.type == CREATED)
    app.stage.pump.duplicate(first.event.id)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_every_user_is_moved_and_verified_whatever_the_schema(schema: str) -> None:
    async def story(app: WholeApp) -> None:
        new = app.rotate()
        await app.run_until_quiet()
        assert [app.in_use(one) for one in USERS] == [new] * len(USERS)
        assert (app.queued(QUEUE), app.queued(POISON)) == (0, 0)
        told = {one["subject"].rsplit("/", 1)[1]: one["type"] for one in app.outcomes()}
        assert told == dict.fromkeys(("st1", "st2", "stold", "one"), "CmkAutopilot.Report.Converged")
        totals = app.stage.pump.totals
        assert (totals.failed, totals.dead) == (0, 0)

    with_app(estate(*USERS, eventSubscriptions=subscriptions(schema)), story)


def test_followers_are_only_watched_until_their_service_took_the_version_up() -> None:
    followers = [account("st1", ""), scope("st1", "one", "")]

    async def story(app: WholeApp) -> None:
        new = app.rotate()
        await app.run_until_quiet()
        assert all(app.in_use(one) != new for one in followers)
        app.stage.shift(timedelta(hours=26))
        await app.run_until_quiet()
        assert [app.in_use(one) for one in followers] == [new, new]
        assert app.calls("write") == []
        assert app.queued() == 0
        ends = {one["subject"].rsplit("/", 1)[1]: one["type"] for one in app.outcomes()}
        assert ends == {"st1": "CmkAutopilot.Report.Converged", "one": "CmkAutopilot.Report.Converged"}

    with_app(estate(*followers), story, environ={"AzureWebJobs.sweep.Disabled": "true"})


def test_a_duplicate_causes_no_second_write() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.pump.duplicate(of_type(CREATED), apart=0.5)
        new = app.rotate()
        await app.run_until_quiet()
        assert app.stage.pump.totals.duplicates == 1
        assert [app.in_use(one) for one in USERS] == [new] * len(USERS)
        assert len(app.calls("write")) == len(USERS)

    with_app(estate(*USERS), story)


def test_a_late_and_stale_event_moves_nothing_back() -> None:
    async def story(app: WholeApp) -> None:
        first = app.rotate()
        await app.run_until_quiet()
        await app.pass_time(timedelta(minutes=10))
        second = app.rotate()
        await app.run_until_quiet()
        before = len(app.calls("write"))
        deliver_first_again(app)
        await app.run_until_quiet()
        assert first != second
        assert [app.in_use(one) for one in USERS] == [second] * len(USERS)
        assert len(app.calls("write")) == before

    with_app(estate(*USERS), story)


def test_events_out_of_order_end_at_the_newest_version() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.pump.delay(of_type(CREATED), 40.0)
        app.rotate()
        await app.pass_time(timedelta(seconds=10))
        second = app.rotate()
        await app.run_until_quiet(timedelta(minutes=1))
        assert app.events.waiting() == 0
        assert [app.in_use(one) for one in USERS] == [second] * len(USERS)
        assert len(app.calls("write")) == len(USERS)

    with_app(estate(*USERS), story)


@pytest.mark.parametrize("told", ["by its own event", "by nobody"])
def test_a_newer_version_on_the_way_is_where_all_end(told: str) -> None:
    made: list[str] = []

    async def story(app: WholeApp) -> None:
        inner = app.world.hooks

        def after(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and not made:
                made.append("")  # the rotation itself passes here too
                if told == "by nobody":
                    app.stage.pump.drop(of_type(CREATED))
                made[0] = app.rotate()
            return inner.after(call, answer)

        app.world.hooks = Hooks(inner.before, after)
        app.rotate()
        await app.run_until_quiet()
        assert [app.in_use(one) for one in USERS] == made * len(USERS)
        assert app.queued() == 0

    with_app(estate(*USERS), story)


@pytest.mark.parametrize("type_", ["KeyNearExpiry", "KeyExpired", "KeyNewVersionCreated"])
@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_each_key_event_sends_the_app_to_look(type_: str, schema: str) -> None:
    behind = account("st1", OLD)
    data = {
        "Id": f"https://kv-main.vault.azure.net/keys/cmk/{OLD}",
        "VaultName": "kv-main",
        "ObjectType": "Key",
        "ObjectName": "cmk",
        "Version": OLD,
        "NBF": None,
        "EXP": 1627491993,
    }
    event = {"id": "e-1", "subject": "cmk", "data": data}
    if schema == GRID:
        event |= {"topic": VAULT_ID, "eventType": f"Microsoft.KeyVault.{type_}", "dataVersion": "1"}
        event |= {"eventTime": "2026-05-01T08:00:00Z", "metadataVersion": "1"}
    else:
        event |= {"source": VAULT_ID, "type": f"Microsoft.KeyVault.{type_}", "specversion": "1.0"}

    async def story(app: WholeApp) -> None:
        assert await app.deliver([event] if schema == GRID else event, schema) == 202
        await app.run_until_quiet()
        assert app.in_use(behind) == MID

    with_app(estate(behind), story)


def test_an_event_with_every_quirk_on_record_is_understood() -> None:
    behind = account("st1", OLD)
    event = {
        "id": "e-1",
        "topic": f"{group().upper()}/providers/MICROSOFT.KEYVAULT/VAULTS/KV-MAIN/",
        "subject": "cmk",
        "eventType": "microsoft.keyvault.keynewversioncreated",
        "data": {
            "id": f" https://KV-main.vault.azure.net/keys/cmk/{OLD} ",
            "vaultName": "kv-main",
            "objectType": "key",
            "objectName ": "cmk",
            " version": f" {OLD}",
            "nbf": "1559081980",
            "exp": "",
        },
        "eventTime": "2026-05-01T10:00:00.1234567+02:00",
        "dataVersion": 1,
    }

    async def story(app: WholeApp) -> None:
        assert await app.deliver(event) == 202
        await app.run_until_quiet()
        assert app.in_use(behind) == MID

    with_app(estate(behind), story)


def test_an_event_that_the_queue_could_not_take_comes_again_and_is_not_lost() -> None:
    async def story(app: WholeApp) -> None:
        outage = {"match": {"host": ".queue.core.windows.net", "method": "POST"}, "times": 6, "do": {"status": 503}}
        app.stage.faults.put([outage])
        new = app.rotate()
        await app.run_until_quiet(timedelta(minutes=5))
        assert app.stage.pump.totals.failed > 0
        assert [app.in_use(one) for one in USERS] == [new] * len(USERS)

    with_app(estate(*USERS), story)
