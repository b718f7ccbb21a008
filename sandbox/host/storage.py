"""Queue clients of an app's storage connections, made from its settings as the host makes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.request import getproxies

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.queue.aio import QueueClient

from sandbox.host.functions import Binding
from sandbox.host.hostjson import HostError
from sandbox.host.outputs import Clients, send


class QueueClients:
    """One client for each connection and queue.

    A connection is a setting NAME with a connection string, or NAME__queueServiceUri with NAME__credential
    "managedidentity" (and NAME__clientId when it is not the app's own identity).
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._clients: dict[tuple[str, str], QueueClient] = {}
        self._credentials: dict[str, ManagedIdentityCredential] = {}

    def of(self, binding: Binding) -> Clients:
        """Return what gives clients by queue name for a binding's connection."""
        return partial(self._client, str(binding.get("connection") or "AzureWebJobsStorage"))

    async def write(self, binding: Binding, text: str) -> None:
        """Put a text into an output binding's queue."""
        await send(self.of(binding)(binding["queueName"]), text)

    def _client(self, connection: str, queue: str) -> QueueClient:
        found = self._clients.get((connection, queue))
        if found is None:
            found = self._clients[connection, queue] = self._make(connection, queue)
        return found

    def _make(self, connection: str, queue: str) -> QueueClient:
        text = self._settings.get(connection)
        if text:
            return QueueClient.from_connection_string(text, queue)
        address = self._settings.get(f"{connection}__queueServiceUri")
        if not address:
            raise HostError(f"neither {connection} nor {connection}__queueServiceUri is set")
        how = self._settings.get(f"{connection}__credential", "managedidentity")
        if how.lower() != "managedidentity":
            raise HostError(f"{connection}__credential is {how!r}; the sandbox's host knows managedidentity only")
        # The proxy is named once: aiohttp's own way looks for the user's .netrc in a thread at every request.
        proxy: dict[str, Any] = {"use_env_settings": False, "proxies": getproxies()}
        return QueueClient(address, queue, credential=self._credential(connection), **proxy)

    def _credential(self, connection: str) -> ManagedIdentityCredential:
        found = self._credentials.get(connection)
        if found is None:
            client_id = self._settings.get(f"{connection}__clientId")
            found = self._credentials[connection] = ManagedIdentityCredential(client_id=client_id)
        return found

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()
        for credential in self._credentials.values():
            await credential.close()
