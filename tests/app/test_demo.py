"""The demo as a machine runs it: real HTTPS, real SDKs, the app in a process of its own."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.appprocess import AppProcess
from sandbox.arm.keyed import uses
from sandbox.arm.keyed.table import TABLE
from sandbox.demo.estate import OLD
from sandbox.demo.services import KEY, ROWS, VAULT, make
from sandbox.demo.story import rotate
from sandbox.demo.tally import Tally
from sandbox.stage import Stage

FOLLOWED = f"https://{VAULT}.vault.azure.net/keys/{KEY}"
# Their keys are seen at the protector, and at the workspace.
CARRIERS = {"microsoft.sql/servers/keys", "microsoft.sql/managedinstances/keys", "microsoft.synapse/workspaces/keys"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_every_user_ends_verified_within_the_budget_of_requests() -> None:
    command = [sys.executable, "-m", "sandbox", "demo", "--resources", "120", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    arm = told["requests"]["arm"]
    assert set(told) == {
        "resources",
        "users",
        "repointed",
        "following",
        "verified",
        "blocked",
        "failed",
        "lost",
        "duplicatesDelivered",
        "throttled",
        "seconds",
        "simulatedSeconds",
        "requests",
        "services",
    }
    assert told["verified"] == told["users"] == told["repointed"] + told["following"]
    assert (told["blocked"], told["failed"], told["lost"]) == (0, 0, 0)
    assert told["duplicatesDelivered"] == 2
    # An account takes three requests and a scope two; some were moved already when the newer version came.
    assert arm["read"] + arm["write"] <= 3.5 * told["repointed"]
    assert arm["childList"] <= told["resources"]
    assert told["simulatedSeconds"] > 24 * 3600
    every_other_service_ended_as_it_should(told["services"])


def every_other_service_ended_as_it_should(told: dict[str, Any]) -> None:
    ends = {one["name"]: one["said"] for one in told["list"]}
    assert told["wrong"] == 0, [one for one in told["list"] if one["wrong"]]
    assert {name: ends[name] for name in ("aa-pin", "acrfol", "ai-openai", "pg-fol")} == {
        "aa-pin": "configured",
        "acrfol": "verified",
        "ai-openai": "configured",
        "pg-fol": "unknown",
    }
    assert told["reported"] == {"hop_only": 1, "managed_by_azure": 1, "recreate_only": 1}
    assert {one["type"].lower() for one in told["list"]} >= TABLE.keys() - CARRIERS
    parts = told["verified"] + told["configured"] + told["unknown"] + sum(told["reported"].values())
    assert parts == told["resources"] == len(told["list"])
    assert told["moved"] == sum(1 for one in told["list"] if one["writes"])
    # A protector takes two requests, since its server is given the key first; all others that move take one.
    protectors = sum(1 for one in told["list"] if one["writes"] and "encryptionProtector" in one["type"])
    assert told["requests"]["arm"]["write"] <= told["moved"] + protectors


async def nobody(*_: object) -> int:
    return 200


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, ""),
        ({"said": ""}, "nothing was said of it"),
        ({"said": "unknown"}, "it should end configured"),
        ({"writes": 0}, "written 0 times"),
        ({"version": OLD}, "version 8e2f1a0b3c4d5e6f708192a3b4c5d6e7 is in effect"),
        ({"tags": {}}, "changed: tags.team"),
    ],
)
def test_a_service_that_ends_otherwise_than_it_should_is_found_out(change: dict[str, Any], wrong: str) -> None:
    stage = Stage(make(7), post=nobody)
    tally = Tally.open(stage.world)
    newest = rotate(stage, VAULT, KEY)
    (row,) = (row for row in ROWS if row.name == "aa-pin")
    body = copy.deepcopy(stage.world.resources.get(row.id)) or {}
    version = change.get("version", newest)
    key = body["properties"]["encryption"]["keyVaultProperties"]
    key["keyVersion"] = version
    body["tags"] = change.get("tags", body["tags"])
    stage.world.resources.put(body)
    uses.in_effect(stage.world, row.id).update(dict.fromkeys(uses.pointers(body), f"{FOLLOWED}/{version}"))
    fate = tally.fates[row.id.lower()]
    fate.said, fate.writes = change.get("said", "configured"), change.get("writes", 1)
    tally.look()
    assert tally.judge() == []
    assert fate.wrong == wrong


def test_a_resource_that_does_not_use_the_key_and_was_touched_is_found_out() -> None:
    stage = Stage(make(7), post=nobody)
    tally = Tally.open(stage.world)
    (server,) = stage.world.resources.of_type("Microsoft.Sql/servers")
    stage.world.resources.put({**server, "tags": {"touched": "yes"}})
    assert tally.judge() == [server["id"].lower()]


def test_the_app_goes_by_the_sandboxes_policy_unless_the_user_or_the_command_line_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = AppProcess(tmp_path, tmp_path / "app.log")
    monkeypatch.delenv("CMK_POLICY", raising=False)
    assert app.environment({})["CMK_POLICY"] == str(ROOT / "sandbox" / "policy.yaml")
    monkeypatch.setenv("CMK_POLICY", "mine.yaml")
    assert app.environment({})["CMK_POLICY"] == "mine.yaml"
    assert app.environment({"CMK_POLICY": "theirs.yaml"})["CMK_POLICY"] == "theirs.yaml"
