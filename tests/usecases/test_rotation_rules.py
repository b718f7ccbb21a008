"""The safety rules of rotation, on the real adapters: what Azure holds afterwards, and what was asked of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Answered, Converged, Gone, Report, Stopped, Waiting
from shared.domain.work import Cause, CheckKey, RotateKey, Source
from shared.usecases.handle import handle
from tests.support.azure import MARCH, MID, NEW, OLD, Azure, account, estate, on_azure, scope, vault, version
from tests.support.moving import wished

KEY = KeyId("kv-main.vault.azure.net", "cmk")


def keys(*versions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kv-main": [{"name": "cmk", "versions": list(versions), **more}]}


def last(reports: list[Report]) -> Report:
    return reports[-1]


def reason(report: Report) -> Reason:
    (found,) = report.reasons
    return found


def new_version(azure: Azure, name: str = NEW) -> None:
    """Somebody makes a version in the vault."""
    key = azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    now = azure.world.now()
    key.versions.append(type(key.latest)(name, now, now, modulus=key.latest.modulus))


def test_a_follower_is_never_written_and_verified_once_it_took_the_version_up() -> None:
    followers = [account("st1", ""), scope("st1", "one", "")]

    async def story(azure: Azure) -> None:
        new_version(azure)
        await azure.check_key()
        assert {reason(report) for report in azure.reports if report.reasons} == {Reason.FOLLOWS_BY_ITSELF}
        await azure.drain(until=timedelta(hours=26))
        assert azure.calls("write") == []
        assert [azure.in_use(one) for one in followers] == [NEW, NEW]
        ends = {report.address.url: report.outcome for report in azure.reports if report.address}
        assert [type(ends[one["id"]]) for one in followers] == [Converged, Converged]

    on_azure(estate(*followers), story)


def test_a_version_made_on_the_way_is_where_everything_ends() -> None:
    accounts = [account(f"st{number}") for number in range(6)]

    async def story(azure: Azure) -> None:
        writes = 0

        def meanwhile(call: Call, answer: Answer) -> Answer:
            nonlocal writes
            writes += call.method == "PATCH"
            if call.method == "PATCH" and writes == 3:
                new_version(azure)
            return answer

        azure.world.hooks = Hooks(after=meanwhile)
        await azure.check_key()
        await azure.put(CheckKey(KEY, Cause("cause-2", Source.EVENT), azure.time.now()))
        await azure.drain()
        assert {azure.in_use(one) for one in accounts} == {NEW}

    on_azure(estate(*accounts), story)


def test_a_version_made_during_the_write_is_taken_in_the_same_handling() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        def meanwhile(call: Call, answer: Answer) -> Answer:
            if call.method == "PATCH" and MID.encode() in call.body:
                new_version(azure)
            return answer

        azure.world.hooks = Hooks(after=meanwhile)
        reports = await azure.check(one)
        assert [write.after and write.after.version for write in last(reports).wrote] == [MID, NEW]
        assert azure.in_use(one) == NEW

    on_azure(estate(one), story)


def test_a_version_that_our_copy_does_not_know_makes_us_ask_the_vault_and_nobody_goes_back() -> None:
    one, two = account("st1"), account("st2")

    async def story(azure: Azure) -> None:
        await azure.check(one)  # the key's history is remembered now
        new_version(azure)
        key = azure.body(two)["properties"]["encryption"]["keyvaultproperties"]
        key["keyversion"] = NEW
        key["currentVersionedKeyIdentifier"] = f"https://kv-main.vault.azure.net/keys/cmk/{NEW}"
        reports = await azure.check(two)
        assert isinstance(last(reports).outcome, Converged)
        assert last(reports).wrote == ()
        assert azure.in_use(two) == NEW

    on_azure(estate(one, two), story)


def test_nothing_goes_back_when_the_newest_version_is_disabled() -> None:
    one = account("st1", NEW)
    history = keys(version(OLD), version(NEW, MARCH, enabled=False))

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.ONLY_OLDER_USABLE
        assert azure.calls("write") == []

    on_azure(estate(one, keys=history), story)


def test_throttling_is_waited_out_on_the_queue_and_everything_gets_there() -> None:
    accounts = [account(f"st{number}") for number in range(12)]

    async def story(azure: Azure) -> None:
        refused = {"left": 9}

        def throttle(call: Call) -> Answer | None:
            if call.method == "PATCH" and refused["left"]:
                refused["left"] -= 1
                body = {"error": {"code": "SubscriptionRequestsThrottled", "message": "wait"}}
                return Answer.of(body, 429, {"Retry-After": "17"})
            return None

        azure.world.hooks = Hooks(before=throttle)
        began = azure.time.now()
        await azure.check_key()
        waits = [report.outcome.wait for report in azure.reports if isinstance(report.outcome, Waiting)]
        assert {wait.reason for wait in waits} == {Reason.THROTTLED}
        assert min(wait.again_at for wait in waits) - began >= timedelta(seconds=17)
        assert azure.time.now() - began < timedelta(seconds=15), "somebody slept in an invocation"
        await azure.drain(until=timedelta(minutes=5))
        assert {azure.in_use(one) for one in accounts} == {MID}

    on_azure(estate(*accounts), story)


def test_a_grant_that_spreads_in_time_lets_the_resource_through() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.KEY_ACCESS_DENIED
        grant = estate(one)["roleAssignments"][0]
        azure.world.resources.put(
            {
                "id": f"{vault()['id']}/providers/Microsoft.Authorization/roleAssignments/1",
                "type": "Microsoft.Authorization/roleAssignments",
                "properties": {**grant, "roleDefinitionId": f"/x/{grant['roleDefinitionId']}"},
            }
        )
        await azure.drain(until=timedelta(minutes=10))
        assert azure.in_use(one) == MID

    on_azure(estate(one, denied=("st1",)), story)


def test_a_grant_that_never_comes_ends_with_its_reason_after_a_day() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(hours=26))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Stopped)
        assert reason(end) is Reason.KEY_ACCESS_DENIED
        assert azure.in_use(one) == OLD
        assert len(azure.calls("write")) < 40

    on_azure(estate(one, denied=("st1",)), story)


def test_a_vault_without_purge_protection_is_named_as_the_reason() -> None:
    one = account("st1")
    bare = vault()
    del bare["properties"]["enablePurgeProtection"]

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.VAULT_NOT_PROTECTED

    on_azure(estate(one, bare), story)


def test_while_writing_is_off_work_waits_and_nothing_is_lost() -> None:
    accounts = [account(f"st{number}") for number in range(3)]

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=10))
        assert azure.calls("write") == []
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=11))
        assert {azure.in_use(one) for one in accounts} == {MID}

    on_azure(estate(*accounts), story)


@pytest.mark.parametrize("host", ["evil.vault.azure.net", "kv-main.vault.azure.net.evil.example"])
def test_a_vault_that_is_not_ours_gets_no_request_and_no_token(host: str) -> None:
    one = account("st1", vault="evil")

    async def story(azure: Azure) -> None:
        await azure.put(CheckKey(KeyId(host, "cmk"), Cause("c", Source.EVENT), azure.time.now()))
        assert reason(last(await azure.drain())) is Reason.VAULT_NOT_KNOWN
        assert reason(last(await azure.check(one))) is Reason.VAULT_NOT_KNOWN
        assert not [line for line in azure.calls("vault", "other") if host in line]

    on_azure(estate(one), story)


def test_an_event_of_one_vault_cannot_make_us_ask_another() -> None:
    async def story(azure: Azure) -> None:
        mine, other = vault(), vault("kv-other")
        await azure.check_key(vault_id=other["id"])
        assert reason(last(azure.reports)) is Reason.VAULT_NOT_KNOWN
        assert azure.calls("vault") == []
        await azure.check_key(vault_id=mine["id"].upper())
        assert azure.calls("vault") != []

    on_azure(estate(vault(), vault("kv-other")), story)


def test_a_link_to_a_foreign_host_is_not_followed() -> None:
    one = account("st1", key="")

    async def story(azure: Azure) -> None:
        def mislead(call: Call, answer: Answer) -> Answer:
            if call.path.endswith("/encryptionScopes"):
                return Answer.of({"value": [], "nextLink": "https://evil.example/next"})
            return answer

        azure.world.hooks = Hooks(after=mislead)
        await azure.check_key()
        assert Reason.FOREIGN_HOST in {found for report in azure.reports for found in report.reasons}
        assert not [line for line in azure.world.log if "evil.example" in line.url]

    on_azure(estate(one), story)


def test_resources_in_a_managed_group_are_left_to_their_owner() -> None:
    one = account("st1")
    group = {
        "id": one["id"].split("/providers/")[0],
        "name": "rg-data",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "managedBy": "/subscriptions/x/resourceGroups/y/providers/Microsoft.Databricks/workspaces/z",
        "properties": {},
    }

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.MANAGED_BY_AZURE
        assert azure.calls("write") == []

    on_azure(estate(one, group), story)


def test_what_lies_below_a_managed_resource_is_left_to_its_owner_whichever_way_it_is_come_by() -> None:
    one = {**account("st1", key=""), "managedBy": "/subscriptions/x/resourceGroups/y/providers/Microsoft.Solutions/a/b"}
    below = scope("st1", "one")

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(below))) is Reason.MANAGED_BY_AZURE
        await azure.check_key()
        await wished(azure, below["id"], revert=True)
        await wished(azure, below["id"], key=KEY.url, version=Version.FOLLOW)
        assert azure.calls("write") == []

    on_azure(estate(one, below), story)


def test_the_apps_own_storage_is_never_written() -> None:
    own = account("cmkautopilot")

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(own))) is Reason.OWN_RESOURCE
        assert azure.calls("write") == []

    on_azure(estate(own), story)


def test_a_resource_that_is_gone_is_reported_as_gone() -> None:
    async def story(azure: Azure) -> None:
        assert isinstance(last(await azure.check(account("stgone"))).outcome, Gone)

    on_azure(estate(account("st1")), story)


def test_a_deleted_key_is_the_reason_of_each_of_its_users_when_somebody_asks_for_it() -> None:
    one = account("st1", key="gone")

    async def story(azure: Azure) -> None:
        gone = KeyId("kv-main.vault.azure.net", "gone")
        await azure.put(CheckKey(gone, Cause("asked", Source.HTTP), azure.time.now()))
        await azure.drain()
        assert [report.reasons for report in azure.reports if report.reasons] == [(Reason.KEY_NOT_FOUND,)]

    on_azure(estate(one), story)


def test_a_duplicate_event_costs_next_to_nothing() -> None:
    accounts = [account(f"st{number}") for number in range(20)]

    async def story(azure: Azure) -> None:
        now = azure.time.now()
        for number in range(3):
            await azure.put(CheckKey(KEY, Cause(f"cause-{number}", Source.EVENT), now))
        await asyncio.sleep(2)  # as intake lets events wait for their like
        await azure.drain()
        assert len(azure.calls("write")) == 20
        assert len(azure.calls("read", "write")) <= 3 * 20 + 2  # the vault's own record, and one seen twice
        assert len(azure.calls("childList")) == 20
        assert any(isinstance(report.outcome, Answered) for report in azure.reports)

    on_azure(estate(*accounts), story)


def test_a_version_that_becomes_valid_later_is_taken_then_without_any_event() -> None:
    one = account("st1", MID)
    history = keys(
        version(OLD), version(MID, MARCH), version(NEW, "2026-04-30T00:00:00Z", notBefore="2026-05-03T00:00:00Z")
    )

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert azure.in_use(one) == MID
        await azure.drain(until=timedelta(days=3))
        assert azure.in_use(one) == NEW

    on_azure(estate(one, keys=history), story)


def test_rotating_makes_one_version_and_moves_the_users_even_after_a_crash_in_between() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        item = RotateKey(KEY, Cause("c", Source.HTTP), azure.time.now(), if_latest_is=MID)
        ports = azure.app.context.ports
        await ports.keys.new_version(KEY, if_latest_is=MID, if_on=ports.switch)  # made, and then the process died
        await azure.put(item)
        await azure.drain()
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 3
        assert azure.in_use(one) == key.latest.version
        await azure.put(replace(item, if_latest_is=""))
        reports = await azure.drain()
        assert Reason.KEY_ROTATED_RECENTLY in reports[0].reasons
        assert len(key.versions) == 3

    on_azure(estate(one), story)


def test_two_instances_at_once_leave_every_user_on_the_newest_version() -> None:
    accounts = [account(f"st{number}") for number in range(5)]

    async def story(azure: Azure) -> None:
        other = azure.instance()
        await azure.put(CheckKey(KEY, Cause("a", Source.EVENT), azure.time.now()))
        await azure.drain()
        new_version(azure)
        for context in (azure.app.context, other.context):
            await context.ports.queue.put(CheckKey(KEY, Cause("b", Source.EVENT), azure.time.now()))
        async with azure.queue() as queue:
            turn = 0
            while batch := [one async for one in queue.receive_messages(messages_per_page=4, max_messages=4)]:
                for message in batch:
                    turn += 1
                    await handle((azure.app, other)[turn % 2].context, message.content)
                    await queue.delete_message(message)
        assert {azure.in_use(one) for one in accounts} == {NEW}

    on_azure(estate(*accounts), story)


def test_the_correlation_id_of_the_cause_is_on_every_write() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        await azure.check_key()
        writes = [line for line in azure.world.log if line.kind == "write"]
        assert {line.client_request_id for line in writes} == {"cause-1"}

    on_azure(estate(one), story)


def test_a_certificates_key_is_left_alone() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.KEY_BACKS_CERTIFICATE

    on_azure(estate(one, keys=keys(version(OLD), version(MID, MARCH), managed=True)), story)


def test_a_version_of_a_size_storage_refuses_is_never_sent() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        assert reason(last(await azure.check(one))) is Reason.KEY_TYPE_NOT_ACCEPTED
        assert azure.calls("write") == []

    on_azure(estate(one, keys=keys(version(OLD), version(MID, MARCH), kty="EC", size=256)), story)
