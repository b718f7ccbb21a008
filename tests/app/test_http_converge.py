"""POST converge and GET health, as a caller sees them."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.support.azure import MID, OLD, account, estate, scope, vault, version
from tests.support.whole_app import KEYS, WholeApp, with_app

ONE, TWO = account("st1"), account("st2")
ELSEWHERE = account("stelse", key="other", vault="kv-other")
NESTED = scope("st2", "deep")
ESTATE = estate(
    ONE,
    TWO,
    NESTED,
    ELSEWHERE,
    vault(),
    vault("kv-other"),
    keys={
        "kv-main": [{"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]}],
        "kv-other": [{"name": "other", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]}],
    },
)
MAIN = [ONE, TWO, NESTED]
ALL = [*MAIN, ELSEWHERE]
WISHES: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"key": "https://kv-main.vault.azure.net/keys/cmk"}, MAIN),
    ({"key": f"https://KV-MAIN.vault.azure.net/keys/cmk/{OLD}"}, MAIN),
    ({"vault": "https://kv-main.vault.azure.net/"}, MAIN),
    ({"vault": "kv-other.vault.azure.net"}, [ELSEWHERE]),
    ({"vault": str(vault()["id"]).upper()}, MAIN),
    ({"resource": ONE["id"]}, [ONE]),
    ({"resource": str(ONE["id"]).lower() + "/"}, [ONE]),
    ({"resource": NESTED["id"]}, [NESTED]),
    ({"all": True}, ALL),
]
NAMES = ["key", "key's version", "vault", "vault's host", "vault's id", "resource", "in any case", "scope", "all"]
DEEP = b'{"key":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
BAD = {
    "nothing": b"",
    "no object": b"[]",
    "cut short": b'{"key": "https://kv-main.vault',
    "no text": b"\xff\xfe\x00",
    "nothing named": b"{}",
    "two things named": b'{"all": true, "vault": "kv-main.vault.azure.net"}',
    "an unknown field": b'{"all": true, "force": true}',
    "a wrong type": b'{"all": "yes"}',
    "no key": b'{"key": "https://kv-main.vault.azure.net/secrets/cmk"}',
    "a key with a password": b'{"key": "https://u:p@kv-main.vault.azure.net/keys/cmk"}',
    "a vault's name alone": b'{"vault": "kv-main"}',
    "no vault": json.dumps({"vault": account("st1")["id"]}).encode(),
    "no resource": b'{"resource": "/subscriptions/x"}',
    "a way out of a resource": b'{"resource": "/subscriptions/a/resourceGroups/../providers/M.S/s/n"}',
    "deep nesting": DEEP,
}
PARTS = ("queue", "resourceGraph", "vault")
TOO_LARGE = {
    "65 KiB": json.dumps({"key": "x" * 65 * 1024}).encode(),
    "3 MB": json.dumps({"key": "x" * 3_000_000}).encode(),
    "deep nesting": b'{"key":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
}


@pytest.mark.parametrize(("wish", "moved"), WISHES, ids=NAMES)
def test_converge_moves_what_is_named_and_nothing_else(wish: dict[str, Any], moved: list[dict[str, Any]]) -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("converge", wish)
        assert (reply.status, reply.kind, reply.body["dryRun"]) == (202, "application/json", False)
        await app.run_until_quiet()
        assert [app.in_use(one) for one in ALL] == [MID if one in moved else OLD for one in ALL]

    with_app(ESTATE, story)


def test_a_dry_run_writes_nothing_at_all() -> None:
    async def story(app: WholeApp) -> None:
        for wish, _ in WISHES:
            reply = await app.post("converge", {**wish, "dryRun": True})
            assert (reply.status, reply.body["dryRun"]) == (200, True), wish
        await app.run_until_quiet()
        writes = [
            one for one in app.tried if one.method != "GET" and "Microsoft.ResourceGraph/resources" not in one.url
        ]
        assert writes == []
        assert (app.queued(), app.outcomes(), app.calls("write")) == (0, [], [])

    with_app(ESTATE, story)


def test_a_dry_run_for_a_resource_shows_its_plan() -> None:
    async def story(app: WholeApp) -> None:
        told = (await app.post("converge", {"resource": ONE["id"], "dryRun": True})).body
        (step,) = told["steps"]
        assert told["exists"] is True
        assert step["changes"][0]["to"]["version"] == MID
        absent = {"resource": f"{ONE['id']}x", "dryRun": True}
        assert (await app.post("converge", absent)).body["exists"] is False
        unknown = {"resource": str(vault()["id"]), "dryRun": True}
        assert (await app.post("converge", unknown)).body["steps"][0]["reason"] == "unsupported_type"

    with_app(ESTATE, story)


@pytest.mark.parametrize("route", ["converge", "rotate"])
def test_a_bad_body_is_answered_as_a_problem_and_puts_nothing(route: str) -> None:
    async def story(app: WholeApp) -> None:
        for name, body in BAD.items():
            assert (await app.post(route, body)).is_problem(400, "bad_request"), name
        assert app.queued() == 0

    with_app(ESTATE, story)


@pytest.mark.parametrize("route", ["converge", "rotate"])
def test_a_body_above_the_limit_is_not_read_and_puts_nothing(route: str) -> None:
    async def story(app: WholeApp) -> None:
        for name, body in TOO_LARGE.items():
            assert (await app.post(route, body)).is_problem(413, "bad_request"), name
        assert app.queued() == 0

    with_app(ESTATE, story)


def test_answers_speak_one_spelling() -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*(names(one) for one in value.values()))
        return set().union(*(names(one) for one in value)) if isinstance(value, list) else set()

    async def story(app: WholeApp) -> None:
        wishes = [wish for wish, _ in WISHES]
        told = [(await app.post("converge", {**wish, "dryRun": dry})).body for wish in wishes for dry in (True, False)]
        told.append((await app.post("rotate", {"key": WISHES[0][0]["key"], "dryRun": True})).body)
        told.append((await app.get("health")).body)
        assert {"askedAt", "firstAt", "vaultId", "eventId", "dryRun", "correlationId", "lookedAt"} <= names(told)
        assert [name for name in names(told) if "_" in name] == []

    with_app(ESTATE, story)


def test_a_vault_that_is_not_ours_is_not_asked() -> None:
    async def story(app: WholeApp) -> None:
        for url in ("https://kv-evil.vault.azure.net/keys/k", "https://evil.example/keys/k"):
            assert (await app.post("converge", {"key": url})).status == 202
        await app.run_until_quiet()
        assert all("evil" not in one.host for one in app.tried)
        ends = [one["data"]["outcome"]["blocked"][0]["reason"] for one in app.outcomes()]
        assert ends == ["vault_not_known"] * 2

    with_app(ESTATE, story)


def test_without_the_function_key_nothing_is_answered() -> None:
    async def story(app: WholeApp) -> None:
        for key in ("", "wrong", KEYS.event_grid):
            for route in ("converge", "rotate", "replay"):
                assert (await app.post(route, {"all": True}, key=key)).status == 401
            assert (await app.get("health", key=key)).status == 401
        assert (app.tried, app.queued()) == ([], 0)

    with_app(ESTATE, story)


def test_two_first_requests_at_once_both_find_the_queue_they_make() -> None:
    async def story(app: WholeApp) -> None:
        wishes = [app.post("converge", {"resource": one["id"]}) for one in (ONE, TWO)]
        assert [one.status for one in await asyncio.gather(*wishes)] == [202, 202]
        await app.run_until_quiet()
        assert [app.in_use(one) for one in (ONE, TWO)] == [MID, MID]

    with_app(ESTATE, story)


def test_when_the_queue_is_down_the_caller_is_told_to_come_again() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"host": ".queue.core.windows.net"}, "do": {"status": 503}}])
        assert (await app.post("converge", {"all": True})).is_problem(503, "service_unavailable")

    with_app(ESTATE, story)


def test_a_dry_run_while_azure_throttles_is_a_problem_and_no_crash() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"kind": "read"}, "do": {"status": 429, "retryAfter": 17}}])
        reply = await app.post("converge", {"resource": ONE["id"], "dryRun": True})
        assert reply.is_problem(503, "throttled")

    with_app(ESTATE, story)


def test_a_healthy_app_says_so() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.get("health")
        assert (reply.status, reply.body["healthy"], reply.body["problems"]) == (200, True, [])
        assert (reply.body["writes"], reply.body["identity"], reply.body["journal"]) == ("on", True, {})
        assert "Microsoft.Storage/storageAccounts" in reply.body["services"]
        assert {name: part["ok"] for name, part in reply.body["parts"].items()} == dict.fromkeys(PARTS, True)

    with_app(ESTATE, story)


@pytest.mark.parametrize(
    ("fault", "part", "reason"),
    [
        ({"match": {"host": ".queue.core.windows.net"}, "do": {"status": 503}}, "queue", "service_unavailable"),
        ({"match": {"host": ".queue.core.windows.net"}, "do": {"status": 403}}, "queue", "no_rights"),
        ({"match": {"kind": "graph"}, "do": {"status": 429, "retryAfter": 60}}, "resourceGraph", "throttled"),
        ({"match": {"kind": "vault"}, "do": {"status": 403}}, "vault", "vault_forbidden"),
        ({"match": {"kind": "vault"}, "do": {"latency": 60}}, "vault", "service_unavailable"),
    ],
)
def test_a_part_that_does_not_answer_is_named_with_its_remedy(fault: dict[str, Any], part: str, reason: str) -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([fault])
        began = app.world.now()
        reply = await app.get("health")
        assert (reply.status, reply.body["healthy"]) == (503, False)
        told = reply.body["parts"][part]
        assert (told["ok"], told["reason"]) == (False, reason)
        assert told["remedy"].endswith(".")
        assert (app.world.now() - began).total_seconds() < 15

    with_app(ESTATE, story, environ={"CMK_VAULTS": "kv-main.vault.azure.net"})


def test_health_asked_a_thousand_times_looks_once_in_half_a_minute() -> None:
    async def story(app: WholeApp) -> None:
        await asyncio.gather(*(app.get("health") for _ in range(50)))
        looks = len(app.tried)
        for _ in range(50):
            await app.get("health")
        assert len(app.tried) == looks < 12
        await app.pass_time(timedelta(seconds=31))
        before = (await app.get("health")).body["lookedAt"]
        assert len(app.tried) > looks
        assert before == (await app.get("health")).body["lookedAt"]

    with_app(ESTATE, story)


def test_an_app_that_finds_no_vault_says_so() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.get("health")
        assert (reply.status, reply.body["parts"]["vault"]["reason"]) == (503, "vault_not_known")

    with_app({**estate(account("st1", key="")), "resources": [account("st1", key="")], "keys": {}}, story)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CMK_CLOUD", "AzureMoon"),
        ("CMK_VAULTS", "kv-main.vault.azure.net,not a host"),
        ("CMK_OUTCOME_TOPIC", "http://plain.example"),
        ("AzureWebJobsStorage", ""),
    ],
)
def test_each_wrong_setting_is_named_and_stops_nothing_else(setting: str, value: str) -> None:
    wrong = {setting: value}
    if setting == "AzureWebJobsStorage":
        wrong["AzureWebJobsStorage__queueServiceUri"] = ""

    async def story(app: WholeApp) -> None:
        reply = await app.get("health")
        assert (reply.status, reply.body["healthy"]) == (503, False)
        assert [one.partition(":")[0] for one in reply.body["problems"]] == [setting]
        plan = await app.post("converge", {"resource": ONE["id"], "dryRun": True})
        assert plan.status == 200

    with_app(ESTATE, story, environ=wrong)


def test_all_wrong_settings_are_named_at_once() -> None:
    wrong = {"CMK_CLOUD": "AzureMoon", "CMK_VAULTS": "???!", "CMK_OUTCOME_TOPIC": "nonsense"}

    async def story(app: WholeApp) -> None:
        problems = (await app.get("health")).body["problems"]
        assert {one.partition(":")[0] for one in problems} == set(wrong)

    with_app(ESTATE, story, environ=wrong)


def test_an_outcome_topic_that_refuses_shows_in_health_and_undoes_nothing() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put([{"match": {"kind": "topic"}, "do": {"status": 500}}])
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        reply = await app.get("health")
        assert app.in_use(ONE) == MID
        assert (reply.status, list(reply.body["journal"])) == (503, ["outcome topic"])

    with_app(ESTATE, story)


def test_writes_can_be_switched_off_and_the_work_waits() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"resource": ONE["id"]})
        await app.run_until_quiet()
        assert (await app.get("health")).body["writes"] == "off"
        assert (app.calls("write"), app.queued()) == ([], 1)

    with_app(ESTATE, story, environ={"CMK_WRITES": "off"})
