"""Events about resources, vaults and grants: what each makes the app look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.eventgrid.subscriptions import of_type
from tests.support.azure import ENCRYPTION_USER, MID, OLD, SUB, account, estate, group, principal_of, scope, vault
from tests.support.grid_events import SUBSCRIPTION_ID, VAULT_ID, event, resource_event
from tests.support.whole_app import CLOUD, GRID, WholeApp, arm_url, with_app

NOTIFICATIONS = "Microsoft.ResourceNotifications.Resources"
GRANT = f"{VAULT_ID}/providers/Microsoft.Authorization/roleAssignments/77777777-7777-7777-7777-777777777777"
WRITTEN = "Microsoft.Resources.ResourceWriteSuccess"


def only(*types: str, schema: str = GRID) -> list[dict[str, Any]]:
    """Return one event subscription: these types of the Azure subscription, for resource_events."""
    row = {"source": SUBSCRIPTION_ID, "endpoint": "azurefunction:resource_events", "schema": schema}
    return [{**row, "includedEventTypes": list(types)}]


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_another_hand_that_goes_back_to_an_old_version_is_repaired_by_its_own_event(schema: str) -> None:
    one = account("st1", MID)

    async def story(app: WholeApp) -> None:
        app.point_at(one, OLD)
        assert app.in_use(one) == OLD
        await app.run_until_quiet()
        assert app.in_use(one) == MID
        assert app.queued() == 0

    with_app(estate(one, eventSubscriptions=only(WRITTEN, schema=schema)), story)


def test_a_second_setback_is_repaired_too_although_the_resource_was_just_found_right() -> None:
    one = account("st1", MID)

    async def story(app: WholeApp) -> None:
        for _ in range(3):
            app.point_at(one, OLD)
            await app.run_until_quiet()
            assert app.in_use(one) == MID

    with_app(estate(one), story)


def test_our_own_writes_come_back_and_are_left_alone() -> None:
    users = [account("st1"), account("st2")]

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        writes = len(app.calls("write"))
        await app.run_until_quiet(timedelta(minutes=30))
        assert (writes, len(app.calls("write"))) == (2, 2)
        own = [line for line in app.logged() if "our own write" in line]
        assert len(own) == 2
        put = [line for line in app.logged() if line.endswith("put CheckResource")]
        assert put == []

    with_app(estate(*users, eventSubscriptions=only(WRITTEN)), story)


def test_a_scope_that_another_hand_set_back_is_repaired() -> None:
    parent, nested = account("st1", MID), scope("st1", "one", MID)

    async def story(app: WholeApp) -> None:
        uri = f"https://kv-main.vault.azure.net/keys/cmk/{OLD}"
        body = {"properties": {"source": "Microsoft.KeyVault", "keyVaultProperties": {"keyUri": uri}}}
        app.other_hand("PATCH", arm_url(str(nested["id"])), body)
        assert app.in_use(nested) == OLD
        await app.run_until_quiet()
        assert app.in_use(nested) == MID

    with_app(estate(parent, nested), story)


def test_a_deleted_account_is_gone_and_nobody_minds() -> None:
    one, two = account("st1"), account("st2")

    async def story(app: WholeApp) -> None:
        app.other_hand("DELETE", arm_url(str(one["id"])))
        await app.run_until_quiet()
        assert any(f"gone {group()}".lower() in line.lower() for line in app.logged())
        assert {each["type"] for each in app.outcomes()} <= {"CmkAutopilot.Report.Gone"}
        assert (app.queued(), app.in_use(two)) == (0, OLD)

    with_app(estate(one, two), story)


def test_an_account_that_is_deleted_while_it_is_worked_on_fails_nothing() -> None:
    one, two = account("st1"), account("st2")

    async def story(app: WholeApp) -> None:
        app.world.resources.remove(str(one["id"]))
        assert (await app.post("converge", {"resource": one["id"]})).status == 202
        new = app.rotate()
        await app.run_until_quiet()
        assert app.in_use(two) == new
        assert app.queued() == 0

    with_app(estate(one, two), story)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_resource_notifications_repair_as_well(schema: str) -> None:
    one = account("st1", MID)

    async def story(app: WholeApp) -> None:
        app.point_at(one, OLD)
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one, eventSubscriptions=only(f"{NOTIFICATIONS}.CreatedOrUpdated", schema=schema)), story)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_a_notification_of_a_deleted_resource_is_taken(schema: str) -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        app.other_hand("DELETE", arm_url(str(one["id"])))
        await app.run_until_quiet()
        assert any("gone " in line and "/storageAccounts/st1" in line for line in app.logged())
        assert app.stage.pump.totals.failed == 0

    with_app(estate(one, eventSubscriptions=only(f"{NOTIFICATIONS}.Deleted", schema=schema)), story)


def test_a_grant_on_a_vault_lets_go_who_waited_for_it() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": one["id"]})
        await app.run_until_quiet(timedelta(hours=1))
        assert app.in_use(one) == OLD
        ends = [each["data"]["remedies"] for each in app.outcomes()]
        assert "key_access_denied" in ends[-1]
        role = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ENCRYPTION_USER}"
        granted = {"roleDefinitionId": role, "principalId": principal_of("st1"), "principalType": "ServicePrincipal"}
        app.other_hand("PUT", f"https://management.azure.com{GRANT}?api-version=2022-04-01", {"properties": granted})
        await app.run_until_quiet(timedelta(minutes=20))
        assert app.in_use(one) == MID

    with_app(estate(one, denied=("st1",)), story)


@pytest.mark.parametrize("type_", [WRITTEN, "Microsoft.Resources.ResourceDeleteSuccess"])
def test_a_grant_given_or_taken_on_a_vault_makes_the_app_look_at_its_users(type_: str) -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        assert await app.deliver([resource_event(GRANT, type_)], to="resource_events") == 202
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one), story)


def test_a_grant_made_above_a_vault_is_left_to_those_who_wait_for_it() -> None:
    wide = f"{group()}/providers/Microsoft.Authorization/roleAssignments/77777777-7777-7777-7777-777777777777"

    async def story(app: WholeApp) -> None:
        assert await app.deliver([resource_event(wide)], to="resource_events") == 202
        await app.run_until_quiet()
        assert app.queued() == 0
        assert any("who waits for it looks again" in line for line in app.logged())

    with_app(estate(account("st1")), story)


@pytest.mark.parametrize("schema", [GRID, CLOUD])
def test_a_changed_access_policy_makes_the_app_look_at_the_vault_s_users(schema: str) -> None:
    one, elsewhere = account("st1"), account("stelse", vault="kv-other", key="other")
    row = {"versions": [{"version": name, "created": f"2026-0{at}-01T00:00:00Z"} for at, name in ((1, OLD), (3, MID))]}
    keys = {"kv-main": [{"name": "cmk", **row}], "kv-other": [{"name": "other", **row}]}
    changed = event("Microsoft.KeyVault.VaultAccessPolicyChanged", {"VaultName": "kv-main"}, schema=schema)

    async def story(app: WholeApp) -> None:
        assert await app.deliver([changed] if schema == GRID else changed, schema) == 202
        await app.run_until_quiet()
        assert (app.in_use(one), app.in_use(elsewhere)) == (MID, OLD)

    with_app(estate(one, elsewhere, vault(), vault("kv-other"), keys=keys), story)


def test_a_write_to_a_vault_makes_the_app_look_at_its_users() -> None:
    one = account("st1")

    async def story(app: WholeApp) -> None:
        assert await app.deliver([resource_event(VAULT_ID.upper())], to="resource_events") == 202
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one), story)


def test_a_refusal_by_the_vault_s_protection_ends_with_the_write_that_turns_it_on() -> None:
    one = account("st1")
    bare = vault(enablePurgeProtection=None)

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": one["id"]})
        await app.run_until_quiet()
        assert [each["data"]["outcome"]["blocked"][0]["reason"] for each in app.outcomes()] == ["vault_not_protected"]
        body = {"properties": {"enablePurgeProtection": True}}
        app.other_hand("PATCH", f"https://management.azure.com{VAULT_ID}?api-version=2024-11-01", body)
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one, bare), story)


def test_events_that_are_lost_are_lost_until_the_sweep() -> None:
    one = account("st1", MID)

    async def story(app: WholeApp) -> None:
        app.stage.pump.drop(of_type(WRITTEN))
        app.point_at(one, OLD)
        await app.run_until_quiet()
        assert app.in_use(one) == OLD
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        assert app.in_use(one) == MID

    with_app(estate(one), story)
