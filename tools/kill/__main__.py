"""`python -m tools.kill`: a rotation during which the app's process is killed, with Azurite's queue.

Exit code 0 only if every user of the key ends verified by Azure's own state, no message is left, nothing healthy is
poisoned and the garbage on the queue is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.keeper import AppFailedError
from tools.azurite.package import NoAzuriteError
from tools.kill.trial import LOCK_SECONDS, Result, StuckError, Trial

FEWEST = 19  # resources, so that every kind is there


def main(argv: Sequence[str] | None = None) -> int:
    """Run the test and show what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tools.kill", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--resources", type=int, default=500, help="accounts and scopes (default 500)")
    parser.add_argument("--kills", type=int, default=10, help="how often the app dies (default 10)")
    parser.add_argument("--seed", type=int, default=11, help="the estate and the moments follow from it")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args(argv)
    if arguments.resources < FEWEST:
        parser.error(f"the kill test takes {FEWEST} resources or more")
    trial = Trial(arguments.resources, arguments.kills, arguments.seed, _nothing if arguments.json else _dots())
    try:
        result = asyncio.run(trial.run())
    except (NoAzuriteError, StuckError, AppFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.json:
        sys.stdout.write(json.dumps(_camel(asdict(result))) + "\n")
    else:
        show(result)
    return 0 if result.fine else 1


def _nothing(_: Trial) -> None:
    pass


def _dots() -> Any:
    """Return what tells each kill as it comes."""
    told = 0

    def watch(trial: Trial) -> None:
        nonlocal told
        for one in trial.killer.kills[told:]:
            sys.stderr.write(f"kill {one.number} of {trial.wanted} at {one.at} s, {one.verified} verified\n")
        told = len(trial.killer.kills)

    return watch


def show(result: Result) -> None:
    """Print the table of kills and the summary."""
    table = Table("kill", "at", "request", "moment", "in flight", "verified", "down", title="kill -9, again and again")
    for column in table.columns:
        column.justify = "right"
    table.columns[3].justify = "left"
    for one in result.kills:
        figures = str(one.number), f"{one.at} s", str(one.request), one.moment, str(one.in_flight), str(one.verified)
        table.add_row(*figures, f"{one.down} s")
    terminal = Console(width=None if sys.stdout.isatty() else 100)
    terminal.print(table)
    verdict = "[green]All of it holds." if result.fine else "[red]Not all of it holds."
    terminal.print(
        f"{result.verified} of {result.users} users of the key verified by Azure's own state after {result.seconds} s;"
        f" {result.touched} other resources touched\n"
        f"{len(result.kills)} of {result.wanted} kills, {result.other_deaths} other deaths; what the dead held"
        f" came again after {LOCK_SECONDS} s, none more than {result.most_dequeues} times\n"
        f"left on the queue: {result.left}, on the poison queue: {result.poison_left}; garbage reported:"
        f" {result.garbage_reported}, healthy messages poisoned: {result.healthy_poisoned},"
        f" sweeps that made up for them: {result.sweeps}\n{verdict}",
        highlight=False,
    )


def _camel(value: Any) -> Any:
    """Name members as the sandbox's other reports do."""
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
