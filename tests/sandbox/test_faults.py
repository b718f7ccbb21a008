from typing import Any

import pytest

from sandbox.cloud import Cloud, Site
from sandbox.faults import Faults
from sandbox.wire import Answer, Call, Refused, Unreachable
from sandbox.world import World

URL = "https://a.example.test/things/1"


class Stand:
    """A cloud with one site that counts its effects, and faults in front of it."""

    def __init__(self, *rules: dict[str, Any], seed: int = 1) -> None:
        self.effects = 0
        world = World()
        self.cloud = Cloud(world, (Site((".example.test",), self._site, lambda call: call.method.lower()),))
        faults = Faults(lambda call: call.method.lower(), seed)
        faults.put(rules)
        faults.install(world)

    def _site(self, _world: World, _call: Call) -> Answer:
        self.effects += 1
        return Answer.of({"fine": True})

    def get(self, method: str = "GET", url: str = URL) -> Answer:
        return self.cloud.answer(Call(method, url))

    def statuses(self, times: int) -> list[int]:
        return [self.get().status for _ in range(times)]


def test_a_status_is_answered_in_azures_place_without_an_effect() -> None:
    stand = Stand({"do": {"status": 429, "code": "TooManyRequests", "retryAfter": 7, "headers": {"x-a": 1}}})
    answer = stand.get()
    assert (answer.status, answer.headers["Retry-After"], answer.headers["x-a"]) == (429, "7", "1")
    assert answer.json()["error"]["code"] == "TooManyRequests"
    assert stand.effects == 0


def test_a_rule_strikes_so_many_times_after_so_many() -> None:
    stand = Stand({"after": 1, "times": 2, "do": {"status": 500}})
    assert stand.statuses(5) == [200, 500, 500, 200, 200]


@pytest.mark.parametrize(
    ("match", "strikes"),
    [
        ({"host": "a.example.test"}, True),
        ({"host": ".example.test"}, True),
        ({"host": "b.example.test"}, False),
        ({"path": "/THINGS/\\d+$"}, True),
        ({"path": "/other"}, False),
        ({"method": "get"}, True),
        ({"method": "PUT"}, False),
        ({"kind": "get"}, True),
        ({"kind": "put"}, False),
    ],
)
def test_a_rule_is_about_what_it_matches(match: dict[str, str], strikes: bool) -> None:  # noqa: FBT001  a table
    assert Stand({"match": match, "do": {"status": 500}}).statuses(1) == [500 if strikes else 200]


@pytest.mark.parametrize(("reset", "effects"), [("before", 0), ("after", 1)])
def test_a_connection_breaks_before_or_after_the_effect(reset: str, effects: int) -> None:
    stand = Stand({"do": {"reset": reset}, "times": 1})
    with pytest.raises(Unreachable):
        stand.get()
    assert stand.effects == effects
    assert stand.statuses(1) == [200]


def test_latency_headers_and_body_colour_azures_own_answer() -> None:
    answer = Stand({"do": {"latency": 2, "body": "<html>"}}).get()
    assert (answer.status, answer.latency, answer.body) == (200, 2, b"<html>")


def test_chance_follows_from_the_seed() -> None:
    def rolls(seed: int) -> list[int]:
        return Stand({"probability": 0.5, "do": {"status": 500}}, seed=seed).statuses(50)

    assert rolls(1) == rolls(1) != rolls(2)
    assert 10 < rolls(1).count(500) < 40


@pytest.mark.parametrize(
    "rule",
    [
        "no object",
        {"do": {}},
        {"do": {"code": "x"}},
        {"do": {"status": 500}, "wrong": 1},
        {"do": {"status": 500}, "match": {"wrong": 1}},
        {"do": {"reset": "never"}},
        {"do": {"status": 500}, "match": {"path": "("}},
    ],
)
def test_a_wrong_rule_is_refused_and_changes_nothing(rule: Any) -> None:
    faults = Faults(lambda _: "x")
    faults.put([{"do": {"status": 500}}])
    with pytest.raises(Refused, match="400 InvalidFault"):
        faults.put([rule])
    assert len(faults.rules) == 1
