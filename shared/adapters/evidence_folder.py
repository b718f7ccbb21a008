"""Evidence in a folder of one's own machine: the same tree as in blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.domain.reasons import Reason
from shared.errors import Refusal

_PIECE = 4 * 1024 * 1024  # bytes read at a time


class FolderStore:
    """Implements evidence.Store. Files are touched in threads: the event loop waits for no disk."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def append(self, stem: str, data: bytes) -> None:
        """Append to the file."""
        await asyncio.to_thread(self._append, stem, data)

    def _append(self, stem: str, data: bytes) -> None:
        with _told():
            path = self._folder / f"{stem}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(data)

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all files that begin so."""
        return await asyncio.to_thread(self._names, prefix)

    def _names(self, prefix: str) -> list[str]:
        with _told():
            below = (self._folder / prefix).rglob("*.jsonl")
            return sorted(path.relative_to(self._folder).as_posix() for path in below)

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Yield the file in pieces."""
        offset = 0
        while piece := await asyncio.to_thread(self._piece, name, offset):
            yield piece
            offset += len(piece)

    def _piece(self, name: str, offset: int) -> bytes:
        with _told(), (self._folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(_PIECE)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(Reason.MISCONFIGURED, f"CMK_EVIDENCE: {error.strerror}") from error
