import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.clock import ManualClock
from sandbox.console import Console
from sandbox.stage import EndpointRefusedError, Stage
from sandbox.wire import Call

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-one"
ESTATE = {
    "subscriptions": [{"subscriptionId": SUBSCRIPTION, "displayName": "one"}],
    "resources": [
        {"id": VAULT, "location": "westeurope", "properties": {"vaultUri": "https://kv-one.vault.azure.net/"}},
    ],
    "keys": {"kv-one": [{"name": "k", "versions": [{"version": "0" * 32, "created": "2026-01-01T00:00:00Z"}]}]},
}


class Desk:
    """A console without a server; remembers what was posted to event endpoints and how often the clock was shifted."""

    def __init__(self, estate: Mapping[str, Any] = ESTATE) -> None:
        self.posted: list[tuple[str, dict[str, str], Any]] = []
        self.shifts = 0
        self.stage = Stage(dict(estate), post=self._post, clock=ManualClock(datetime(2026, 11, 2, tzinfo=UTC)))
        self.console = Console(self.stage, exports=lambda: {"A": "b"}, shifted=self._shifted)

    async def _post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        self.posted.append((endpoint, dict(headers), json.loads(body)))
        return 202

    async def _shifted(self) -> None:
        self.shifts += 1

    def ask(self, method: str, verb: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        call = Call(method, f"http://127.0.0.1:4280/console/{verb}", headers, content)
        answer = asyncio.run(self.console.answer(call))
        return answer.status, answer.json()

    def get(self, verb: str) -> Any:
        status, body = self.ask("GET", verb)
        assert status == 200
        return body

    def call(self, url: str, method: str = "GET") -> int:
        return self.stage.cloud.answer(Call(method, url)).status


def test_state_tells_what_there_is() -> None:
    state = Desk().get("state")
    assert state["subscriptions"] == [SUBSCRIPTION]
    assert (state["now"], state["offsetSeconds"], state["seed"]) == ("2026-11-02T00:00:00+00:00", 0, 1)
    assert Desk().get("env") == {"A": "b"}


@pytest.mark.parametrize(
    ("shift", "seconds"), [(90, 90), ("PT24H", 86400), ("P1DT1H1M1.5S", 90061.5), (0, 0), ("P2D", 172800)]
)
def test_the_clock_is_shifted_forward_and_the_app_is_told(shift: Any, seconds: float) -> None:
    desk = Desk()
    assert desk.ask("POST", "clock", {"shift": shift})[1]["offsetSeconds"] == seconds
    assert desk.get("clock")["offsetSeconds"] == seconds
    assert desk.shifts == 1


@pytest.mark.parametrize("shift", ["P", "24h", "PT", -1, None, True, "-PT1H"])
def test_a_wrong_shift_is_refused(shift: Any) -> None:
    desk = Desk()
    status, body = desk.ask("POST", "clock", {"shift": shift})
    assert (status, body["error"]["code"], desk.shifts) == (400, "InvalidShift", 0)


def test_calls_are_listed_from_an_index_on_by_kind_and_counted() -> None:
    desk = Desk()
    for _ in range(3):
        desk.call("https://kv-one.vault.azure.net/keys")
        desk.call(f"https://management.azure.com{VAULT}?api-version=2023-07-01")
    calls = desk.get("calls?since=1&kind=vault")
    assert [line["index"] for line in calls["value"]] == [2, 4]
    assert calls["next"] == 6
    assert desk.get("calls?limit=2")["next"] == 2
    assert desk.get("calls?host=management.azure.com&method=GET&since=5")["value"][0]["status"] == 401
    assert desk.get("calls?since=6") == {"value": [], "next": 6}
    counts = desk.get("counts")
    assert counts["arm"] == {"read": 3, "write": 0, "childList": 0, "list": 0}
    assert (counts["vault"], counts["total"], counts["throttled"]) == (3, 6, 0)


def test_faults_are_put_listed_and_taken_away() -> None:
    desk = Desk()
    rule = {"match": {"kind": "vault"}, "times": 1, "do": {"status": 429}}
    assert desk.ask("PUT", "faults", [rule])[1]["value"] == [{**rule, "seen": 0, "used": 0}]
    assert [desk.call("https://kv-one.vault.azure.net/keys") for _ in range(2)] == [429, 401]
    assert desk.get("faults")["value"][0]["used"] == 1
    assert desk.get("counts")["throttled"] == 1
    assert desk.ask("PUT", "faults", [{"do": {}}])[0] == 400
    assert desk.ask("PUT", "faults", {})[0] == 400
    assert desk.ask("DELETE", "faults")[1] == {"value": []}


def test_a_resource_is_shown_as_it_stands() -> None:
    desk = Desk()
    assert desk.get(f"resource?id={VAULT.upper()}")["id"] == VAULT
    assert desk.ask("GET", "resource?id=/nothing")[0] == 404


def test_reset_makes_the_same_world_again_and_the_clock_goes_on() -> None:
    desk = Desk()
    desk.stage.world.resources.remove(VAULT)
    desk.ask("POST", "clock", {"shift": 60})
    assert desk.ask("POST", "reset")[1]["offsetSeconds"] == 60
    assert desk.get(f"resource?id={VAULT}")["id"] == VAULT


def test_another_estate_can_be_loaded_and_a_wrong_one_changes_nothing() -> None:
    desk = Desk()
    smaller = {**ESTATE, "resources": [], "keys": {}}
    assert desk.ask("POST", "estate", smaller)[0] == 200
    assert desk.get("estate") == smaller
    assert desk.ask("GET", f"resource?id={VAULT}")[0] == 404
    assert desk.ask("POST", "estate", {"wrong": 1})[1]["error"]["code"] == "InvalidEstate"
    assert desk.ask("POST", "estate", [])[0] == 400
    assert desk.get("estate") == smaller


def test_an_event_body_is_delivered_as_it_stands() -> None:
    desk = Desk()
    asked = {"to": "azurefunction:key_events", "body": [{"odd": " body"}], "headers": {"aeg-delivery-count": "3"}}
    assert desk.ask("POST", "events", asked) == (200, {"status": 202})
    [(endpoint, headers, body)] = desk.posted
    assert (endpoint, body) == ("azurefunction:key_events", [{"odd": " body"}])
    assert headers["aeg-event-type"] == "Notification"
    assert headers["aeg-delivery-count"] == "3"


@pytest.mark.parametrize(
    "asked", [{}, {"to": "https://example.org/", "body": []}, {"to": "http://10.0.0.1/", "body": []}, {"emit": {}}]
)
def test_an_event_goes_nowhere_else(asked: dict[str, Any]) -> None:
    desk = Desk()
    assert desk.ask("POST", "events", asked)[0] == 400
    assert desk.posted == []


def test_an_emitted_event_is_delivered_to_the_apps_function_by_default_subscriptions() -> None:
    desk = Desk()
    desk.stage.app_runs(frozenset({"key_events", "resource_events"}))
    kind = "Microsoft.KeyVault.KeyNewVersionCreated"
    event = {"topic": VAULT, "subject": "k", "type": kind, "data": {"ObjectName": "k"}}
    desk.ask("POST", "deliveries", {"do": "duplicate", "match": {"type": kind}})
    assert desk.ask("POST", "events", {"emit": event}) == (200, {"emitted": 1})
    asyncio.run(desk.stage.pump.drain())
    assert [(endpoint, body[0]["eventType"]) for endpoint, _, body in desk.posted] == [
        ("azurefunction:key_events", kind)
    ] * 2
    shown = desk.get("deliveries")
    assert (shown["delivered"], shown["duplicates"], len(shown["subscriptions"])) == (2, 1, 2)
    assert desk.get("deadletters") == {"value": []}


def test_an_estate_with_its_own_event_subscriptions_gets_no_others() -> None:
    row = {"source": VAULT, "endpoint": "azurefunction:other"}
    desk = Desk({**ESTATE, "eventSubscriptions": [row]})
    desk.stage.app_runs(frozenset({"key_events"}))
    assert [one["endpoint"] for one in desk.get("deliveries")["subscriptions"]] == ["azurefunction:other"]


@pytest.mark.parametrize(
    "endpoint", ["https://example.org/hook", "http://10.1.2.3/", "azurefunction:", "", "file:///x"]
)
def test_an_estate_that_delivers_to_elsewhere_is_refused(endpoint: str) -> None:
    with pytest.raises(EndpointRefusedError, match="azurefunction:NAME or an http URL"):
        Desk({**ESTATE, "eventSubscriptions": [{"source": VAULT, "endpoint": endpoint}]})


def test_outcomes_are_what_topics_were_sent() -> None:
    desk = Desk()
    event = {"id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-02T00:00:00Z", "dataVersion": "1"}
    headers = {"aeg-sas-key": "k", "content-type": "application/json"}
    url = "https://cmk-outcomes.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01"
    assert desk.stage.cloud.answer(Call("POST", url, headers, json.dumps([event]).encode())).status == 200
    assert desk.get("outcomes")["value"] == [event]


def test_strangers_and_unknown_verbs_are_turned_away() -> None:
    desk = Desk()
    assert desk.ask("GET", "state", origin="https://evil.example")[0] == 403
    assert desk.ask("GET", "state", origin="http://localhost:3000")[0] == 200
    stranger = Call("GET", "http://evil.example:4280/console/state")
    assert asyncio.run(desk.console.answer(stranger)).status == 403
    assert desk.ask("GET", "nonsense")[0] == 404
    assert desk.ask("POST", "clock", b"{")[0] == 400
