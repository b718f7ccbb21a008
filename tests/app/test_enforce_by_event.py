"""Enforcement through the whole app: one event starts it, it ends verified; by sweep; POST enforce, its dry run."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.azure import SUB, group, vault, with_two_versions
from tests.support.enforcing import ALL, CREATE, bare_vault, nothing_yet, plain, policy
from tests.support.grid_events import SUBSCRIPTION_ID
from tests.support.moving import resource
from tests.support.whole_app import CLOUD, GRID, WholeApp, arm_url, with_app

WRITTEN = "Microsoft.Resources.ResourceWriteSuccess"
NOTIFIED = "Microsoft.ResourceNotifications.Resources.CreatedOrUpdated"
ELSEWHERE = "44444444-4444-4444-4444-444444444444"
KEYS = {"kv-main": [with_two_versions()]}
SOON = datetime.fromisoformat("2026-05-01T12:16:00+00:00")  # a minute before the timer's sweep
STEPS = ["HardenVault", "CreateKey", "AssignIdentity", "GrantAccess"]
NEW = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {}}


def told_of(*types: str, schema: str = GRID) -> list[dict[str, Any]]:
    """Return event subscriptions of the Azure subscription for resource_events."""
    row = {"source": SUBSCRIPTION_ID, "endpoint": "azurefunction:resource_events", "schema": schema}
    return [{**row, "includedEventTypes": list(types)}]


def ended(app: WholeApp, name: str = "stnew") -> list[dict[str, Any]]:
    """Return what the outcome topic heard about an account."""
    return [one["data"] for one in app.outcomes() if str((one["data"].get("address") or {}).get("url")).endswith(name)]


def uses_key(app: WholeApp, one: dict[str, Any]) -> bool:
    found = app.body(one)["properties"]["encryption"]["keySource"]
    return str(found).lower() == "microsoft.keyvault"


@pytest.mark.parametrize(("type_", "schema"), [(WRITTEN, GRID), (WRITTEN, CLOUD), (NOTIFIED, CLOUD)])
def test_one_event_about_a_new_resource_starts_it_and_it_ends_verified(tmp_path: Path, type_: str, schema: str) -> None:
    one = plain("stnew")

    async def story(app: WholeApp) -> None:
        app.other_hand("PUT", arm_url(one["id"]), NEW)
        await app.run_until_quiet()
        first = ended(app)[0]
        assert first["outcome"]["type"] == "converged"
        assert first["outcome"]["certainty"] == "reported"
        assert [step["step"]["type"] for step in first["did"]] == STEPS
        writes = len(app.calls("write"))
        await app.run_until_quiet(timedelta(hours=7))
        assert len(app.calls("write")) == writes
        assert app.queued() == 0

    described = nothing_yet(plain("stold"), bare_vault(), eventSubscriptions=told_of(type_, schema=schema))
    with_app(described, story, environ=policy(tmp_path, ALL, CREATE, "where: {names: [stnew]}"))


def test_one_event_about_a_new_resource_makes_its_vault_too_and_ends_verified(tmp_path: Path) -> None:
    one = plain("stnew")
    lines = ("may: [create-vault, create-key, grant]", "createVault: {resourceGroup: rg-data}", CREATE)

    async def story(app: WholeApp) -> None:
        app.other_hand("PUT", arm_url(one["id"]), NEW)
        dry = await app.post("enforce", {"resource": one["id"], "dryRun": True})
        await app.run_until_quiet()
        first = ended(app)[0]
        assert first["outcome"]["certainty"] == "reported"
        steps = [step["step"]["type"] for step in first["did"]]
        assert steps == ["CreateVault", *STEPS[1:]]
        assert [step["type"] for step in dry.body["steps"]] == [*steps, "SetKeys"]
        made = app.world.resources.get(f"{group()}/providers/Microsoft.KeyVault/vaults/kv-westeurope")
        assert made is not None
        assert app.queued() == 0

    described = nothing_yet(plain("stold"), vault(), eventSubscriptions=told_of(WRITTEN), graphLag=300)
    key = "'https://kv-{location}.vault.azure.net/keys/cmk'"
    with_app(described, story, environ=policy(tmp_path, *lines, "where: {names: [stnew]}", key=key))


def test_one_event_about_a_hub_brings_what_it_stands_on_under_keys(tmp_path: Path) -> None:
    below = plain("stbelow")
    hub = resource("Microsoft.MachineLearningServices/workspaces", "hub", {})
    made = {"location": "westeurope", "kind": "Hub", "properties": {"storageAccount": below["id"]}}

    async def story(app: WholeApp) -> None:
        app.other_hand("PUT", arm_url(hub["id"]), made)
        await app.run_until_quiet()
        assert uses_key(app, below)
        (told, *_) = ended(app, "/hub")
        assert [one["reason"] for one in told["outcome"]["blocked"]] == ["chosen_at_creation"]

    described = nothing_yet(below, vault(), keys=KEYS, eventSubscriptions=told_of(WRITTEN))
    with_app(described, story, environ=policy(tmp_path, ALL))


def test_a_sweep_brings_in_what_no_event_told_of_in_every_subscription(tmp_path: Path) -> None:
    here, far = plain("sthere"), plain("stfar")
    far["id"] = far["id"].replace(group(), group(ELSEWHERE))

    async def story(app: WholeApp) -> None:
        await app.pass_time(timedelta(minutes=3))
        await app.run_until_quiet()
        assert [uses_key(app, one) for one in (here, far)] == [True, True]

    described = nothing_yet(here, far, vault(), keys=KEYS)
    described["subscriptions"] = [{**described["subscriptions"][0], "subscriptionId": one} for one in (SUB, ELSEWHERE)]
    with_app(described, story, environ=policy(tmp_path, ALL), start=SOON)


def test_post_enforce_shows_the_steps_in_a_dry_run_and_then_takes_them(tmp_path: Path) -> None:
    one = plain("stnew")

    async def story(app: WholeApp) -> None:
        told = await app.post("enforce", {"resource": one["id"], "dryRun": True})
        assert told.status == 200
        assert [step["type"] for step in told.body["steps"]] == [*STEPS, "SetKeys"]
        every = await app.post("enforce", {"all": True, "dryRun": True})
        assert [found["steps"] for found in every.body["resources"]] == [told.body["steps"]]
        assert app.calls("write") == []
        assert (await app.post("enforce", {"resource": one["id"]})).status == 202
        await app.run_until_quiet()
        assert uses_key(app, one)
        assert (await app.post("enforce", {"resource": one["id"], "dryRun": True})).body["steps"] == []

    with_app(nothing_yet(one, bare_vault()), story, environ=policy(tmp_path, ALL, CREATE))


def test_post_enforce_for_everything_begins_a_sweep(tmp_path: Path) -> None:
    one = plain("stnew")

    async def story(app: WholeApp) -> None:
        assert (await app.post("enforce", {"all": True})).status == 202
        await app.run_until_quiet()
        assert uses_key(app, one)

    with_app(nothing_yet(one, keys=KEYS), story, environ=policy(tmp_path, ALL))


def test_post_enforce_wants_one_thing_named() -> None:
    async def story(app: WholeApp) -> None:
        for wish in ({}, {"resource": plain()["id"], "all": True}, {"resource": "stnew"}, {"all": True, "force": True}):
            assert (await app.post("enforce", wish)).is_problem(400, "bad_request"), wish
        assert app.queued() == 0

    with_app(nothing_yet(plain()), story)


def test_as_shipped_a_new_resource_on_the_platforms_key_is_told_of_and_left_alone() -> None:
    one = plain("stnew")

    async def story(app: WholeApp) -> None:
        app.other_hand("PUT", arm_url(one["id"]), NEW)
        await app.pass_time(timedelta(minutes=3))
        await app.run_until_quiet()
        blocked = ended(app)[0]["outcome"]["blocked"]
        assert [found["reason"] for found in blocked] == ["not_encrypted"]
        assert not uses_key(app, one)

    with_app(nothing_yet(plain("stold"), vault(), eventSubscriptions=told_of(WRITTEN)), story, start=SOON)
