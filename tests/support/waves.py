"""Estates to roll a version out on, and hands that are in its way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.report import Report, Waiting
from shared.domain.resource import fold
from shared.domain.waves import place_of
from tests.support.azure import MID, OLD, START, Azure, account, estate, version

KEY = "https://kv-main.vault.azure.net/keys/cmk"
ROLLED = f"{KEY}/{MID}"
TWO_WAVES = "waves: [{share: 20}, {share: 100, after: 1d}]"
JUST_MADE = {"kv-main": [{"name": "cmk", "versions": [version(OLD), version(MID, START.isoformat())]}]}


def rule(*lines: str, name: str = "all") -> str:
    """Return a policy's rule that fixes everything, with these lines."""
    return "\n    ".join([f"  - name: {name}", "rotation: fix", *lines]) + "\n"


def users(number: int = 10, name: str = "ledger", **more: Any) -> list[dict[str, Any]]:
    """Return accounts on the old version."""
    return [account(f"{name}{one}", **more) for one in range(number)]


def just_rotated(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an estate whose key has had a new version since START."""
    return estate(*resources, keys=JUST_MADE, **more)


def canaries(resources: list[dict[str, Any]], what: str = ROLLED, share: int = 20) -> list[dict[str, Any]]:
    """Return those in the first wave."""
    return [one for one in resources if place_of(fold(str(one["id"])), what) < share]


def others(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those in the second."""
    return [one for one in resources if one not in canaries(resources)]


def refuse(azure: Azure, *resources: dict[str, Any]) -> None:
    """Let Azure refuse every change of these; of none, none."""
    paths = tuple(str(one["id"]).lower() for one in resources)
    body = b'{"error": {"code": "QuotaExceeded", "message": "no."}}'
    refused = Answer(409, {"content-type": "application/json"}, body)

    def before(call: Call) -> Answer | None:
        return refused if call.method == "PATCH" and call.path.lower() in paths else None

    azure.world.hooks = Hooks(before=before)


def asked_index(azure: Azure) -> int:
    """Return how often the index was asked."""
    return sum("microsoft.resourcegraph" in one.url.lower() for one in azure.world.log)


def moved(azure: Azure, resources: list[dict[str, Any]]) -> set[str]:
    """Return the versions in effect."""
    return {azure.in_use(one) for one in resources}


def waits(reports: list[Report]) -> dict[str, datetime]:
    """Return what is waited for and until when, the latest."""
    outcomes = [one.outcome for one in reports]
    return {one.wait.reason.value: one.wait.again_at for one in outcomes if isinstance(one, Waiting)}


DAY = timedelta(days=1)
