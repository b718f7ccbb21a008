"""Connections below a hub: what they connect to is shown, the secret by its own action only."""

import pytest

from tests.sandbox.arm_desk import GROUP, Desk, account, estate

HUB = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/hub"
ONE = f"{HUB}/connections/ai"
SENT = {
    "properties": {
        "authType": "ApiKey",
        "category": "AIServices",
        "target": "https://ai.cognitiveservices.azure.com/",
        "credentials": {"key": "the-secret"},
        "metadata": {"ApiType": "Azure", "ResourceId": f"{GROUP}/providers/Microsoft.CognitiveServices/accounts/ai"},
    }
}


@pytest.fixture
def desk() -> Desk:
    body = {"id": HUB, "name": "hub", "type": "Microsoft.MachineLearningServices/workspaces", "kind": "Hub"}
    return Desk(estate(account(), {**body, "location": "westeurope", "properties": {"provisioningState": "Succeeded"}}))


def test_a_connection_is_listed_with_what_it_names_and_without_its_secret(desk: Desk) -> None:
    assert desk.call("PUT", ONE, SENT).status == 201
    (listed,) = desk.get(f"{HUB}/connections")["value"]
    assert listed["id"] == ONE
    assert listed["properties"]["metadata"] == SENT["properties"]["metadata"]
    for shown in (listed, desk.get(ONE), desk.call("PUT", ONE, SENT).json()):
        assert shown["properties"]["credentials"] is None
    assert desk.get(f"{HUB}/connections", category="CognitiveSearch")["value"] == []
    secret = desk.call("POST", f"{ONE}/listsecrets").json()
    assert secret["properties"]["credentials"] == {"key": "the-secret"}


def test_a_connection_says_how_it_signs_in_what_it_is_and_where_it_leads(desk: Desk) -> None:
    assert desk.refused("PUT", ONE, {"properties": {"category": "AIServices"}}) == (400, "ValidationError")
    assert desk.call("PATCH", ONE, {"properties": {}}).status == 405
    assert desk.call("GET", ONE).status == 404
