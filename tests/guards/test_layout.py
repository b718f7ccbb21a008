"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from shared.domain.keys import KeyId
from shared.domain.life import Tally
from shared.domain.reasons import Reason
from shared.domain.remedies import REMEDIES
from shared.domain.resource import Address
from shared.domain.work import (
    LONGEST_MESSAGE,
    AuditVault,
    Cause,
    CheckChildren,
    CheckKey,
    CheckResource,
    CheckVault,
    EndingKey,
    RevokeAccess,
    RotateKey,
    Source,
    Sweep,
    WorkItem,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = [
    ROOT / "function_app.py",
    *sorted((ROOT / "functions").rglob("*.py")),
    *sorted((ROOT / "shared").rglob("*.py")),
]
OURS = {"shared", "functions"}
LONGEST_FILE = 300
LONG_FILES: set[str] = set()  # files that may be longer; each with its reason beside it
LONGEST_HANDLER = 15
HEAVY = ("azure.identity", "azure.mgmt", "azure.keyvault", "azure.storage", "azure.eventgrid", "aiohttp", "yaml")
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path, **options: tuple[int, int]) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path), **options)  # type: ignore[call-overload, no-any-return]


def imports(path: Path) -> Iterator[str]:
    """Yield the modules a file imports, at its top or anywhere inside."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_no_installed_distribution_covers_the_app_s_packages() -> None:
    # The app's folder comes last on the worker's path: such a package would win without a word.
    assert {name: found for name, found in packages_distributions().items() if name in OURS} == {}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_no_requirement_ships_a_package_of_our_names(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    wanted = [re.split(r"[\[<>=!~; ]", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    assert wanted
    for name in wanted:
        files = distribution(name).files or []
        assert {one.parts[0].removesuffix(".py") for one in files} & OURS == set(), name


def test_loading_the_app_loads_no_sdk() -> None:
    """A cold start pays for what is imported; SDKs come with the first call that needs them."""
    program = "import sys, json, function_app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50
    )
    loaded = json.loads(done.stdout)
    assert "functions.work" in loaded
    assert [name for name in loaded if name.startswith(tuple(f"{one}." for one in HEAVY)) or name in HEAVY] == []


@pytest.mark.parametrize("path", PRODUCTION, ids=named)
def test_production_code_is_python_3_11(path: Path) -> None:
    tree = parsed(path, feature_version=(3, 11))
    newer = [node for node in ast.walk(tree) if isinstance(node, ast.TypeAlias) or getattr(node, "type_params", None)]
    assert newer == []


def test_a_long_file_is_named() -> None:
    every = [*PRODUCTION, *(path for name in ("cmkctl", "sandbox") for path in sorted((ROOT / name).rglob("*.py")))]
    long = {named(path) for path in every if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE}
    assert long == LONG_FILES


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*.py")), ids=named)
def test_handlers_are_short(path: Path) -> None:
    handlers = [node for node in parsed(path).body if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list]
    lengths = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in handlers}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_HANDLER} == {}


def test_azure_functions_stays_at_the_door() -> None:
    inside = [path for name in ("shared", "cmkctl") for path in sorted((ROOT / name).rglob("*.py"))]
    assert [named(path) for path in inside if any(one.startswith("azure.functions") for one in imports(path))] == []


def test_azure_sdks_stay_in_the_adapters() -> None:
    outside = [path for path in PRODUCTION if "adapters" not in path.parts]
    found = {
        named(path): one
        for path in outside
        for one in imports(path)
        if one.startswith(("azure", "aiohttp", "msal")) and not one.startswith("azure.functions")
    }
    assert found == {}


def test_no_handler_is_left_out_of_the_app() -> None:
    modules = {path.stem for path in (ROOT / "functions").glob("*.py")} - {"__init__", "answers"}
    registered = {node.id for node in ast.walk(_blueprints()) if isinstance(node, ast.Name)}
    assert modules == registered


def _blueprints() -> ast.AST:
    tree = parsed(ROOT / "functions" / "__init__.py")
    return next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "BLUEPRINTS"
    )


def test_every_reason_that_is_used_has_a_remedy() -> None:
    used = {
        node.attr
        for path in PRODUCTION
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert used
    without = [name for name in sorted(used) if not REMEDIES.get(Reason[name], "").endswith(".")]
    assert without == []


def test_the_host_is_told_what_the_app_relies_on() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    queues = host["extensions"]["queues"]
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert re.fullmatch(r"\[4\.\S*, 5\.0\.0\)", host["extensionBundle"]["version"])
    assert queues["messageEncoding"] == "base64"
    assert re.fullmatch(r"00:0[1-9]:\d\d|00:10:00", host["functionTimeout"])  # what a Consumption plan allows
    assert 1 <= queues["batchSize"] <= 32
    assert queues["maxDequeueCount"] >= 2
    assert host["extensions"]["http"]["routePrefix"] == "api"
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert "Trace" in sampling["excludedTypes"] or not sampling["isEnabled"]  # reports are traces: none may be lost


def test_the_longest_names_fit_into_a_message() -> None:
    sub = "11111111-1111-1111-1111-111111111111"
    base = f"/subscriptions/{sub}/resourceGroups/{'g' * 90}/providers/Microsoft.{'P' * 60}"
    url = f"{base}/{'t' * 80}/{'n' * 260}/{'u' * 80}/{'m' * 260}/{'v' * 80}/{'o' * 260}"
    place = Address(f"Microsoft.{'P' * 60}/{'t' * 80}/{'u' * 80}/{'v' * 80}", url)
    key = KeyId(f"{'h' * 240}.vault.azure.net", "k" * 127)
    cause = Cause("c" * 64, Source.REPLAY, "e" * 64, "Ü" * 100)
    cursor = "s" * 16_384
    tally = Tally(10**6, (), "r" * 300, "a" * 300, 10**6)
    for number in range(60):
        tally = tally.counting(f"{url}{number}", "", rotate=True)
    items: list[WorkItem] = [
        CheckKey(key, cause, NOW, vault_id=url, cursor=cursor),
        CheckVault(cause, NOW, host=key.host, vault_id=url, cursor=cursor),
        CheckResource(place, cause, NOW, NOW, paced=True),
        CheckChildren(place, place.type, cause, NOW, NOW, key=key, host=key.host, paced=True),
        RotateKey(key, cause, NOW, if_latest_is="v" * 127),
        RevokeAccess(place, cause, NOW, NOW, 99, url, "s" * 100),
        AuditVault(cause, NOW, key.host, url, cursor="s" * 4_000, skip=900),
        EndingKey(key, cause, NOW, cursor=cursor, tally=tally),
        Sweep(cause, NOW, cursor=cursor),
    ]
    for item in items:
        text = encode(item)
        assert len(text.encode()) <= LONGEST_MESSAGE == 40 * 1024
        assert decode(text) == item


def test_the_readme_s_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = set(re.findall(r"(?:`|^ *\$? *)make ([a-z]+)\b", readme, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test"} <= commands <= targets


def test_the_sample_settings_are_ones_that_the_app_reads() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    read = "\n".join(path.read_text(encoding="utf-8") for path in PRODUCTION)
    hosts = ("AzureWebJobs", "FUNCTIONS_", "WEBSITE_", "PYTHON_")
    assert [name for name in sample if not name.startswith(hosts) and name not in read] == []
