"""`cmkctl replay`: sends recorded events (either schema, arrays, dead-letter blobs) to a running app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

_REFUSED = 400


async def replay(files: Sequence[Path], url: str, key: str, *, dry_run: bool) -> int:
    """Send each file and print what each event led to. Returns 1 when a file could not be read or was refused."""
    table = Table("file", "event", "result", title="dry run: nothing was put" if dry_run else None)
    failed = False
    async with aiohttp.ClientSession(headers={"x-functions-key": key}) as session:
        for path in _every(files):
            for event, result, fine in await _send(session, path, url, dry_run=dry_run):
                table.add_row(path.name, event, result)
                failed = failed or not fine
    Console().print(table)
    return int(failed)


def _every(files: Sequence[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path


async def _send(session: aiohttp.ClientSession, path: Path, url: str, *, dry_run: bool) -> list[tuple[str, str, bool]]:
    try:
        body = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        return [("-", f"cannot be read: {error.strerror}", False)]
    target = f"{url.rstrip('/')}/api/replay" + ("?dryRun=true" if dry_run else "")
    try:
        async with session.post(target, data=body) as answer:
            told = json.loads(await answer.text() or "null")
    except (aiohttp.ClientError, ValueError) as error:
        return [("-", f"the app does not answer: {error}", False)]
    if answer.status >= _REFUSED:
        return [("-", f"refused: {_reason(told, answer.status)}", False)]
    return [(str(one.get("eventId", "-")), _result(one, dry_run=dry_run), True) for one in told]


def _reason(told: Any, status: int) -> str:
    return str(told.get("detail") or told.get("title") or status) if isinstance(told, dict) else str(status)


def _result(one: dict[str, Any], *, dry_run: bool) -> str:
    if one.get("result") == "ignored":
        return f"ignored: {one['why']}"
    return f"{'would put' if dry_run else 'put'}: {one['item']['type']}"
