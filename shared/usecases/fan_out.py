"""Putting many items."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.domain.work import WorkItem
from shared.usecases.context import Context

AT_ONCE = 16


async def put_all(context: Context, items: Sequence[WorkItem]) -> None:
    """Put items on the queue, a few at a time. Raises what the first refused one raises; those before it are there."""
    for start in range(0, len(items), AT_ONCE):
        await asyncio.gather(*(context.ports.queue.put(item) for item in items[start : start + AT_ONCE]))
