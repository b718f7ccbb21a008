"""Whoever can post events, or put messages on the queue, gains looks and nothing else; and cannot write our log."""

from __future__ import annotations

import base64
import json
import logging
import re
from datetime import timedelta
from typing import Any

import pytest

from shared.usecases.intake import take_delivery
from tests.support.azure import MID, OLD, TOPIC, Azure, account, estate, on_azure, version
from tests.support.grid_events import CREATED, FORGED, VAULT_ID, WRITTEN, event, key_event, resource_event
from tests.support.watching import Line, collecting
from tests.support.whole_app import QUEUE, WholeApp, with_app

BEHIND = account("st1")
OURS = {
    "management.azure.com",
    "cmkautopilot.queue.core.windows.net",
    "cmkautopilot.blob.core.windows.net",
    TOPIC,
    "127.0.0.1",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")
INJECTED = "x\r\n[op] rotated https://kv-main: all is well\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2028\x85\x00"
EVIL = [
    key_event(url=f"https://kv-{number}.vault.azure.net/keys/k", topic=VAULT_ID.replace("kv-main", f"kv-{number}"))
    for number in range(40)
]
GONE = [resource_event(f"{BEHIND['id']}{number}") for number in range(40)]


def strangers(app: WholeApp, *ours: str) -> list[str]:
    """Return requests to hosts that are not ours; a vault is ours only where it is named."""
    return [one.url for one in app.tried if one.host not in OURS.union(ours)]


def escapes(app: WholeApp) -> list[str]:
    """Return lines of ours that hold what does not print, or are longer than anybody reads."""
    return [line for line in app.logged() if CONTROL.search(line) or len(line) > 4000]


def injecting() -> list[dict[str, Any]]:
    """Return events that hold a forged line wherever an event may hold text."""
    names = [{"id_": INJECTED}, {"topic": f"{VAULT_ID}{INJECTED}"}, {"subject": INJECTED}]
    found = [key_event(**more) for more in names] + [resource_event(str(BEHIND["id"]), id_=INJECTED)]
    found += [event(f"{CREATED}{INJECTED}", {}), event(INJECTED, {}), key_event(url=f"https://{INJECTED}/keys/k")]
    found += [resource_event(f"{BEHIND['id']}{INJECTED}"), event(CREATED, {"VaultName": INJECTED, "ObjectName": "k"})]
    found += [
        event(WRITTEN, {"resourceUri": f"{VAULT_ID}{INJECTED}/providers/Microsoft.Authorization/roleAssignments/1"})
    ]
    return found


@pytest.mark.parametrize("to", ["key_events", "resource_events"])
def test_nothing_an_event_holds_begins_a_line_of_the_log_or_moves_a_cursor(to: str) -> None:
    async def story(app: WholeApp) -> None:
        for one in injecting():
            assert await app.deliver([one], to=to) == 202
        assert await app.deliver(injecting(), to=to) == 202
        await app.run_until_quiet()
        assert app.logged() != []
        assert escapes(app) == []
        assert strangers(app, "kv-main.vault.azure.net") == []

    with_app(estate(BEHIND), story)


def test_nothing_a_queue_message_holds_begins_a_line_of_the_log_or_reaches_a_stranger() -> None:
    cause = {"id": INJECTED, "source": "event", "event_id": INJECTED, "event_type": INJECTED}
    times = {"asked_at": "2026-05-01T08:00:00Z"}
    evil = {"host": f"kv.evil.example{INJECTED}", "name": "k"}
    items: list[dict[str, Any]] = [
        {"type": "key", "key": evil, "cause": cause, **times},
        {"type": "rotate", "key": evil, "cause": cause, **times},
        {"type": "vault", "host": evil["host"], "cause": cause, **times},
        {"type": "vault", "vault_id": f"{VAULT_ID}{INJECTED}", "cause": cause, **times},
        {"type": f"nonsense{INJECTED}", "cause": cause, **times},
    ]

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": BEHIND["id"]})  # makes the queue
        for item in items:
            text = json.dumps({"v": 1, "item": item})
            await app.queue(QUEUE).send_message(base64.b64encode(text.encode()).decode(), time_to_live=-1)
        await app.run_until_quiet(timedelta(minutes=10))
        assert [one.url for one in app.tried if "evil" in one.host] == []
        assert escapes(app) == []
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def taken(body: str) -> tuple[list[Line], list[str]]:
    """Take a body as one delivery, as a function of cardinality "many" gets it; return the log and the queue."""
    lines: list[Line] = []

    async def story(azure: Azure) -> list[str]:
        with collecting(lines):
            await take_delivery(azure.app.context, body, lambda: "spare")
        return azure.waiting()

    return lines, on_azure(estate(BEHIND), story)


def test_a_delivery_of_thousands_gets_one_line_with_counts() -> None:
    kinds: list[dict[str, Any]] = [{"id": "x"}, {"eventType": "X" * 50}, {"eventType": CREATED}]
    lines, queue = taken(json.dumps([kinds[number % 3] for number in range(4998)] + [key_event()]))
    (line,) = [one.text for one in lines if one.logger == "cmk"]
    assert line.startswith("4999 events: 1666 ")
    assert "1 put CheckKey" in line
    assert (len(line) < 300, len(queue)) == (True, 1)


@pytest.mark.parametrize("one", [key_event(), {"id": "1"}], ids=["whole events", "little events"])
def test_a_delivery_of_too_many_events_is_told_of_once(one: dict[str, Any]) -> None:
    lines, queue = taken(json.dumps([one] * 5001))
    (line,) = [one for one in lines if one.logger == "cmk"]
    assert "an event was refused" in line.text
    assert (len(line.text) < 200, line.level, queue) == (True, logging.WARNING, [])


@pytest.mark.parametrize(
    "body",
    [key_event(id_="x" * 1_048_576), {**key_event(), "data": {"Id": "x" * 524_288, "note": "ü" * 262_144}}],
    ids=["an event above 1 MiB", "above 1 MiB in bytes only"],
)
def test_an_event_above_the_limit_is_told_of_once_and_the_next_one_is_taken(body: dict[str, Any]) -> None:
    async def story(app: WholeApp) -> None:
        assert await app.deliver(json.dumps(body, ensure_ascii=False).encode()) == 202
        (line,) = app.logged()
        assert "an event was refused" in line
        assert (len(line) < 200, app.queued()) == (True, 0)
        assert await app.deliver([key_event()]) == 202
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_an_event_with_a_number_nothing_can_hold_does_not_take_its_neighbours_along() -> None:
    body = json.dumps([{**key_event(), "data": {"EXP": "BIG"}}, key_event()]).replace('"BIG"', "9" * 5000)

    async def story(app: WholeApp) -> None:
        told = await app.post("replay", body.encode())
        assert [one["result"] for one in told.body] == ["ignored", "put"]
        await app.run_until_quiet()
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_a_flood_of_forged_vaults_costs_one_query_and_asks_no_vault() -> None:
    async def story(app: WholeApp) -> None:
        assert await app.deliver(EVIL) == 202
        await app.run_until_quiet()
        assert strangers(app) == []
        assert app.calls("vault", "read", "write") == []
        assert len(app.calls("graph")) <= 2
        assert len(app.logged()) <= 2 * len(EVIL)

    with_app(estate(BEHIND), story)


def test_a_flood_of_forged_events_brings_twenty_warnings_an_hour_and_hides_none_that_somebody_asked_for() -> None:
    elsewhere = [str(one["data"]["resourceUri"]).replace("1111-1111", "9999-9999") for one in GONE]

    async def story(app: WholeApp) -> None:
        assert await app.deliver(EVIL) == 202
        assert await app.deliver([resource_event(one) for one in elsewhere], to="resource_events") == 202
        await app.run_until_quiet()
        for reason in ("vault_not_known", "refused"):
            stopped = [line for line in app.lines if f" {reason} [" in line.text]
            assert [len(stopped), sum(line.level == logging.WARNING for line in stopped)] == [40, 20]
        await app.post("converge", {"resource": elsewhere[-1]})
        await app.run_until_quiet()
        assert [line.level for line in app.lines if " refused [" in line.text][-1] == logging.WARNING

    with_app(estate(BEHIND), story)


def test_a_flood_of_keys_that_a_known_vault_does_not_have_asks_the_index_for_none_of_them() -> None:
    made_up = [key_event(url=f"https://kv-main.vault.azure.net/keys/none{number}") for number in range(40)]

    async def story(app: WholeApp) -> None:
        assert await app.deliver([*made_up, key_event()]) == 202
        await app.run_until_quiet()
        assert len(app.calls("graph")) <= 5
        assert len(app.logged()) <= 2 * len(made_up) + 20
        assert app.in_use(BEHIND) == MID

    with_app(estate(BEHIND), story)


def test_who_uses_a_key_that_is_gone_is_found_by_whoever_asks_for_it_and_by_the_sweep() -> None:
    orphan = account("st2", key="gone")

    async def story(app: WholeApp) -> None:
        for wish in ({"key": "https://kv-main.vault.azure.net/keys/gone"}, {"all": True}):
            before = len(app.logged())
            await app.post("converge", wish)
            await app.run_until_quiet()
            assert [line for line in app.logged()[before:] if f"stopped {orphan['id']} key_not_found" in line]

    with_app(estate(BEHIND, orphan), story)


def test_a_flood_of_forged_resources_costs_a_read_each_and_writes_nothing() -> None:
    async def story(app: WholeApp) -> None:
        assert await app.deliver(GONE, to="resource_events") == 202
        await app.run_until_quiet()
        assert strangers(app) == []
        assert len(app.calls("read")) <= len(GONE)
        assert app.calls("write", "vault") == []
        assert len(app.logged()) <= 2 * len(GONE)

    with_app(estate(BEHIND), story)


def test_an_event_about_an_object_of_a_strangers_search_service_sends_it_nothing() -> None:
    service = str(BEHIND["id"]).replace("Microsoft.Storage/storageAccounts/st1", "Microsoft.Search/searchServices/")

    async def story(app: WholeApp) -> None:
        names = ("stranger", "x@stranger", "stranger:8443", "stranger.evil")
        events = [resource_event(f"{service}{name}/indexes/i") for name in names]
        assert await app.deliver(events, to="resource_events") == 202
        await app.run_until_quiet()
        assert strangers(app) == []
        assert app.calls("write", "vault", "search") == []

    with_app(estate(BEHIND), story)


def test_what_is_forged_changes_nothing_that_a_true_event_would_not_also_change() -> None:
    fine = account("st2", MID)

    async def story(app: WholeApp) -> None:
        before = app.body(fine)
        assert await app.deliver([*FORGED.values(), *injecting(), *GONE[:5], resource_event(str(fine["id"]))]) == 202
        await app.run_until_quiet()
        assert app.body(fine) == before
        assert app.calls("write") == [one for one in app.calls("write") if one.endswith("/st1")]
        assert escapes(app) == []

    with_app(estate(BEHIND, fine), story)


def test_what_stays_stopped_is_warned_of_once_an_hour() -> None:
    unusable = {"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z", enabled=False)]}
    follower, pinned = account("st1", ""), account("st2", key="gone")

    async def story(app: WholeApp) -> None:
        for _ in range(7):
            for one in (follower, pinned):
                await app.post("converge", {"resource": one["id"]})
            await app.run_until_quiet()
            await app.pass_time(timedelta(minutes=11))
        for one in (follower, pinned):
            levels = [line.level for line in app.lines if f"stopped {one['id']} " in line.text]
            assert levels == [logging.WARNING, *[logging.INFO] * 5, logging.WARNING]

    with_app(estate(follower, pinned, keys={"kv-main": [unusable]}), story)
