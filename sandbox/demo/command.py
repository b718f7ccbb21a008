"""`python -m sandbox demo`: for people a live view and a summary, for machines one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live

from sandbox.appprocess import AppFailedError
from sandbox.demo.story import DemoStuckError, Result, Story
from sandbox.demo.view import picture, plain, summary

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

    if not console.is_terminal:
        story = Story(arguments.resources, arguments.seed, watch_plainly, arguments.app)
        result = await story.run()
        console.print(picture(story))
    else:
        with Live(console=console, refresh_per_second=4) as live:
            story = Story(arguments.resources, arguments.seed, lambda one: live.update(picture(one)), arguments.app)
            result = await story.run()
    console.print(summary(story, result))
    if arguments.svg:
        _draw(story, result, arguments.svg)
    return result


def _draw(story: Story, result: Result, path: Path) -> None:
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        paper = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        paper.print(picture(story))
        paper.print(summary(story, result))
        paper.save_svg(str(path), title="make demo")
