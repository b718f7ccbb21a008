"""Asking for enforcement in a test, and what came of it."""

from __future__ import annotations

from typing import Any

from shared.domain.preparation import AssignIdentity, CreateKey, GrantAccess, HardenVault
from shared.domain.reasons import Reason
from shared.domain.report import Report, Stopped
from shared.domain.work import Cause, CheckResource, Source
from tests.support.azure import Azure, with_two_versions

EVERY_STEP = [HardenVault, CreateKey, AssignIdentity, GrantAccess]
KEYS = {"kv-main": [with_two_versions()]}
WRITES = {"PUT", "PATCH", "DELETE", "POST"}


def item(azure: Azure, one: dict[str, Any]) -> CheckResource:
    now = azure.time.now()
    return CheckResource(azure.address(one), Cause("cause-1", Source.EVENT), now, now)


async def enforced(azure: Azure, one: dict[str, Any]) -> Report:
    return (await azure.check(one))[-1]


def changes(azure: Azure) -> list[str]:
    """Return what was written anywhere but on queues and topics: "METHOD path"."""
    return [
        f"{line.method} {line.url.partition('?')[0]}"
        for line in azure.world.log
        if line.method in WRITES and line.kind not in {"queue", "topic", "graph", "identity", "blob"}
        if "checkNameAvailability" not in line.url  # a question, for all that it is a POST
    ]


def key_of(azure: Azure, one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = azure.body(one)["properties"]["encryption"]["keyvaultproperties"]
    return found


def refusal(report: Report) -> Reason:
    assert isinstance(report.outcome, Stopped), report.outcome
    (blocked,) = report.outcome.blocked
    return blocked.reason
