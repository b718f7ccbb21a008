"""Management groups: who lies below one at any depth, as Resource Manager lists it and Resource Graph shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.clock import ManualClock
from sandbox.cloud import Cloud
from sandbox.estate import build_world
from sandbox.identity import issue
from sandbox.wire import Answer, Call
from sandbox.world import World

READABLE, HIDDEN = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ESTATE: dict[str, Any] = {
    "subscriptions": [{"subscriptionId": READABLE, "managementGroup": "Leaf"}],
    "managementGroups": [{"name": "top"}, {"name": "leaf", "parent": "Top", "subscriptions": [HIDDEN]}],
}


def world() -> World:
    return build_world(ESTATE, clock=ManualClock(datetime(2026, 11, 2, tzinfo=UTC)))


def ask(of: World, method: str, path: str, body: bytes = b"") -> Answer:
    token, _ = issue(of, "somebody", "https://management.azure.com/", of.tenant_id)
    url = f"https://management.azure.com/providers/{path}api-version=2020-05-01"
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return Cloud(of).answer(Call(method, url, headers, body))


def below(name: str) -> list[str]:
    found = ask(world(), "GET", f"Microsoft.Management/managementGroups/{name}/descendants?")
    assert found.status == 200
    return [one["name"] for one in found.json()["value"]]


def test_a_group_lists_groups_and_subscriptions_below_it_those_that_cannot_be_read_too() -> None:
    assert below("TOP") == ["leaf", READABLE, HIDDEN]
    assert below("leaf") == [READABLE, HIDDEN]


def test_pages_of_descendants_follow_each_other() -> None:
    first = ask(world(), "GET", "Microsoft.Management/managementGroups/top/descendants?$top=2&")
    assert len(first.json()["value"]) == 2
    assert "$skipToken=2" in first.json()["nextLink"]


def test_a_group_that_nobody_knows_is_refused_as_one_that_may_not_be_seen() -> None:
    found = ask(world(), "GET", "Microsoft.Management/managementGroups/other/descendants?")
    assert (found.status, found.json()["error"]["code"]) == (403, "AuthorizationFailed")


def test_a_subscriptions_row_names_its_ancestors_the_nearest_first() -> None:
    query = b'{"query": "resourcecontainers | where type =~ \'microsoft.resources/subscriptions\'"}'
    (row,) = ask(world(), "POST", "Microsoft.ResourceGraph/resources?", query).json()["data"]
    chain = row["properties"]["managementGroupAncestorsChain"]
    assert [one["name"] for one in chain] == ["leaf", "top"]


def test_groups_are_listed_and_one_is_shown_with_what_lies_right_below_it() -> None:
    of = world()
    listed = ask(of, "GET", "Microsoft.Management/managementGroups?").json()["value"]
    assert [one["name"] for one in listed] == ["leaf", "top"]
    top = ask(of, "GET", "Microsoft.Management/managementGroups/TOP?$expand=children&").json()["properties"]
    assert (top["details"]["parent"], [one["name"] for one in top["children"]]) == (None, ["leaf"])
    leaf = ask(of, "GET", "Microsoft.Management/managementGroups/leaf?").json()["properties"]
    assert leaf["details"]["parent"]["name"] == "top"
    assert "children" not in leaf
    assert ask(of, "GET", "Microsoft.Management/managementGroups/none?").status == 403
