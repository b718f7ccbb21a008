"""What lies inside a search service: indexes and their kind, on its data plane, which Resource Manager does not know.

They go by ids of the same make as any resource's, `.../searchServices/{service}/{collection}/{name}`: the name of a
service is the name of its host. Bodies are as the service sends them, with that id put in.

A name leads to a service whatever subscription and group stand beside it. So Resource Manager is asked first whether
the service is there: whoever names one must choose neither who gets a token nor which rule an object falls under.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from shared.adapters.arm import Arm, checked, reply_of
from shared.adapters.connection import Connection
from shared.adapters.pages import list_in
from shared.adapters.translate import translated
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json, Request
from shared.domain.service import ChildList, Service
from shared.errors import NotThere, Refusal
from shared.ports import Clock, Progress, Reply

if TYPE_CHECKING:
    from azure.core import AsyncPipelineClient


_SERVICE = "microsoft.search/searchservices"
_SERVICE_API = "2025-05-01"  # [SDK azure-mgmt-search 9.2.0]
_CONFIRMED_FOR = timedelta(minutes=10)
_MOST_CONFIRMED = 1_000


class SearchObjects:
    """Implements ports.Resources for the objects of search services."""

    def __init__(self, connection: Connection, arm: Arm, clock: Clock) -> None:
        self._connection = connection
        self._arm = arm
        self._clock = clock
        self._confirmed: dict[str, datetime] = {}  # ids of services, and when Resource Manager showed them
        self._made: AsyncPipelineClient[Any, Any] | None = None

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the object, or None."""
        try:
            await self._confirm(address)
            with translated(address.url):
                answer = await self._ask(HttpRequest("GET", self._url(address, service.api_version)))
                return _with_id(answer.json(), address)
        except NotThere:
            return None

    async def send(self, request: Request) -> Reply:
        """Put an object back. Raises Refusal, TryLater, NotThere."""
        await self._confirm(request.address)
        headers = {"If-Match": request.if_match} if request.if_match else {}
        body = {name: value for name, value in (request.body or {}).items() if name != "id"}
        url = self._url(request.address, request.api_version)
        with translated(request.address.url):
            answer = await self._ask(HttpRequest(request.method, url, json=body, headers=headers))
            return reply_of(answer)

    async def operation(self, url: str) -> Progress:
        """Search changes at once; nothing is ever asked for afterwards."""
        raise Refusal(Reason.FOREIGN_HOST, url[:200])

    async def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the objects of one collection."""
        await self._confirm(parent)
        with translated(f"{parent.url}/{what.collection}"):
            url = f"{self._base(parent)}/{what.collection}?api-version={service.api_version}"
            answer = await self._ask(HttpRequest("GET", url))
            for body in list_in(answer.json()):
                address = Address(what.type, f"{parent.url.rstrip('/')}/{what.collection}/{body['name']}")
                yield _with_id(body, address)

    async def _confirm(self, address: Address) -> None:
        """Ask Resource Manager for the service that an object lies in, or for the service itself; every ten minutes.

        Raises NotThere when it does not lie where the address says.
        """
        service = address.top
        if service.type.lower() != _SERVICE:
            raise Refusal(Reason.UNSUPPORTED_TYPE, service.type)
        now = self._clock.now()
        seen = self._confirmed.get(service.folded)
        if seen is not None and now - seen <= _CONFIRMED_FOR:
            return
        checked(await self._arm.read(service.url, _SERVICE_API), service)
        while len(self._confirmed) >= _MOST_CONFIRMED:
            del self._confirmed[next(iter(self._confirmed))]
        self._confirmed[service.folded] = now

    def _base(self, address: Address) -> str:
        return f"https://{address.arm.names[0].lower()}{self._connection.cloud.search_suffix}"

    def _url(self, address: Address, api_version: str) -> str:
        collection = address.arm.type.rpartition("/")[2]
        return f"{self._base(address)}/{collection}('{quote(address.arm.name, safe='')}')?api-version={api_version}"

    async def _ask(self, request: HttpRequest) -> Any:
        answer = await self._client().send_request(request)
        if answer.status_code >= 300:  # noqa: PLR2004  redirects are not followed, and are no yes either
            raise HttpResponseError(response=answer)
        return answer

    def _client(self) -> AsyncPipelineClient[Any, Any]:
        if self._made is None:
            from azure.core import AsyncPipelineClient  # noqa: PLC0415  costs time at cold start
            from azure.core.pipeline import policies  # noqa: PLC0415

            options = self._connection.options()
            token = policies.AsyncBearerTokenCredentialPolicy(
                self._connection.credential, self._connection.cloud.search_scope
            )
            chain = [policies.ContentDecodePolicy(), options["retry_policy"], token]
            self._made = AsyncPipelineClient(base_url="", policies=chain, transport=options["transport"])
        return self._made


def _with_id(body: Any, address: Address) -> Json:
    if not isinstance(body, dict) or str(body.get("name", "")).lower() != address.arm.name.lower():
        raise ValueError("an object of another name")
    return {**body, "id": address.url}  # a type of its own it has already: what a data source is of
