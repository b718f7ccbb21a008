"""Azure Resource Manager for every type that has no client of its own here. Bodies come and go as wire JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from shared.adapters.connection import Connection
from shared.adapters.pages import Turns, list_in
from shared.adapters.translate import refused_with, retry_after, translated, unreadable
from shared.domain.jsonpath import lookup, text
from shared.domain.reasons import Reason
from shared.domain.resource import Address, BadAddress, Json, Request, address_of
from shared.domain.service import ChildList, Service
from shared.errors import NotThere, Refusal
from shared.ports import ListPage, Progress, Reply

if TYPE_CHECKING:
    from azure.mgmt.core import AsyncARMPipelineClient

_LONGEST_URL = 4_000
_RUNNING = 202
_REMAINING = "x-ms-ratelimit-remaining-subscription-writes"


class Arm:
    """Implements ports.Resources over plain requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._made: AsyncARMPipelineClient[Any, Any] | None = None

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the body as the service sent it, or None."""
        try:
            with translated(address.url):
                answer = await self._ask(HttpRequest("GET", self._url(address.url, service.api_version)))
                return checked(answer.json(), address)
        except NotThere:
            return None

    async def send(self, request: Request) -> Reply:
        """Send a write. Raises Refusal, TryLater, NotThere."""
        headers = {"If-Match": request.if_match} if request.if_match else {}
        url = self._url(request.address.url, request.api_version)
        with translated(request.address.url):
            answer = await self._ask(HttpRequest(request.method, url, json=request.body, headers=headers))
            return reply_of(answer)

    async def operation(self, url: str) -> Progress:
        """Ask how an operation stands: by its status, or by what its Location answers."""
        parts = urlsplit(url)
        if len(url) > _LONGEST_URL or (parts.scheme, parts.hostname) != ("https", self._connection.cloud.arm):
            raise Refusal(Reason.FOREIGN_HOST, url[:200])
        with translated("an operation"):
            answer = await self._ask(HttpRequest("GET", url))
            body = answer.json() if answer.content else {}
            if not isinstance(body, dict):
                raise TypeError("an operation that is no object")
            after = retry_after(answer.headers)
        status = text(lookup(body, "status")).lower()
        if status in {"failed", "canceled", "cancelled"}:
            error = lookup(body, "error") or lookup(body, "properties", "error")
            raise refused_with(text(lookup(error, "code")) or status, text(lookup(error, "message")))
        if status:
            return Progress(status == "succeeded", after)
        return Progress(answer.status_code != _RUNNING, after)

    async def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the members of a collection below a resource."""
        place = f"{parent.url.rstrip('/')}/{what.collection}"
        for body in await self.every(place, service.api_version):
            if address_of(str(body["id"])).parent.lower() != parent.folded:
                raise unreadable(f"{place}: a member of another collection")
            yield body

    async def page_of(self, service: Service, parent: Address, path: str, cursor: str) -> ListPage:
        """Return one page of a list below a resource. Implements ports.Lists."""
        return ListPage(*await self.page(f"{parent.url.rstrip('/')}/{path}", service.api_version, cursor))

    async def read_checked(self, address: Address, api_version: str) -> Json:
        """Return one resource, whose body must be its own. Raises NotThere, Refusal, TryLater."""
        with translated(address.url):
            answer = await self._ask(HttpRequest("GET", self._url(address.url, api_version)))
            return checked(answer.json(), address)

    async def read(self, path: str, api_version: str) -> Json:
        """Return one object. Raises NotThere, Refusal, TryLater, also for an answer that names another or none."""
        with translated(path):
            body = (await self._ask(HttpRequest("GET", self._url(path, api_version)))).json()
            # What lies in front of the name may be said otherwise: a role is the subscription's or the tenant's.
            if str(body["id"]).rstrip("/").rpartition("/")[2].lower() != path.rpartition("/")[2].lower():
                raise unreadable(path)
        return dict(body)

    async def told(self, path: str, api_version: str) -> Json:
        """Return figures that Azure tells, which are no resource and have no id. Raises NotThere, Refusal, TryLater."""
        with translated(path):
            return dict((await self._ask(HttpRequest("GET", self._url(path, api_version)))).json())

    async def post(self, path: str, api_version: str) -> None:
        """Carry out an action that takes no body, and whose answer is read by nobody. Raises NotThere, Refusal,
        TryLater.
        """
        with translated(path):
            await self._ask(HttpRequest("POST", self._url(path, api_version)))

    async def every(self, path: str, api_version: str, filter_: str = "") -> list[Json]:
        """Return all members of a list, page by page. Raises NotThere, Refusal, TryLater."""
        found: list[Json] = []
        url = self._url(path, api_version) + (f"&$filter={quote(filter_)}" if filter_ else "")
        with translated(path):
            turns = Turns()
            while url:
                turns.to(url)
                members, url = await self._members(url)
                found += members
            return found

    async def page(self, path: str, api_version: str, cursor: str) -> tuple[list[Json], str]:
        """Return one page of a list, the first or the one that a cursor names, and the next cursor, "" at the end.

        A cursor comes off the queue: it must lead to the same list. Raises NotThere, Refusal, TryLater.
        """
        if cursor:
            parts, wanted = urlsplit(cursor), urlsplit(self._url(path, api_version))
            same = (parts.scheme, parts.netloc, parts.path.lower()) == (*wanted[:2], wanted.path.lower())
            if len(cursor) > _LONGEST_URL or not same:
                raise Refusal(Reason.FOREIGN_HOST, cursor[:200])
        with translated(path):
            members, following = await self._members(cursor or self._url(path, api_version))
            if cursor and following == cursor:
                raise ValueError("a page that leads to itself")
            return members, following

    async def _members(self, url: str) -> tuple[list[Json], str]:
        page = (await self._ask(HttpRequest("GET", url))).json()
        return [body for body in list_in(page) if isinstance(body, dict)], page.get("nextLink") or ""

    def _url(self, path: str, api_version: str) -> str:
        return f"https://{self._connection.cloud.arm}{quote(path, safe='/()$')}?api-version={api_version}"

    async def _ask(self, request: HttpRequest) -> Any:
        answer = await self._client().send_request(request)
        if answer.status_code >= 300:  # noqa: PLR2004  redirects are not followed, and are no yes either
            raise HttpResponseError(response=answer, error_format=_error_format())
        return answer

    def _client(self) -> AsyncARMPipelineClient[Any, Any]:
        if self._made is None:
            from azure.mgmt.core import AsyncARMPipelineClient  # noqa: PLC0415  costs time at cold start

            options = self._connection.arm_options()
            self._made = AsyncARMPipelineClient(
                base_url=options["base_url"], policies=options["policies"], transport=options["transport"]
            )
        return self._made


