"""Turns that all instances share: a small blob for each, changed only by who has seen it as it is."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from msgspec import Struct

from shared.adapters.blobs import container_client, told
from shared.adapters.connection import Connection
from shared.adapters.translate import translated
from shared.adapters.turns import OwnTurns
from shared.errors import AppError
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, ContainerClient

_LOG = logging.getLogger("cmk")


class _Held(Struct):
    owner: str
    until: datetime


class BlobTurns:
    """Implements ports.Turns. A turn saves doing work twice and protects nothing: where its blob cannot be had, each
    instance keeps its own, and who can no longer say that it is done loses the turn when its time is over.
    """

    def __init__(self, connection: Connection, container_url: str, clock: Clock) -> None:
        self._connection = connection
        self._url = container_url
        self._clock = clock
        self._own = OwnTurns(clock)
        self._made: ContainerClient | None = None

    async def take(self, name: str, owner: str, until: datetime) -> bool:
        """Take or keep a turn until then; False: somebody else has it."""
        try:
            with translated("a turn", told):
                return await self._take(name, _Held(owner, until))
        except AppError as error:
            _LOG.warning("the turn %r is this instance's own, its blob cannot be had: %s", name, error)
            return await self._own.take(name, owner, until)

    async def give_back(self, name: str, owner: str) -> None:
        """End a turn early."""
        await self._own.give_back(name, owner)
        try:
            with translated("a turn", told):
                held, etag = await self._read(name)
                if held is not None and held.owner == owner:
                    with suppress(ResourceModifiedError, ResourceNotFoundError):  # its time was over, another took it
                        await self._blob(name).delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        except AppError as error:
            _LOG.warning("the turn %r could not be given back and ends by itself: %s", name, error)

    async def _take(self, name: str, wanted: _Held) -> bool:
        held, etag = await self._read(name)
        if held is not None and held.owner != wanted.owner and self._clock.now() < held.until:
            return False
        data = msgspec.json.encode(wanted)
        try:
            if etag:
                await self._blob(name).upload_blob(
                    data, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
                )
            else:
                await self._make(name, data)
        except (ResourceModifiedError, ResourceExistsError, ResourceNotFoundError):
            return False  # somebody else was faster
        return True

    async def _make(self, name: str, data: bytes) -> None:
        try:
            await self._blob(name).upload_blob(data, overwrite=False)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):  # another instance was faster
                await self._container().create_container()
            await self._blob(name).upload_blob(data, overwrite=False)

    async def _read(self, name: str) -> tuple[_Held | None, str]:
        """Return who has the turn, and the ETag of its blob; "" when there is none."""
        try:
            stream = await self._blob(name).download_blob()
            written = await stream.readall()
        except ResourceNotFoundError:
            return None, ""
        try:
            return msgspec.json.decode(written, type=_Held), str(stream.properties.etag)
        except msgspec.DecodeError:
            return None, str(stream.properties.etag)  # nobody's, whatever it is

    def _blob(self, name: str) -> BlobClient:
        return self._container().get_blob_client(f"turns/{name}.json")

    def _container(self) -> ContainerClient:
        if self._made is None:
            self._made = container_client(self._connection, self._url)
        return self._made
