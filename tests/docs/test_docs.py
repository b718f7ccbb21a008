"""The documentation says what is so: pages, links, commands, routes and the estate's example."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cmkctl.__main__ import parser as cmkctl_parser
from sandbox.__main__ import _VERBS
from sandbox.__main__ import _parser as sandbox_parser
from sandbox.clock import ManualClock
from sandbox.estate import build_world, load_estate
from sandbox.eventgrid.subscriptions import Subscriptions
from sandbox.stage import check_endpoints
from shared.domain.reasons import Reason
from tools.docs.__main__ import stale

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS: dict[str, ArgumentParser] = {"sandbox": sandbox_parser(), "cmkctl": cmkctl_parser()}
CODE = ("shared", "functions", "cmkctl", "sandbox", "tests", "tools")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PYTHON = ("python", "-m")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def fences(page: Path, language: str) -> list[str]:
    return [body for name, body in _FENCE.findall(page.read_text("utf-8")) if name == language]


def links(page: Path) -> Iterator[str]:
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text("utf-8")))
    return (target for target in _LINK.findall(prose) if not re.match(r"[a-z]+:", target))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> Iterator[tuple[str, str, list[str]]]:
    """Yield page, module and arguments of every `python -m sandbox` and `python -m cmkctl` in a block of commands."""
    for page in PAGES:
        for line in "".join(fences(page, "sh")).splitlines():
            found = re.search(r"\$\((python -m [^)]*)\)", line) or re.match(r"(python -m .*)", line)
            words = shlex.split(found.group(1), comments=True) if found else []
            if len(words) > len(_PYTHON) and words[2] in COMMANDS:
                yield page.name, words[2], words[3:]


def broken(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return not there.exists() or bool(anchor and there.suffix == ".md" and anchor not in anchors(there))


def test_generated_pages_and_the_table_of_settings_are_up_to_date() -> None:
    assert stale(ROOT) == []


def test_every_relative_link_leads_somewhere() -> None:
    found = [(page, target) for page in PAGES for target in links(page)]
    assert len(found) > len(PAGES)
    assert [f"{page.relative_to(ROOT)}: {target}" for page, target in found if broken(page, target)] == []


def test_every_page_that_the_code_refers_to_is_there() -> None:
    files = [ROOT / "function_app.py", *(file for name in CODE for file in (ROOT / name).rglob("*.py"))]
    named = {page for file in files for page in re.findall(r"docs/[\w./-]+?\.md", file.read_text("utf-8"))}
    assert sorted(page for page in named if not (ROOT / page).exists()) == []


def test_every_command_in_the_docs_is_understood() -> None:
    found = list(commands())
    assert {module for _, module, _ in found} == set(COMMANDS)
    wrong = []
    for page, module, arguments in found:
        try:
            parsed = COMMANDS[module].parse_args(arguments)
        except SystemExit:
            wrong.append(f"{page}: python -m {module} {shlex.join(arguments)}")
            continue
        verb = getattr(parsed, "verb", "").partition("?")[0]
        if arguments[0] == "console" and verb not in _VERBS.split(", "):
            wrong.append(f"{page}: console {verb}")
    assert wrong == []


def test_every_console_verb_is_in_the_table() -> None:
    table = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
    assert [verb for verb in _VERBS.split(", ") if f"| `{verb}` |" not in table] == []


def test_every_route_in_the_docs_is_one_of_the_app() -> None:
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "functions").glob("*.py"))
    routes = set(re.findall(r'route="([\w-]+)"', sources))
    blocks = "".join(body for page in PAGES for body in fences(page, "sh"))
    assert set(re.findall(r"/api/([\w-]+)", blocks)) == routes


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    (example,) = fences(ROOT / "docs" / "sandbox.md", "yaml")
    path = tmp_path / "estate.yaml"
    path.write_text(example, encoding="utf-8")
    return path


def test_the_example_of_an_estate_loads(estate: Path) -> None:
    described = load_estate(estate)
    check_endpoints(described)
    world = build_world(described, clock=ManualClock(datetime(2026, 11, 1, tzinfo=UTC)))
    rows = described["eventSubscriptions"]
    subscriptions = Subscriptions(world)
    subscriptions.load(rows)
    assert len(subscriptions.rows) == len(rows)
    (account,) = world.resources.of_type("Microsoft.Storage/storageAccounts")
    key = account["properties"]["encryption"]["keyvaultproperties"]
    assert key["currentVersionedKeyIdentifier"].endswith(key["keyversion"])


def test_every_reason_that_a_page_points_to_is_one() -> None:
    named = {
        code
        for page in (ROOT / "docs").glob("*.md")
        for code in re.findall(r"reasons\.md#(\w+)", page.read_text("utf-8"))
    }
    assert named <= {reason.value for reason in Reason}
