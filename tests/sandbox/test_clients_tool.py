import sys
from pathlib import Path

import pytest

from sandbox.clock import Clock
from sandbox.estate import build_world, load_estate
from tools.clients import az, custodian, environments, run
from tools.clients.azure import ESTATE, NEW, SUBSCRIPTION, Azure, WrongError
from tools.clients.environments import NoEnvironmentError
from tools.clients.looks import printed, printed_names
from tools.clients.steps import Client, Done, Row, Step

NOWHERE = Azure({"HTTPS_PROXY": "http://127.0.0.1:9"}, "http://127.0.0.1:9/console/", None)


def _client(folder: Path, script: str) -> Client:
    program = folder / "az"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Client("az", folder, folder / "home", NOWHERE, {"MORE": "more"})


def test_a_step_fails_by_its_exit_code_by_a_look_and_by_a_refusal_that_does_not_come(tmp_path: Path) -> None:
    fine = _client(tmp_path, """echo '{"name": "x"}'""")
    assert not fine.run(Step(("az", "show"), (printed("name", "x"),))).problem
    assert "'x' in place of 'y'" in fine.run(Step(("az", "show"), (printed("name", "y"),))).problem
    assert "unexpected answer" in fine.run(Step(("az", "show"), (printed("nothing", "y"),))).problem
    assert "unexpected answer" in fine.run(Step(("az", "show"), (printed_names("x"),))).problem
    assert "was not" in fine.run(Step(("az", "show"), refused="ScopeLocked")).problem
    broken = _client(tmp_path, "echo '(ScopeLocked) no' >&2; exit 1")
    assert "exit code 1" in broken.run(Step(("az", "show"))).problem
    assert not broken.run(Step(("az", "show"), refused="ScopeLocked")).problem
    assert "(ScopeLocked) no" in broken.run(Step(("az", "show"), refused="Forbidden")).problem


def test_a_client_sees_the_sandboxs_environment_and_little_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of somebody else")
    done = _client(tmp_path, 'echo "$HTTPS_PROXY $MORE $AZURE_CLIENT_SECRET. $HOME"').start(("az",))
    assert done.out == f"http://127.0.0.1:9 more . {tmp_path / 'home'}\n"


def test_a_program_that_is_not_there_and_a_console_that_is_silent_are_problems(tmp_path: Path) -> None:
    assert "No such file" in Client("az", tmp_path, tmp_path, NOWHERE).run(Step(("az",))).problem
    with pytest.raises(WrongError, match="console/keys"):
        NOWHERE.latest()
    with pytest.raises(WrongError, match="no app runs"):
        NOWHERE.of_app("/api/health")
    with pytest.raises(WrongError, match="not within 0 s"):
        NOWHERE.until(lambda: False, 0, "rain")


def test_long_values_are_shown_by_name(tmp_path: Path) -> None:
    row = _client(tmp_path, "true").run(Step(("az", "--id", f"/subscriptions/{SUBSCRIPTION}", "--version", NEW, "")))
    assert row.shown == "az --id /subscriptions/$SUBSCRIPTION --version $NEW ''"


def test_an_environment_that_cannot_be_made_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "HOME", environments.ROOT / ".sandbox" / "nothing")
    monkeypatch.setattr(environments, "PYTHONS", ())
    with pytest.raises(NoEnvironmentError, match=r"no Python .*\n.*needs one of Python .*azure-cli=="):
        environments.environment("az", "az")

    def failing(python: str, folder: Path, listed: Path) -> str:
        return f"{Path(python).name} cannot install {listed.stem} in {folder.name}"

    monkeypatch.setattr(environments, "_pythons", lambda: iter([("3.11", sys.executable)]))
    monkeypatch.setattr(environments, "_install", failing)
    with pytest.raises(NoEnvironmentError, match=r"with Python 3\.11: .* cannot install custodian"):
        environments.environment("custodian", "custodian")


def test_the_end_tells_what_was_not_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    fine, wrong = Row("az", "az a", "", 1), Row("az", "az b", "[not] so", 2)
    assert run.show([fine], []) == 0
    assert run.show([fine, wrong], []) == 1
    assert run.show([fine], ["no environment"]) == 1
    assert run.show([], []) == 1
    said = capsys.readouterr().out
    assert "[not] so" in said
    assert "no environment" in said


def test_the_estate_loads_and_every_step_looks_at_something(tmp_path: Path) -> None:
    build_world(load_estate(ESTATE), clock=Clock())
    silent = [one.command for one in az.STEPS if not one.looks]
    assert [command[1:3] for command in silent] == [("lock", "delete"), ("logout",), ("logout",)]
    assert all(one.looks for one in custodian.steps(tmp_path))
    assert Done(0, "{}", "", 1).json() == {}
