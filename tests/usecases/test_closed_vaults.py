"""Vaults behind a firewall or out of reach: their keys are known through Resource Manager, but for one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.arm.store import save
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Rotated, Stopped, Waiting
from shared.domain.work import Cause, CheckResource, RotateKey, Source
from shared.usecases.forms import RotateWish
from shared.usecases.wishes import put_or_plan, rotate_item
from tests.support.azure import MARCH, MID, NEW, OLD, SUB, Azure, account, estate, group, on_azure, vault, version

KEY = KeyId("kv-main.vault.azure.net", "cmk")
FIREWALL = {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}}
CLOSED: list[dict[str, Any]] = [FIREWALL, {"publicNetworkAccess": "Disabled"}]
EITHER = pytest.mark.parametrize("how", CLOSED, ids=["firewall", "no public access"])


def close(azure: Azure, **how: Any) -> None:
    """Set a vault's network rules; none open it."""
    body = azure.body(vault())
    kept = {name: value for name, value in body["properties"].items() if name not in {*FIREWALL, "publicNetworkAccess"}}
    save(azure.world, {**body, "properties": {**kept, **how}})


def new_version(azure: Azure, name: str = NEW) -> None:
    key = azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    now = azure.world.now()
    key.versions.append(type(key.latest)(name, now, now, modulus=key.latest.modulus))


def unreachable(azure: Azure) -> Callable[[], None]:
    """Make the vault's host unreachable; return what makes it answer again."""

    def before(call: Call) -> Answer | None:
        if call.host == KEY.host:
            raise Unreachable("no route to the vault")
        return None

    azure.world.hooks = Hooks(before)
    return lambda: setattr(azure.world, "hooks", Hooks())


@EITHER
def test_a_closed_vault_whose_keys_were_never_read_is_reported_with_who_is_behind_and_not_written(
    how: dict[str, Any],
) -> None:
    behind, there = account("st1"), account("st2", MID)

    async def story(azure: Azure) -> None:
        reports = {
            one.address.arm.name: one
            for one in await azure.check_key()
            if isinstance(one.item, CheckResource) and one.address
        }
        assert isinstance(reports["st1"].outcome, Stopped)
        (blocked,) = reports["st1"].outcome.blocked
        assert blocked.reason is Reason.VAULT_FORBIDDEN
        assert f"it should move to version {MID}" in blocked.detail
        assert "certificate" in blocked.detail
        await azure.check(there)
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert azure.calls("write") == []

    on_azure(estate(behind, there, vault(**how)), story)


@EITHER
def test_a_vault_that_was_read_before_it_was_closed_is_followed_through_resource_manager(how: dict[str, Any]) -> None:
    users = [account("st1", MID), account("st2", MID)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        close(azure, **how)
        new_version(azure)
        await asyncio.sleep(10)
        await azure.check_key()
        assert [azure.in_use(one) for one in users] == [NEW, NEW]

    on_azure(estate(*users), story)


def test_a_key_that_was_made_anew_under_its_old_name_is_not_the_one_that_was_read() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        await azure.check(one)
        close(azure, **FIREWALL)
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        new_version(azure)
        key.versions = key.versions[-1:]
        await asyncio.sleep(10)
        await azure.check(one)
        assert azure.calls("write") == []

    on_azure(estate(one), story)


def test_a_key_that_backs_a_certificate_is_not_touched_by_way_of_resource_manager() -> None:
    one = account("st1")
    keys = {"kv-main": [{"name": "cmk", "managed": True, "versions": [version(OLD), version(MID, MARCH)]}]}

    async def story(azure: Azure) -> None:
        await azure.check(one)
        close(azure, **FIREWALL)
        await asyncio.sleep(10)
        await azure.check(one)
        assert azure.calls("write") == []
        assert azure.reports[-1].reasons == (Reason.VAULT_FORBIDDEN,)

    on_azure(estate(one, keys=keys), story)


def test_a_vault_that_does_not_answer_is_asked_again_and_then_its_users_move() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        answers_again = unreachable(azure)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        assert report.reasons == (Reason.VAULT_UNREACHABLE,)
        assert f"it should move to version {MID}" in report.outcome.wait.detail
        answers_again()
        await azure.drain(until=timedelta(minutes=10))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)


