"""What was seen meanwhile answers no more than it can: not a wish, not whether keys are within reach, not what a key
has become since.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace as with_
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from sandbox.arm.store import drop
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.order import Order
from shared.domain.reasons import Reason
from shared.domain.report import Converged
from shared.domain.work import Cause, CheckResource, Going, Source, Sweep
from shared.usecases.forms import UseKeyWish
from shared.usecases.sweeping import SLICES
from shared.usecases.wishes import use_key_item
from tests.support.azure import MARCH, MID, NEW, OLD, SUB, Azure, account, estate, on_azure, version
from tests.support.policies import PolicyFile

KEY = KeyId("kv-main.vault.azure.net", "cmk")
OTHER = "https://kv-main.vault.azure.net/keys/other"
KEYS = {
    "kv-main": [
        {"name": "cmk", "versions": [version(OLD), version(MID, MARCH)]},
        {"name": "other", "versions": [version(NEW)]},
    ]
}
OPERATION = f"https://management.azure.com/subscriptions/{SUB}/providers/Microsoft.Storage/operations/1?api-version=1"
ONE = account("st1", MID)


def asked(azure: Azure) -> CheckResource:
    now = azure.time.now()
    return CheckResource(azure.address(ONE), Cause("c", Source.HTTP), now, now)


async def looked_at_meanwhile(azure: Azure) -> None:
    await asyncio.sleep(5)
    (report,) = await azure.check(ONE)
    assert isinstance(report.outcome, Converged)


def test_a_wish_is_carried_out_though_the_resource_was_found_in_order_after_it_was_made() -> None:
    async def story(azure: Azure) -> None:
        wish = use_key_item(UseKeyWish(str(ONE["id"]), key=OTHER), Cause("c", Source.HTTP), azure.time.now())
        await looked_at_meanwhile(azure)
        await azure.put(wish)
        await azure.drain()
        assert azure.body(ONE)["properties"]["encryption"]["keyvaultproperties"]["keyname"] == "other"

    on_azure(estate(ONE, keys=KEYS), story)


def test_whether_a_key_is_within_reach_is_asked_though_the_resource_was_found_in_order_after_that_was_wanted() -> None:
    async def story(azure: Azure) -> None:
        item = replace(asked(azure), reach=True)
        for grant in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
            drop(azure.world, str(grant["id"]))
        await looked_at_meanwhile(azure)
        await azure.put(item)
        assert (await azure.drain())[-1].reasons == (Reason.ACCESS_LOST,)

    on_azure(estate(ONE), story)


def test_how_a_change_ended_is_asked_though_the_resource_was_found_in_order_after_it_was_sent() -> None:
    failed = Answer.of({"status": "Failed", "error": {"code": "Odd", "message": "no"}})

    async def story(azure: Azure) -> None:
        item = replace(asked(azure), going=Going(OPERATION, 1))
        await looked_at_meanwhile(azure)
        azure.world.hooks = Hooks(before=lambda call: failed if "/operations/1" in call.url else None)
        await azure.put(item)
        assert (await azure.drain())[-1].reasons == (Reason.REFUSED,)

    on_azure(estate(ONE), story)


def test_what_was_known_of_a_key_grows_too_old_for_a_write_while_the_rest_is_read() -> None:
    one = account("st1", OLD)

    def slow_graph(call: Call, answer: Answer) -> Answer:
        return with_(answer, latency=3.0) if b"resourcecontainers" in call.body else answer

    async def story(azure: Azure) -> None:
        def made() -> None:
            key = azure.world.keyring.get("kv-main", "cmk")
            assert key is not None
            now = azure.world.now()
            key.versions.append(type(key.latest)(NEW, now, now, modulus=key.latest.modulus))

        await azure.app.context.ports.keys.history(KEY, not_older_than=azure.time.now())
        await asyncio.sleep(4)
        azure.world.hooks = Hooks(after=slow_graph)
        asyncio.get_running_loop().call_later(2, made)
        await azure.check(one)
        assert azure.in_use(one) == NEW
        assert len(azure.calls("write")) == 1

    on_azure(estate(one), story)


EVIL = KeyId("kv-evil.vault.azure.net", "cmk")


@pytest.mark.parametrize("slice_", range(SLICES))
def test_a_sweep_asks_no_vault_that_only_a_resource_names(slice_: int) -> None:
    one = account("st1", MID, vault="kv-evil")

    async def story(azure: Azure) -> None:
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now(), slice=slice_))
        reports = await azure.drain()
        assert Reason.VAULT_NOT_KNOWN in {reason for report in reports for reason in report.reasons}
        assert [line.url for line in azure.world.log if EVIL.host in line.url] == []

    on_azure(estate(one), story)


def test_haste_that_somebody_orders_is_not_lost_in_a_look_that_waits_meanwhile(tmp_path: Path) -> None:
    one = account("st1", OLD)
    closing = "  - name: all\n    rotation: fix\n    windows: [{from: '07:00', to: '08:10'}]\n"

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        assert (await azure.check(one))[-1].reasons == (Reason.WRITES_OFF,)
        item = asked(azure)
        await azure.put(replace(item, cause=replace(item.cause, order=Order(urgent=True))))
        await azure.drain(until=timedelta(minutes=15))
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=30))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story, environ=PolicyFile(tmp_path, closing).environ)


FROZEN = """  - name: all
    rotation: fix
    accessLost: restore
    may: [grant]
    freeze: [{from: 2026-04-30, to: 2026-05-02}]
"""


def test_whether_a_key_is_within_reach_is_asked_again_after_a_freeze_though_another_look_waits_for_its_end(
    tmp_path: Path,
) -> None:
    behind = account("st1", OLD)

    async def story(azure: Azure) -> None:
        await azure.check(behind)
        for grant in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
            drop(azure.world, str(grant["id"]))
        await azure.put(replace(asked(azure), reach=True))
        (report,) = await azure.drain()
        assert set(report.reasons) == {Reason.FROZEN, Reason.ACCESS_LOST}
        await azure.drain(until=timedelta(days=3))
        assert len([one for one in azure.calls("write") if "roleAssignments" in one]) == 1
        assert azure.in_use(behind) == MID

    on_azure(estate(behind), story, environ=PolicyFile(tmp_path, FROZEN).environ)
