"""GET evidence, and what the whole app leaves there."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox import blobs
from shared.domain.resource import address_of
from shared.domain.work import Cause, CheckResource, Source, encode
from tests.support.azure import MID, OLD, START, account, audit_events, estate
from tests.support.whole_app import QUEUE, Replied, WholeApp, break_reads, with_app

ONE, TWO = account("st1"), account("st2")
KEY = "https://kv-main.vault.azure.net/keys/cmk"
LONG = timedelta(minutes=10)


async def ask(app: WholeApp, **asked: str) -> Replied:
    return await app.get(f"evidence?{urlencode(asked)}")


async def lines(app: WholeApp, **asked: str) -> list[dict[str, Any]]:
    reply = await ask(app, **asked)
    assert (reply.status, reply.kind, reply.body["damaged"]) == (200, "application/json", 0)
    found: list[dict[str, Any]] = reply.body["lines"]
    return found


def test_a_change_is_kept_with_what_asked_for_it_and_what_came_of_it() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": ONE["id"]}, **{"x-ms-client-request-id": "the-cause"})
        await app.run_until_quiet()
        (line,) = await lines(app)
        assert (line["correlationId"], line["source"], line["resource"]) == ("the-cause", "http", ONE["id"])
        (wrote,) = line["wrote"]
        assert (wrote["fromKey"], wrote["toKey"], wrote["accepted"]) == (f"{KEY}/{OLD}", f"{KEY}/{MID}", True)
        assert (line["outcome"], line["certainty"]) == ("converged", "reported")
        assert [use["effective"] for use in line["uses"]] == [MID]

    with_app(estate(ONE, TWO), story)


def test_what_is_asked_for_by_resource_key_time_and_page_is_answered() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        assert len(await lines(app)) == 2
        assert [one["resource"] for one in await lines(app, resource=str(TWO["id"]).upper())] == [TWO["id"]]
        assert len(await lines(app, key=f"{KEY}/{MID}")) == 2
        assert await lines(app, key=f"{KEY}2") == []
        assert await lines(app, to="2026-05-01T08:00:00Z") == []
        first = await ask(app, limit="1")
        second = await ask(app, limit="1", cursor=first.body["cursor"])
        assert {reply.body["lines"][0]["resource"] for reply in (first, second)} == {ONE["id"], TWO["id"]}
        assert second.body["cursor"] is None

    with_app(estate(ONE, TWO, audit_events()), story)


def test_a_refusal_is_kept_with_its_reason() -> None:
    lock = {"id": f"{ONE['id']}/providers/Microsoft.Authorization/locks/keep", "properties": {"level": "ReadOnly"}}
    lock |= {"name": "keep", "type": "Microsoft.Authorization/locks"}

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        (line,) = await lines(app)
        assert [one["reason"] for one in line["refused"]] == ["scope_locked"]
        assert "wrote" not in line

    with_app(estate(ONE, lock), story)


def test_looks_that_found_all_in_order_leave_no_evidence() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        assert await lines(app) == []
        assert "cmk-evidence" not in blobs.containers(app.world, "cmkautopilot")

    with_app(estate(account("st1", MID), account("stmmk", key=""), audit_events()), story)


@pytest.mark.parametrize("known", [True, False], ids=["a work item", "no work item"])
def test_a_poisoned_message_is_kept_and_what_it_says_is_not(*, known: bool) -> None:
    item = CheckResource(address_of(str(ONE["id"])), Cause("the-cause", Source.HTTP), START, START)
    text = encode(item) if known else '{"token": "secret"}'

    async def story(app: WholeApp) -> None:
        if known:
            break_reads(app, float("inf"))
        queue = app.queue(QUEUE)
        await queue.create_queue()
        await queue.send_message(base64.b64encode(text.encode()).decode(), time_to_live=-1)
        await app.run_until_quiet(LONG)
        (line,) = await lines(app)
        assert [one["reason"] for one in line["refused"]] == ["poisoned"]
        assert line.get("resource") == (ONE["id"] if known else None)
        assert "secret" not in str(line)

    with_app(estate(ONE), story)


def test_nothing_of_an_event_s_claims_is_kept() -> None:
    async def story(app: WholeApp) -> None:
        app.point_at(ONE, OLD)
        await app.run_until_quiet()
        (line,) = await lines(app)
        assert (line["source"], line["eventType"]) == ("event", "Microsoft.Resources.ResourceWriteSuccess")
        stored = b"".join(
            one.data for one in blobs.containers(app.world, "cmkautopilot")["cmk-evidence"].blobs.values()
        )
        for word in (b"claims", b"another-hand", b"Bearer", b"eyJ"):
            assert word not in stored

    with_app(estate(account("st1", MID)), story)


def test_a_store_that_refuses_shows_in_health_and_undoes_nothing() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"kind": "blob"}, "do": {"status": 403, "code": "AuthorizationFailure"}}])
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        health = await app.get("health")
        assert app.in_use(ONE) == MID
        assert (health.status, list(health.body["journal"])) == (503, ["evidence"])
        assert (await ask(app)).is_problem(422, "no_rights")
        app.stage.faults.put([])
        await app.post("converge", {"resource": TWO["id"]})
        await app.run_until_quiet()
        assert (await app.get("health")).body["healthy"]
        assert [one["resource"] for one in await lines(app)] == [ONE["id"], TWO["id"]]

    with_app(estate(ONE, TWO), story)


@pytest.mark.parametrize(
    "asked", [{"from": "x"}, {"limit": "0"}, {"resource": "st1"}, {"key": "cmk"}, {"cursor": "x"}, {"form": "x"}]
)
def test_what_cannot_be_read_is_a_problem(asked: dict[str, str]) -> None:
    async def story(app: WholeApp) -> None:
        assert (await ask(app, **asked)).is_problem(400, "bad_request")

    with_app(estate(ONE), story)


def test_without_evidence_the_route_says_so_and_no_blob_is_touched() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        assert (await ask(app)).is_problem(422, "misconfigured")
        assert app.calls("blob") == []
        assert (await app.get("health")).body["healthy"]

    with_app(estate(ONE), story, environ={"CMK_EVIDENCE": "off"})


def test_on_one_s_own_machine_a_folder_does(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        assert len(await lines(app)) == 1
        assert app.calls("blob") == []

    with_app(estate(ONE), story, environ={"CMK_EVIDENCE": str(tmp_path)})
    assert [file.parent.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.jsonl")] == ["2026/05/01/08"]
