"""Diagnostic settings: put, shown and listed below their resource; refused as Azure refuses them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.arm_desk import ACCOUNT, GROUP, VAULT, Desk, account, estate

SETTINGS = "/providers/Microsoft.Insights/diagnosticSettings"
PLACE = f"{VAULT}{SETTINGS}"
TO = {"workspaceId": f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/log"}
AUDIT = {"properties": {**TO, "logs": [{"category": "AuditEvent", "enabled": True}]}}
REFUSED: dict[str, dict[str, Any]] = {
    "no destination": {"logs": AUDIT["properties"]["logs"]},
    "an unknown category": {**TO, "logs": [{"category": "Uses", "enabled": True}]},
    "a category and a group": {**TO, "logs": [{"category": "AuditEvent", "categoryGroup": "audit", "enabled": True}]},
    "neither of the two": {**TO, "logs": [{"enabled": True}]},
    "no list": {**TO, "logs": {}},
}


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account()))


def test_a_setting_is_put_shown_listed_and_taken_away(desk: Desk) -> None:
    assert desk.get(PLACE) == {"value": []}
    made = desk.call("PUT", f"{PLACE}/kept", AUDIT)
    assert (made.status, made.json()["properties"]) == (200, AUDIT["properties"])
    assert desk.get(f"{PLACE}/kept") == made.json()
    assert desk.get(PLACE)["value"] == [made.json()]
    assert desk.get(f"{ACCOUNT}{SETTINGS}") == {"value": []}
    assert desk.query("resources | where type contains 'diagnostic' | project id")["data"] == []
    assert desk.call("DELETE", f"{PLACE}/kept").status == 200
    assert desk.get(PLACE) == {"value": []}


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_azure_would_not_take_is_refused(desk: Desk, case: str) -> None:
    assert desk.refused("PUT", f"{PLACE}/kept", {"properties": REFUSED[case]}) == (400, "BadRequest")
    assert desk.get(PLACE) == {"value": []}


def test_a_resource_has_five_at_most_and_one_that_is_not_there_none(desk: Desk) -> None:
    for number in range(5):
        assert desk.call("PUT", f"{PLACE}/s{number}", AUDIT).status == 200
    assert desk.call("PUT", f"{PLACE}/s0", AUDIT).status == 200
    assert desk.refused("PUT", f"{PLACE}/s5", AUDIT) == (400, "BadRequest")
    assert desk.refused("GET", f"{VAULT}x{SETTINGS}") == (404, "ResourceNotFound")
    assert desk.refused("PUT", f"{VAULT}x{SETTINGS}/s0", AUDIT) == (404, "ResourceNotFound")
