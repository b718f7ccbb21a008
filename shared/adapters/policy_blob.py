"""The policy as a blob: fetched again only when its ETag says that it is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

from shared.adapters.blobs import container_client, told
from shared.adapters.connection import Connection
from shared.adapters.policy_file import Fetch
from shared.adapters.translate import translated
from shared.domain.policy_text import LONGEST

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

_NOT_MODIFIED = 304


def from_blob(connection: Connection, url: str) -> Fetch:
    """Return how to fetch a policy from `https://{account}.blob.../{container}/{name}`. Raises AppError."""
    made: list[BlobClient] = []

    async def fetch(mark: str) -> tuple[bytes | None, str]:
        if not made:
            account, _, path = url.removeprefix("https://").partition("/")
            container, _, name = path.partition("/")
            made.append(container_client(connection, f"https://{account}/{container}").get_blob_client(name))
        with translated("the policy", told):
            try:
                stream = await made[0].download_blob(
                    offset=0,
                    length=LONGEST + 1,
                    etag=mark or None,
                    match_condition=MatchConditions.IfModified if mark else None,
                )
                return await stream.readall(), str(stream.properties.etag)
            except HttpResponseError as error:
                if error.status_code == _NOT_MODIFIED:
                    return None, mark
                raise

    return fetch
