"""Storage accounts and encryption scopes, through azure-mgmt-storage. Bodies come and go as wire JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from azure.core.pipeline import PipelineResponse

from shared.adapters.arm import checked, reply_of
from shared.adapters.connection import Connection
from shared.adapters.pages import members_of
from shared.adapters.translate import translated
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json, Request, address_of
from shared.domain.service import ChildList, Service
from shared.errors import NotThere, Refusal
from shared.ports import Progress, Reply

if TYPE_CHECKING:
    from azure.mgmt.storage.aio import StorageManagementClient

_ACCOUNT = "microsoft.storage/storageaccounts"
_MOST_CLIENTS = 256
_SCOPE = "microsoft.storage/storageaccounts/encryptionscopes"


class StorageAccounts:
    """Implements ports.Resources for the types of azure-mgmt-storage."""

    TYPES = frozenset({_ACCOUNT, _SCOPE})

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clients: dict[tuple[str, str], StorageManagementClient] = {}

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the body as the service sent it, or None."""
        client, arm = self._client(address, service.api_version), address.arm
        try:
            with translated(address.url):
                if arm.type.lower() == _ACCOUNT:
                    body: Any = await client.storage_accounts.get_properties(arm.group, arm.name, cls=_as_sent)
                elif arm.type.lower() == _SCOPE:
                    body = await client.encryption_scopes.get(arm.group, *arm.names, cls=_as_sent)
                else:
                    raise Refusal(Reason.UNSUPPORTED_TYPE, arm.type)
        except NotThere:
            return None
        return checked(body, address)

    async def send(self, request: Request) -> Reply:
        """Send a PATCH. Raises Refusal, TryLater, NotThere."""
        address = request.address
        client, arm = self._client(address, request.api_version), address.arm
        body: Any = request.body
        with translated(address.url):
            if (request.method, arm.type.lower()) == ("PATCH", _ACCOUNT):
                answer: Any = await client.storage_accounts.update(arm.group, arm.name, body, cls=_as_answered)
            elif (request.method, arm.type.lower()) == ("PATCH", _SCOPE):
                answer = await client.encryption_scopes.patch(arm.group, arm.names[0], arm.name, body, cls=_as_answered)
            else:
                raise Refusal(Reason.UNSUPPORTED_TYPE, f"{request.method} {arm.type}")
        checked(answer.json(), address)
        return reply_of(answer)

    async def operation(self, url: str) -> Progress:
        """Storage changes at once; nothing is ever asked for afterwards."""
        raise Refusal(Reason.FOREIGN_HOST, url[:200])

    async def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the encryption scopes of an account."""
        if what.type.lower() != _SCOPE:
            raise Refusal(Reason.UNSUPPORTED_TYPE, what.type)
        client, arm = self._client(parent, service.api_version), parent.arm
        with translated(f"{parent.url}/{what.collection}"):
            async for scope in members_of(client.encryption_scopes.list, arm.group, arm.name):
                body = scope.as_dict()
                if address_of(str(body["id"])).parent.lower() != parent.folded:
                    raise ValueError("a member of another collection")
                yield body

    def _client(self, address: Address, api_version: str) -> StorageManagementClient:
        subscription = address.arm.subscription.lower()
        client = self._clients.get((subscription, api_version))
        if client is None:
            from azure.mgmt.storage.aio import StorageManagementClient  # noqa: PLC0415  costs time at cold start

            client = StorageManagementClient(
                self._connection.credential,
                subscription,
                api_version=api_version,
                **self._connection.arm_options(),
            )
            while len(self._clients) >= _MOST_CLIENTS:  # made-up subscription ids must not fill the memory
                del self._clients[next(iter(self._clients))]
            self._clients[subscription, api_version] = client
        return client


def _as_sent(response: PipelineResponse[Any, Any], _model: Any, _headers: Any) -> Any:
    """Return the JSON as it came over the wire instead of the SDK's model."""
    return response.http_response.json()


def _as_answered(response: PipelineResponse[Any, Any], _model: Any, _headers: Any) -> Any:
    """Return the answer itself, headers and all."""
    return response.http_response
