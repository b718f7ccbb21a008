"""Blob storage as all who keep something there reach it: with the app's identity, by the guarded way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from shared.adapters.connection import Connection
from shared.adapters.translate import translate
from shared.errors import AppError

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


def container_client(connection: Connection, url: str, **more: Any) -> ContainerClient:
    """Return a client of a container. It tries once more at most: nobody's work may be held up for long."""
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  costs time at cold start

    options: dict[str, Any] = {
        "retry_total": 1,
        "initial_backoff": 1,
        "increment_base": 1,
        "random_jitter_range": 1,
        "permit_redirects": False,
        **more,
    }
    return ContainerClient.from_container_url(
        url, credential=connection.credential, transport=connection.transport, **options
    )


def code(error: AzureError) -> str:
    """Return storage's own code of an error, "" without one."""
    found = getattr(error, "error_code", "")
    return str(getattr(found, "value", found) or "")


def told(error: AzureError) -> AppError:
    """Return our error with storage's own code, which says more than the status."""
    found = translate(error)
    if code(error):
        found.detail = f"{code(error)} {found.detail}"
    return found
