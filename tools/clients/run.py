"""`python -m tools.clients.run`: az and Cloud Custodian against the sandbox, without and with the app.

Each command is run as a person would run it; afterwards Azure's own state is looked at through the console.
Exit code 0: everything as expected. 1: something was not, or an environment could not be made.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.clients import az, custodian, hand, services
from tools.clients.azure import ESTATE, WrongError, running
from tools.clients.environments import HOME, NoEnvironmentError, environment
from tools.clients.steps import Client, Row

PARTS = ("az", "services", "custodian", "hand")
_BY_AZ = ("az", "services", "hand")
_PROGRAMS = {"az": "az", "custodian": "custodian"}
_SHOWN = 150  # characters of a command in the table


def main(argv: Sequence[str] | None = None) -> int:
    """Make the environments, run the parts, show what came of each command."""
    parser = argparse.ArgumentParser(prog="python -m tools.clients.run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("part", nargs="*", help=f"some of {', '.join(PARTS)}; all where none is named")
    parts = parser.parse_args(argv).part or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, _end)  # so that what was started is ended then, too
    shutil.rmtree(HOME / "runs", ignore_errors=True)
    programs, missing = _environments(parts)
    found: list[Row] = []
    for part in parts:
        sys.stderr.write(f"{part} ...\n")
        try:
            found += _run(part, programs)
        except WrongError as error:
            missing.append(f"{part}: {error}")
    return show(found, missing)


def _end(*_: object) -> None:
    sys.exit(1)


def _environments(parts: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    programs: dict[str, Path] = {}
    problems: list[str] = []
    for client in sorted({_client(part) for part in parts}):
        sys.stderr.write(f"environment for {client}: made if it is not there, which takes minutes ...\n")
        try:
            programs[client] = environment(client, _PROGRAMS[client])
        except NoEnvironmentError as error:
            problems.append(str(error))
    return programs, problems


def _client(part: str) -> str:
    return "az" if part in _BY_AZ else part


def _run(part: str, programs: dict[str, Path]) -> Iterator[Row]:
    if _client(part) not in programs:
        return
    home = HOME / "runs" / part
    with running(part, app=part == "hand", estate=services.ESTATE if part == "services" else ESTATE) as azure:
        person = Client("az", programs["az"], home, azure) if "az" in programs else None
        other = None
        if "custodian" in programs:
            other = Client("custodian", programs["custodian"], home, azure, dict(custodian.SERVICE_PRINCIPAL))
        if part == "az" and person is not None:
            yield from (person.run(step) for step in az.STEPS)
        elif part == "services" and person is not None:
            yield from (person.run(step) for step in services.STEPS)
        elif part == "custodian" and other is not None:
            custodian.prepare(other)
            steps = custodian.steps(home)
            yield from (other.run(step) for step in steps)
            other.name, other.more = "custodian (identity)", dict(custodian.MANAGED_IDENTITY)
            yield other.run(steps[0])
        elif person is not None:
            yield from hand.rows(person, other)


def show(found: Sequence[Row], missing: Sequence[str]) -> int:
    """Print the table and what is missing; return the exit code."""
    table = Table("client", "command", "came of it", "ms", title="Real clients against the sandbox")
    table.columns[3].justify = "right"
    for row in found:
        fine = f"[green]refused as it must be: {row.refused}" if row.refused else "[green]ok"
        came = f"[red]{escape(row.problem)}" if row.problem else fine
        shown = row.shown if len(row.shown) <= _SHOWN else f"{row.shown[:_SHOWN]}..."
        table.add_row(row.client, escape(shown), came, str(row.milliseconds))
    terminal = Console(width=None if sys.stdout.isatty() else 200)
    terminal.print(table)
    wrong = sum(1 for row in found if row.problem)
    for problem in missing:
        terminal.print(f"[red]{escape(problem)}")
    terminal.print(f"{len(found) - wrong} commands as expected, {wrong} not, {len(missing)} parts could not be run")
    return 1 if wrong or missing or not found else 0


if __name__ == "__main__":
    sys.exit(main())
