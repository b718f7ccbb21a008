"""`cmkctl replay`: sends recorded events to a running app: as they were, or shuffled, twice, and at any speed."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from cmkctl.app import Http, Post, Result, send
from cmkctl.recorded import Recorded, Unreadable, files_of, read
from cmkctl.schedule import Disorder, Sending, requests, schedule


async def replay(files: Sequence[Path], url: str, key: str, how: Disorder, *, dry_run: bool, verbose: bool) -> int:
    """Send the files' events and show what came of them. Returns 0, or 1 when a file could not be read or an event not
    be taken.
    """
    events, broken = _read_all(files)
    async with Http(url, key) as post:
        found = await send_all(post, schedule(events, how), dry_run=dry_run)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if verbose:
        console.print(every(found))
    console.print(summary(found, broken, dry_run=dry_run))
    return int(bool(broken) or not found or any(one.came == "failed" for one in found))


def _read_all(files: Sequence[Path]) -> tuple[list[Recorded], list[tuple[str, str]]]:
    """Return the events of all files, and the files that cannot be read with the reason."""
    events: list[Recorded] = []
    broken: list[tuple[str, str]] = []
    for path in files_of(files):
        try:
            events += read(path)
        except Unreadable as error:
            broken.append((path.name, str(error)))
    return events, broken


async def send_all(post: Post, sendings: Sequence[Sending], *, dry_run: bool) -> list[Result]:
    """Send everything at its time, one request after the other; a late one goes at once."""
    found: list[Result] = []
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("sending", total=len(sendings))
        for after, together in requests(sendings):
            await asyncio.sleep(max(0.0, begin + after - loop.time()))
            found += await send(post, together, dry_run=dry_run)
            progress.update(task, completed=len(found))
    return found


def summary(found: Sequence[Result], broken: Sequence[tuple[str, str]], *, dry_run: bool) -> Table:
    """Return the figures: sent, put, ignored and failed, each by what or why."""
    table = Table("", "what", "events", title="dry run: nothing was put" if dry_run else None)
    table.columns[2].justify = "right"
    table.add_row("sent", "", str(len(found)))
    counted = Counter((one.came, one.what) for one in found)
    for came in ("put", "ignored", "failed"):
        shown = "would put" if dry_run and came == "put" else came
        lines = [(what, count) for (each, what), count in counted.most_common() if each == came]
        for what, count in lines or [("", 0)]:
            table.add_row(shown, escape(what), str(count), style="red" if came == "failed" and count else None)
    for name, why in broken:
        table.add_row("not read", escape(f"{name}: {why}"), "", style="red")
    return table


def every(found: Sequence[Result]) -> Table:
    """Return one line for each event."""
    table = Table("file", "event", "result")
    for one in found:
        table.add_row(escape(one.recorded.file), escape(one.event_id), escape(f"{one.came}: {one.what}"))
    return table
