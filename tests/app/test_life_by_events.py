"""The life of keys and of access to them, as Event Grid tells of it, through the whole app."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.hooks import posted
from tests.support.azure import MID, OLD, account, estate, principal_of, vault, version
from tests.support.grid_events import key_event
from tests.support.policies import PolicyFile
from tests.support.whole_app import WholeApp, arm_url, with_app

ROTATE = "  - name: all\n    rotation: fix\n    nearExpiry: rotate\n"
RESTORE = "  - name: all\n    rotation: fix\n    accessLost: restore\n    may: [grant]\n"
HOOK = {"CMK_WEBHOOK": "https://prod-01.westeurope.logic.azure.com/workflows/x", "CMK_WEBHOOK_FORM": "teams"}
SOON = "2026-06-02T08:00:00Z"  # 32 days after the start of the clock
NEAR = "Microsoft.KeyVault.KeyNearExpiry"
MINUTES = timedelta(minutes=5)
ONE = account("st1", MID)


def ends(**more: Any) -> dict[str, Any]:
    one = version(MID, "2026-03-01T00:00:00Z", expires=SOON, **more)
    return {"kv-main": [{"name": "cmk", "versions": [version(OLD), one]}]}


def versions(app: WholeApp) -> list[str]:
    key = app.world.keyring.get("kv-main", "cmk")
    assert key is not None
    return [one.version for one in key.versions]


def reasons(app: WholeApp) -> set[str]:
    """Return why work was stopped, as the outcome topic was told."""
    return {
        blocked["reason"]
        for one in app.outcomes()
        if one["type"].endswith("Stopped")
        for blocked in one["data"]["outcome"]["blocked"]
    }


def cards(app: WholeApp) -> list[str]:
    """Return the titles of the messages that people got."""
    return [one.body["attachments"][0]["content"]["body"][0]["text"] for one in posted(app.world)]


def test_the_event_of_a_near_end_has_the_key_rotated_and_its_users_moved(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        app.stage.shift(timedelta(days=3))
        await app.run_until_quiet(MINUTES)
        assert len(versions(app)) == 3
        assert app.in_use(ONE) == versions(app)[-1]
        assert reasons(app) == set()
        assert cards(app) == ["CMK Autopilot: cmk: rotated"]

    with_app(estate(ONE, keys=ends()), story, environ={**PolicyFile(tmp_path, ROTATE).environ, **HOOK})


def test_as_shipped_a_near_end_is_told_wherever_reports_go_and_nothing_is_made() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.shift(timedelta(days=3))
        await app.run_until_quiet(MINUTES)
        assert versions(app) == [OLD, MID]
        assert reasons(app) == {"near_expiry"}
        assert [one for one in app.logged() if "near_expiry" in one and "users: 1" in one]
        assert "CMK Autopilot: cmk: near_expiry" in " ".join(cards(app))

    with_app(estate(ONE, keys=ends()), story, environ=HOOK)


def test_a_forged_event_of_a_near_end_rotates_nothing(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        assert await app.deliver([key_event(type_=NEAR)]) == 202
        await app.run_until_quiet(MINUTES)
        assert versions(app) == [OLD, MID]
        assert reasons(app) == set()

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, ROTATE).environ)


def by_policies() -> dict[str, Any]:
    granted = {"keys": ["get", "wrapKey", "unwrapKey"]}
    one = {"objectId": principal_of("st1"), "tenantId": "t", "permissions": granted}
    return vault(enableRbacAuthorization=False, accessPolicies=[one])


def revoke_policy(app: WholeApp) -> None:
    granted = {"objectId": principal_of("st1"), "tenantId": "t", "permissions": {"keys": ["all"]}}
    url = arm_url(f"{vault()['id']}/accessPolicies/remove")
    app.other_hand("PUT", url, {"properties": {"accessPolicies": [granted]}})


def revoke_role(app: WholeApp) -> None:
    for one in list(app.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        app.other_hand("DELETE", f"https://management.azure.com{one['id']}?api-version=2022-04-01")


def close(app: WholeApp) -> None:
    closed = {"properties": {"networkAcls": {"defaultAction": "Deny", "bypass": "None"}}}
    app.other_hand("PATCH", arm_url(str(vault()["id"])), closed)


def delete(app: WholeApp) -> None:
    app.other_hand("DELETE", arm_url(str(vault()["id"])))


LOSSES = {
    "an access policy": (by_policies(), revoke_policy, "access_lost"),
    "a role assignment": (vault(), revoke_role, "access_lost"),
    "the firewall": (vault(), close, "vault_closed"),
    "the vault": (vault(), delete, "vault_deleted"),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
def test_what_somebody_takes_away_is_told_of_for_each_user_within_minutes(loss: tuple[Any, ...]) -> None:
    where, lose, reason = loss

    async def story(app: WholeApp) -> None:
        lose(app)
        await app.run_until_quiet(MINUTES)
        assert reasons(app) == {reason}
        assert cards(app) == [f"CMK Autopilot: st1: {reason}"]

    with_app(estate(ONE, where), story, environ=HOOK)


def test_a_grant_that_is_taken_away_comes_back_where_the_rule_says_so(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        revoke_role(app)
        await app.run_until_quiet(MINUTES)
        assert reasons(app) == set()
        (grant,) = app.world.resources.of_type("Microsoft.Authorization/roleAssignments")
        assert grant["properties"]["principalId"] == principal_of("st1")

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, RESTORE).environ)
