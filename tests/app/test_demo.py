"""The demo as a machine runs it: real HTTPS, real SDKs, the app in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
    }
    assert told["verified"] == told["users"] == told["repointed"] + told["following"]
    assert (told["blocked"], told["failed"], told["lost"]) == (0, 0, 0)
    assert told["duplicatesDelivered"] == 2
    # An account takes three requests and a scope two; some were moved already when the newer version came.
    assert arm["read"] + arm["write"] <= 3.5 * told["repointed"]
    assert arm["childList"] <= told["resources"]
    assert told["simulatedSeconds"] > 24 * 3600
