"""The recipe for a new service in docs/architecture.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("shared", "sandbox", "tests/services", "tests/support")
FILES = ("pyproject.toml", "policy.yaml", "host.json", "tests/conftest.py")

SERVICE = '''
"""Things: a service that does not exist."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, text
from shared.domain.keys import RSA_2048_TO_4096, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request
from shared.domain.service import Can, Follow, Proven, Service, Traits, Verb
from shared.services.pace import WORK
from shared.services.pointers import aimed, forward, identifier_as_written, patch

VERSION = "2026-01-01"


def read(body: Json) -> tuple[KeyUse, ...]:
    uri = text(lookup(body, "properties", "keyUri"))
    if not uri:
        return ()
    ref = parse_key_url(uri)
    return (KeyUse("key", ref, follows=ref.version is None),)


def write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = forward(edits)
    uri = identifier_as_written(text(lookup(body, "properties", "keyUri")), aimed(change))
    return (patch(body, VERSION, {"properties": {"keyUri": uri}}),)


SERVICES = (
    Service(
        type="Microsoft.Example/things",
        api_version=VERSION,
        traits=Traits(
            follow=Follow.WITHOUT_VERSION,
            reports_effective=False,
            accepts=KeyRules(RSA_2048_TO_4096),
            picks_up_within=timedelta(hours=1),
            keep_old_for=timedelta(hours=24),
            pace=WORK,
            actions=("Microsoft.Example/things/read", "Microsoft.Example/things/write"),
            proven=Proven.DOCUMENTED,
            sources=("made up",),
            can={Verb.REPOINT: Can.YES, Verb.REVERT: Reason.NO_WAY_BACK},
            acts=Acting(rechosen=False),
        ),
        read=read,
        write=write,
    ),
)
'''

MOVE = """
from datetime import timedelta

from shared.domain.report import Certainty, Converged
from tests.support.azure import MID, Azure, on_azure
from tests.support.keyed import differences, example, moves, using
from tests.support.policies import allowing

THING = example("example_things-pinned")


def test_a_thing_moves(tmp_path):
    async def story(azure: Azure) -> None:
        before = azure.body(THING)
        await azure.check(THING)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.CONFIGURED
        assert len(moves(azure.reports)) == 1
        moved = {"properties.keyUri": f"https://kv-main.vault.azure.net/keys/cmk/{MID}"}
        assert differences(before, azure.body(THING)) == moved

    on_azure(using(THING), story, environ=allowing(tmp_path, "unproven"))


def test_a_thing_that_follows_is_not_written(tmp_path):
    following = example("example_things-following")

    async def story(azure: Azure) -> None:
        await azure.check(following)
        await azure.drain(until=timedelta(hours=3))
        assert azure.reports[-1].outcome.certainty is Certainty.UNKNOWN
        assert moves(azure.reports) == []

    on_azure(using(following), story, environ=allowing(tmp_path, "unproven"))
"""


def body(uri: str) -> str:
    home = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-data/providers"
    found = {
        "id": f"{home}/Microsoft.Example/things/one",
        "name": "one",
        "type": "Microsoft.Example/things",
        "location": "westeurope",
        "tags": {"owner": "ledger"},
        "identity": {"type": "SystemAssigned", "principalId": "55555555-5555-4555-8555-555555555555"},
        "properties": {"provisioningState": "Succeeded", "colour": "blue", "keyUri": uri},
    }
    return json.dumps(found)


def a_copy(folder: Path) -> Path:
    """Copy what a service and its tests need."""
    nothing = shutil.ignore_patterns("__pycache__", "*.pyc")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=nothing)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def passes(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(120)
def test_the_recipe_for_a_new_service_works_with_one_module_and_two_bodies(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    key = "https://kv-main.vault.azure.net/keys/cmk"
    (folder / "shared/services/example.py").write_text(SERVICE.lstrip())
    (folder / "tests/services/bodies/microsoft.example_things-pinned.json").write_text(body(f"{key}/{'a1' * 16}"))
    (folder / "tests/services/bodies/microsoft.example_things-following.json").write_text(body(key))
    (folder / "tests/usecases").mkdir()
    (folder / "tests/usecases/test_service_example.py").write_text(MOVE.lstrip())
    rules = passes(folder, "tests/services/test_every_service.py", "-k", "Example or example_body")
    assert int(rules.split(" passed")[0].split()[-1]) >= 15  # every rule, with the made-up type
    passes(folder, "tests/usecases")
