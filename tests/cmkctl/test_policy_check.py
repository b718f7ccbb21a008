"""`cmkctl policy check`: the rules, or every problem; what is never asked; and which rule decides."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cmkctl.__main__ import main
from shared.domain.service import May

ROOT = Path(__file__).resolve().parents[2]
SITE = "/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st1"
RULES = """version: 1
rules:
  - name: gold [first]
    where: {tags: {tier: gold}, managementGroups: [zones]}
    rotation: ignore
  - name: accounts
    where: {types: [Microsoft.Storage/*]}
    unless: [{locations: [northeurope]}]
    may: [unproven, put]
  - name: storage in the west
    where: {types: [Microsoft.Storage/storageAccounts], locations: [westeurope]}
    unless: [{locations: [northeurope]}]
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path / "policy.yaml", monkeypatch, capsys)


class Run:
    """Runs the command on a policy and returns its exit code and what it printed."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._patch = monkeypatch
        self._capture = capsys

    def __call__(self, content: str, *more: str) -> tuple[int, str]:
        self.path.write_text(content)
        return self.on(self.path, *more)

    def on(self, path: Path, *more: str) -> tuple[int, str]:
        self._patch.setenv("COLUMNS", "200")
        self._patch.setattr(sys, "argv", ["cmkctl", "policy", "check", str(path), *more])
        code = main()
        captured = self._capture.readouterr()
        return code, captured.out + captured.err


def test_the_shipped_policy_is_in_order(run: Run) -> None:
    code, told = run.on(ROOT / "policy.yaml")
    assert code == 0
    assert "everything else" in told
    assert "warning" not in told


def test_the_table_says_of_each_rule_whom_it_means_and_what_it_allows(run: Run) -> None:
    code, told = run(RULES)
    assert code == 0
    assert "gold [first]" in told
    assert "management groups zones and tag tier = gold" in told
    assert "types Microsoft.Storage/*; unless locations northeurope" in told
    assert "put, unproven" in told


def test_a_rule_that_is_never_asked_is_warned_of(run: Run) -> None:
    _, told = run(RULES)
    assert "warning: rule 3 (storage in the west) is never asked: rule 2 (accounts) takes all that it would" in told


def test_every_problem_is_printed_with_file_line_and_field_and_the_exit_code_is_1(run: Run) -> None:
    code, told = run("version: 1\nrules:\n  - name: a\n    rotation: fixx\n    may: [all]\n")
    assert code == 1
    path = run.path
    assert told.splitlines() == [
        f"{path}: line 4: rules[0].rotation: Invalid enum value 'fixx'; say fix, report, ignore",
        f"{path}: line 5: rules[0].may[0]: Invalid enum value 'all'; say {', '.join(one.value for one in May)}",
    ]


def test_a_file_that_is_not_there_or_no_text_is_an_error_too(run: Run, tmp_path: Path) -> None:
    code, told = run.on(tmp_path / "none.yaml")
    assert (code, "cannot be read" in told) == (1, True)
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
    code, told = run.on(tmp_path / "odd.yaml")
    assert (code, "cannot be read" in told) == (1, True)


def test_decide_says_which_rule_decides_and_why_those_before_do_not(run: Run) -> None:
    code, told = run(RULES, "--decide", SITE, "--location", "westeurope", "--tag", "tier=gold")
    assert code == 0
    assert told.splitlines()[-2:] == [
        "rule 1 (gold [first]) does not: where.managementGroups does not take nothing",
        "rule 2 (accounts) decides",
    ]
    _, told = run(RULES, "--decide", SITE, "--tag", "tier=gold", "--group", "zones")
    assert told.splitlines()[-1] == "rule 1 (gold [first]) decides"
    _, told = run(RULES, "--decide", SITE, "--location", "northeurope")
    assert "rule 2 (accounts) does not: unless[0] is meant for it" in told
    assert told.splitlines()[-1] == "no rule is meant for it: it is looked at and reported, never written"


@pytest.mark.parametrize("wrong", [("--decide", "st1"), ("--decide", SITE, "--tag", "gold")])
def test_a_wrong_question_is_a_wrong_command_line(run: Run, wrong: tuple[str, ...]) -> None:
    code, told = run(RULES, *wrong)
    assert code == 2
    assert told