def _error_format() -> Any:
    from azure.mgmt.core.exceptions import ARMErrorFormat  # noqa: PLC0415  costs time at cold start

    return ARMErrorFormat


def checked(body: Any, address: Address) -> Json:
    """Return the body if it is one of this resource; a resource's answer that names another is no use."""
    if not isinstance(body, dict) or str(body.get("id", "")).rstrip("/").lower() != address.folded:
        raise unreadable(address.url)
    return body


def reply_of(answer: Any) -> Reply:
    """Return what an answer to a write says: its body, and where to ask for the rest if Azure is still at it.

    Azure-AsyncOperation wins over Location, and counts whatever the status is: Cosmos DB answers 200 with it and is
    not done. A Location without 202 names the thing itself [ARM RPC, asynchronous operations].
    """
    body = _json_or_nothing(answer)
    operation = answer.headers.get("Azure-AsyncOperation") or ""
    if not operation and answer.status_code == _RUNNING:
        operation = answer.headers.get("Location") or ""
    return Reply(answer.status_code, body, operation, retry_after(answer.headers), _left(answer.headers))


def _left(headers: Any) -> int | None:
    """Return how many writes Azure says it still takes. The write was accepted: nonsense here must not undo that."""
    try:
        return int(headers.get(_REMAINING) or "")
    except ValueError:
        return None


def _json_or_nothing(answer: Any) -> Json:
    """Return the body; what a write answers is never decided on, so one that cannot be read is no error."""
    try:
        body = answer.json() if answer.content else {}
    except (ValueError, BadAddress):
        return {}
    return body if isinstance(body, dict) else {}