def test_a_vault_that_does_not_answer_is_left_in_peace_for_a_while() -> None:
    users = [account(f"st{number}", MID) for number in range(5)]

    async def story(azure: Azure) -> None:
        unreachable(azure)
        await azure.check_key()
        tries = len(azure.calls("vault"))
        await azure.check_key()
        assert len(azure.calls("vault")) == tries
        assert azure.calls("write") == []

    on_azure(estate(*users), story)


def test_what_resource_manager_does_not_know_either_is_waited_for_and_never_taken_for_no_new_version() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        close(azure, **FIREWALL)
        inner = azure.world.hooks.before
        azure.world.hooks = Hooks(lambda call: Answer(403) if "/vaults/kv-main/keys" in call.path else inner(call))
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (Reason.VAULT_FORBIDDEN,)
        assert "Resource Manager" in report.outcome.blocked[0].detail

    on_azure(estate(one), story)


def test_a_lack_of_rights_on_the_keys_is_no_firewall() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["strict"] = True
        (report,) = await azure.check(one)
        assert report.reasons == (Reason.VAULT_FORBIDDEN,)
        assert not any("/vaults/kv-main/keys" in call for call in azure.calls("read", "childList"))

    on_azure(estate(one), story)


def test_what_a_version_is_made_of_is_known_through_resource_manager_too() -> None:
    one = account("st1", OLD)
    small = version(MID, MARCH, kty="EC", size=256)
    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD), small]}]}

    async def story(azure: Azure) -> None:
        close(azure, **FIREWALL)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Converged)

    on_azure(estate(one, keys=keys), story)


def rotation(azure: Azure) -> RotateKey:
    return rotate_item(RotateWish(key=KEY.url), Cause("http", Source.HTTP), azure.time.now())


def versions(azure: Azure) -> int:
    key = azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    return len(key.versions)


def test_a_closed_vault_makes_no_version_and_says_why() -> None:
    async def story(azure: Azure) -> None:
        close(azure, **FIREWALL)
        await azure.put(rotation(azure))
        reports = await azure.drain()
        assert reports[0].reasons == (Reason.VAULT_FORBIDDEN,)
        assert versions(azure) == 2

    on_azure(estate(account("st1")), story)


@pytest.mark.parametrize("named", [False, True], ids=["found", "named in CMK_VAULTS"])
def test_a_key_in_the_apps_own_resource_group_is_never_rotated(*, named: bool) -> None:
    environ = {"CMK_OWN_RESOURCE_GROUP": group().upper(), **({"CMK_VAULTS": KEY.host} if named else {})}

    async def story(azure: Azure) -> None:
        told = await put_or_plan(azure.app.context, rotation(azure), dry_run=True)
        assert told["makesVersion"] is False
        assert told["steps"][0].reason is Reason.OWN_RESOURCE
        await azure.put(rotation(azure))
        (report,) = await azure.drain()
        assert report.reasons == (Reason.OWN_RESOURCE,)
        assert versions(azure) == 2

    on_azure(estate(account("st1")), story, environ=environ)


def test_a_key_in_another_group_is_rotated_by_an_app_that_knows_its_own() -> None:
    async def story(azure: Azure) -> None:
        await azure.put(rotation(azure))
        reports = await azure.drain()
        assert isinstance(reports[0].outcome, Rotated)

    on_azure(
        estate(account("st1")),
        story,
        environ={"CMK_OWN_RESOURCE_GROUP": f"/subscriptions/{SUB}/resourceGroups/rg-app"},
    )
