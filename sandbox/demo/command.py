"""`python -m sandbox demo`: for people a live view and a summary, for machines one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live

from sandbox.demo.story import DemoStuckError, Result, Story
from sandbox.demo.view import picture, plain, services, summary
from sandbox.keeper import AppFailedError

WIDTH = 108


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the sandbox's command line."""
    demo = commands.add_parser("demo", help="rotate a key and watch everything that uses it follow")
    demo.add_argument("--resources", type=int, default=200, help="accounts and scopes in the estate (default 200)")
    demo.add_argument("--seed", type=int, default=7, help="everything random follows from it")
    demo.add_argument("--app", type=Path, default=Path(), help="the function app's folder (default: here)")
    demo.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    demo.add_argument("--svg", type=Path, help="write the last picture and the summary to an SVG file")
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 only if every user of the key ended verified."""
    if arguments.resources < len("accounts and scopes"):
        sys.stderr.write("the demo takes 19 resources or more, so that every kind is there\n")
        return 2
    try:
        result = asyncio.run(_quietly(arguments) if arguments.json else _shown(arguments))
    except (DemoStuckError, AppFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if result.fine else 1


async def _quietly(arguments: argparse.Namespace) -> Result:
    story = Story(arguments.resources, arguments.seed, lambda _story: None, arguments.app)
    result = await story.run()
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return result


async def _shown(arguments: argparse.Namespace) -> Result:
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print("starting Azure on this machine, and the function app ...", style="grey50")
    told = 0

    def watch_plainly(story: Story) -> None:
        nonlocal told
        told = plain(console, story, told)

    if console.is_terminal and not arguments.svg:
        with Live(console=console, refresh_per_second=4) as live:
            story = Story(arguments.resources, arguments.seed, lambda one: live.update(picture(one)), arguments.app)
            result = await story.run()
    else:
        drawing = Drawing(arguments.svg) if arguments.svg else None
        watch = drawing.watch if drawing else watch_plainly
        story = Story(arguments.resources, arguments.seed, watch, arguments.app)
        result = await story.run()
        if drawing:
            drawing.finish(story, result)
        console.print(picture(story))
    console.print(summary(story, result))
    return result


class Drawing:
    """An SVG of the demo: one picture from its middle, and the summary."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._paper = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        self._drawn = False

    def watch(self, story: Story) -> None:
        """Draw the picture once, when half of the users are verified."""
        if not self._drawn and story.ledger.standings()["verified"] * 2 >= len(story.ledger.users):
            self._paper.print(picture(story))
            self._drawn = True

    def finish(self, story: Story, result: Result) -> None:
        """Write the file."""
        if story.tally is not None:
            self._paper.print(services(story.tally))
        self._paper.print(summary(story, result))
        self._paper.save_svg(str(self._path), title="make demo")
