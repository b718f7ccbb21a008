"""POST audit, as a caller sees it, and what the app says of vaults by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.azure import MID, account, audit_events, estate, vault
from tests.support.enforcing import bare_vault
from tests.support.grid_events import SUBSCRIPTION_ID
from tests.support.policies import ALL, PolicyFile
from tests.support.whole_app import GRID, WholeApp, arm_url, with_app

HOST = "kv-main.vault.azure.net"
EXPECTS = "vaults:\n  - name: every vault\n    expect: {purgeProtection: true, auditEvents: true}\n"


def environ(folder: Path) -> dict[str, str]:
    return PolicyFile(folder, ALL, more=EXPECTS).environ


def audits(app: WholeApp) -> list[dict[str, Any]]:
    """Return what the outcome topic heard of audits."""
    return [one["data"] for one in app.outcomes() if one["type"].endswith(".Audited")]


@pytest.mark.parametrize("named", [HOST, f"https://{HOST}/", str(vault()["id"]).upper()])
def test_a_dry_run_answers_with_the_findings_and_a_wish_reports_them(tmp_path: Path, named: str) -> None:
    async def story(app: WholeApp) -> None:
        told = await app.post("audit", {"vault": named, "dryRun": True})
        assert told.status == 200
        assert [one["reason"] for one in told.body["audit"]["findings"]] == ["vault_not_protected", "vault_not_audited"]
        assert (app.queued(), audits(app)) == (0, [])
        assert (await app.post("audit", {"vault": named})).status == 202
        await app.run_until_quiet()
        (heard,) = audits(app)
        assert set(heard["remedies"]) == {"vault_not_protected", "vault_not_audited"}
        (line,) = (await app.get("evidence")).body["lines"]
        assert [one["reason"] for one in line["refused"]] == ["vault_not_protected", "vault_not_audited"]
        assert app.calls("write") == []

    with_app(estate(bare_vault()), story, environ=environ(tmp_path))


def test_a_vault_that_is_changed_is_audited_by_the_event_of_that(tmp_path: Path) -> None:
    row = {"source": SUBSCRIPTION_ID, "endpoint": "azurefunction:resource_events", "schema": GRID}
    told_of = [{**row, "includedEventTypes": ["Microsoft.Resources.ResourceWriteSuccess"]}]

    async def story(app: WholeApp) -> None:
        app.other_hand("PATCH", arm_url(vault()["id"]), {"tags": {"touched": "yes"}})
        await app.run_until_quiet()
        assert [one["outcome"]["findings"][0]["reason"] for one in audits(app)] == ["vault_not_protected"]

    with_app(estate(bare_vault(), audit_events(), eventSubscriptions=told_of), story, environ=environ(tmp_path))


def test_a_vault_in_order_is_left_to_the_log(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        assert audits(app) == []
        assert (await app.get("evidence")).body["lines"] == []

    with_app(estate(account("st1", MID), audit_events()), story, environ=environ(tmp_path))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "bad_request"),
        ({"vault": "kv-main.example.com"}, "vault_not_known"),
        ({"vault": "kv-forged.vault.azure.net"}, "vault_not_known"),
        ({"vault": "/subscriptions/x"}, "bad_request"),
        ({"vault": "kv-main"}, "bad_request"),
        ({"vault": ""}, "bad_request"),
        ({"vault": str(account("st1")["id"])}, "bad_request"),
    ],
)
def test_what_is_no_vault_of_ours_is_refused(tmp_path: Path, body: dict[str, str], reason: str) -> None:
    async def story(app: WholeApp) -> None:
        told = await app.post("audit", {**body, "dryRun": True})
        assert told.is_problem(400 if reason == "bad_request" else 422, reason)

    with_app(estate(vault()), story, environ=environ(tmp_path))
