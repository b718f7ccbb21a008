"""Evidence in append blobs, through azure-storage-blob."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.adapters.blobs import code, container_client, told
from shared.adapters.connection import Connection
from shared.adapters.translate import translated
from shared.domain.reasons import Reason
from shared.errors import Refusal

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, ContainerClient

_PIECE = 4 * 1024 * 1024  # bytes read at a time
_MOST_FILES = 100  # of one instance and hour: a blob takes 50,000 blocks [learn rest/api/storageservices append-block]
_FULL = "BlockCountExceedsLimit"
_NO_RANGE = 416


class BlobStore:
    """Implements evidence.Store. The container is made at the first need; an immutability policy on it is welcome."""

    def __init__(self, connection: Connection, container_url: str) -> None:
        self._connection = connection
        self._url = container_url
        self._made: ContainerClient | None = None
        self._current = ("", 1)  # the file that is written, and which of its successors

    async def append(self, stem: str, data: bytes) -> None:
        """Append one block; a blob that takes no more is followed by one with the next number."""
        number = self._current[1] if self._current[0] == stem else 1
        with translated("the evidence", told):
            for one in range(number, _MOST_FILES + 1):
                self._current = (stem, one)
                try:
                    await self._grow(f"{stem}.jsonl" if one == 1 else f"{stem}-{one}.jsonl", data)
                except HttpResponseError as error:
                    if code(error) != _FULL:
                        raise
                else:
                    return
        raise Refusal(Reason.QUOTA, f"{stem} is full, and all its {_MOST_FILES - 1} successors")

    async def _grow(self, name: str, data: bytes) -> None:
        blob = self._blob(name)
        try:
            await blob.append_block(data)
        except ResourceNotFoundError as error:
            if code(error) == "ContainerNotFound":
                with suppress(ResourceExistsError):  # another instance was faster
                    await self._container().create_container()
            with suppress(ResourceExistsError):
                await blob.create_append_blob(match_condition=MatchConditions.IfMissing)
            await blob.append_block(data)

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all blobs that begin so; none when there is no container yet."""
        with translated("the evidence", told):
            try:
                return [name async for name in self._container().list_blob_names(name_starts_with=prefix)]
            except ResourceNotFoundError:
                return []

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Yield the blob in pieces, each read by itself: the SDK's own chunks break off when the blob grows."""
        offset = 0
        while piece := await self._piece(name, offset):
            yield piece
            offset += len(piece)
            if len(piece) < _PIECE:
                return

    async def _piece(self, name: str, offset: int) -> bytes:
        with translated("the evidence", told):
            try:
                stream = await self._blob(name).download_blob(offset=offset, length=_PIECE)
                return await stream.readall()
            except HttpResponseError as error:
                if isinstance(error, ResourceNotFoundError) or error.status_code == _NO_RANGE:
                    return b""
                raise

    def _blob(self, name: str) -> BlobClient:
        return self._container().get_blob_client(name)

    def _container(self) -> ContainerClient:
        if self._made is None:
            self._made = container_client(self._connection, self._url, max_single_get_size=_PIECE)
        return self._made
