"""What no wish and no work item gets: it is refused whoever asks, and nothing is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.wire import Answer
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Stopped, Waiting
from shared.domain.work import Cause, CheckResource, RotateKey, Source
from tests.support.azure import MID, Azure, account, estate, on_azure
from tests.support.enforcing import OTHER_UAI, UAI, assigned
from tests.support.keyed import KEY, example, using, wish

CMK = KeyId("kv-main.vault.azure.net", "cmk")
USER = account("st1")
FOREIGN = account("st2")
FOREIGN["properties"]["encryption"]["identity"] = {"federatedIdentityClientId": "44444444-4444-4444-4444-444444444444"}


def certified() -> dict[str, Any]:
    """Return an estate whose key backs a certificate."""
    described = estate(USER)
    described["keys"]["kv-main"][0]["managed"] = True
    return described


def rotation(azure: Azure, key: KeyId = CMK) -> RotateKey:
    return RotateKey(key, Cause("cause-1", Source.HTTP), azure.time.now())


def rotations(azure: Azure) -> list[str]:
    return [one.url for one in azure.world.log if one.method == "POST" and "/rotate" in one.url]


def test_nothing_is_rotated_while_writing_is_off_and_it_is_when_it_is_on_again() -> None:
    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        await azure.put(rotation(azure))
        (report,) = await azure.drain()
        assert isinstance(report.outcome, Waiting)
        assert report.reasons == (Reason.WRITES_OFF,)
        assert rotations(azure) == []
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=30))
        assert len(rotations(azure)) == 1

    on_azure(estate(USER), story, environ={"CMK_WRITES": "on"})


def test_a_key_that_backs_a_certificate_is_not_rotated_and_its_users_are_not_looked_for() -> None:
    async def story(azure: Azure) -> None:
        await azure.put(rotation(azure))
        (report,) = await azure.drain()
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (Reason.KEY_BACKS_CERTIFICATE,)
        assert rotations(azure) == azure.waiting() == []

    on_azure(certified(), story)


def test_a_key_of_a_vault_that_nobody_knows_is_not_rotated_nor_read() -> None:
    async def story(azure: Azure) -> None:
        await azure.put(rotation(azure, KeyId("kv-evil.vault.azure.net", "cmk")))
        (report,) = await azure.drain()
        assert report.reasons == (Reason.VAULT_NOT_KNOWN,)
        assert [one.url for one in azure.world.log if "evil" in one.url] == []

    on_azure(estate(USER), story)


@pytest.mark.parametrize(
    "wanted", [{"revert": True}, {"key": KEY}, {"key": KEY, "version": "follow"}], ids=["revert", "key", "follow"]
)
def test_a_key_of_another_tenant_is_left_alone_whatever_is_wished(wanted: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, FOREIGN, **_typed(wanted))
        assert report.reasons == (Reason.CROSS_TENANT,)
        assert azure.calls("write") == []

    on_azure(estate(FOREIGN), story)


@pytest.mark.parametrize("wanted", [{"key": KEY}, {"version": "follow"}], ids=["key", "follow"])
def test_no_wish_moves_a_resource_to_a_key_that_backs_a_certificate(wanted: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, USER, **_typed(wanted))
        assert report.reasons == (Reason.KEY_BACKS_CERTIFICATE,)
        assert azure.calls("write") == []

    on_azure(certified(), story)


@pytest.mark.parametrize(
    "wanted", [{"key": KEY}, {"revert": True}, {"version": "follow"}], ids=["key", "revert", "follow"]
)
@pytest.mark.parametrize("one", [USER, account("st1", key="")], ids=["on a key", "on the platform's"])
def test_a_slot_that_is_none_changes_no_other(one: dict[str, Any], wanted: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, one, slot="queues", **_typed(wanted))
        assert report.reasons == (Reason.BAD_REQUEST,)
        assert "there are encryption" in str(report.outcome)
        assert azure.calls("write") == []

    on_azure(estate(one), story)


@pytest.mark.parametrize("who", [UAI, "system"])
def test_an_identity_that_the_resource_does_not_have_is_not_named_to_its_service(who: str) -> None:
    one = {**USER, "identity": assigned(OTHER_UAI)}

    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, one, key=KEY, identity=who)
        assert report.reasons == (Reason.IDENTITY_NOT_TAKEN,)
        assert "it does not have" in str(report.outcome)
        assert azure.calls("write") == []

    described = estate(account("st1"))
    described["resources"] = [one if body["name"] == "st1" else body for body in described["resources"]]
    on_azure(described, story)


def test_an_encryption_scope_cannot_name_an_identity_whose_client_id_only_its_account_shows() -> None:
    forms = example("cognitiveservices_accounts-platform")
    below = example("cognitiveservices_accounts_encryptionscopes-pinned")
    below["id"] = f"{forms['id']}/encryptionScopes/{below['name']}"

    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, below, key=KEY, identity=UAI)
        assert report.reasons == (Reason.IDENTITY_NOT_TAKEN,)
        assert azure.calls("write") == []

    on_azure(using(forms, below, size=2048), story)


def _typed(wanted: dict[str, Any]) -> dict[str, Any]:
    return wanted | ({"version": Version(wanted["version"])} if "version" in wanted else {})


@pytest.mark.parametrize(("days", "ends"), [(13, False), (15, True)])
def test_work_that_went_from_wait_to_wait_for_fourteen_days_ends(days: int, ends: bool) -> None:  # noqa: FBT001
    async def story(azure: Azure) -> None:
        busy = Answer.of({"error": {"code": "Conflict", "message": "m"}}, 409)
        azure.world.hooks = Hooks(before=lambda call: busy if call.method == "PATCH" else None)
        now = azure.time.now()
        item = CheckResource(azure.address(USER), Cause("cause-1", Source.EVENT), now, now)
        await azure.put(replace(item, first_at=now - timedelta(days=days)))
        (report,) = await azure.drain()
        assert isinstance(report.outcome, Stopped if ends else Waiting)
        assert report.reasons == (Reason.CONFLICT,)

    on_azure(estate(USER), story)


def test_a_retry_after_of_weeks_is_believed_for_a_day() -> None:
    async def story(azure: Azure) -> None:
        busy = Answer.of({"error": {"code": "X"}}, 429, {"Retry-After": "9999999"})
        azure.world.hooks = Hooks(before=lambda call: busy if call.method == "PATCH" else None)
        (report,) = await azure.check(USER)
        assert isinstance(report.outcome, Waiting)
        assert timedelta(hours=23) < report.outcome.wait.again_at - report.at <= timedelta(days=1)
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(hours=25))
        assert azure.in_use(USER) == MID

    on_azure(estate(USER), story)
