"""Azure resources: one at a time as they are now, by the index, and the subscriptions that they lie in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from shared.domain.providers import RegisterProvider, Registration
from shared.domain.resource import Address, Json, Request
from shared.domain.service import ChildList, Service


class Reply(Struct, frozen=True):
    """What Azure answered to a write.

    `operation` is where to ask whether it has ended, "" when it has. `after` is what Azure asks to wait before that.
    `remaining` is how many more writes Azure says it takes for now, if it says so.
    """

    status: int
    body: Json
    operation: str = ""
    after: timedelta | None = None
    remaining: int | None = None


class Progress(Struct, frozen=True):
    """How a long-running operation stands. One that failed is raised instead."""

    ended: bool
    after: timedelta | None = None


class Resources(Protocol):
    """Azure resources, one at a time, as they are now."""

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the body, or None when there is no such resource."""
        ...

    async def send(self, request: Request) -> Reply:
        """Carry out a write. Raises Refusal, TryLater or NotThere."""
        ...

    async def operation(self, url: str) -> Progress:
        """Ask how an operation stands, wherever Azure said to ask. Raises Refusal with the reason why it failed,
        TryLater when nobody knows, NotThere when Azure has forgotten it.
        """
        ...

    def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the bodies of a collection below a resource. Raises NotThere when the parent is gone."""
        ...


class ListPage(Struct, frozen=True):
    """Members of a list, and where to go on; "": that was all."""

    members: list[Json]
    following: str = ""


class Lists(Protocol):
    """Lists below resources, as they are."""

    async def page_of(self, service: Service, parent: Address, path: str, cursor: str) -> ListPage:
        """Return one page of a list below a resource. Raises NotThere, Refusal, TryLater."""
        ...


class Page(Struct, frozen=True):
    """Candidates from the index, and where to go on. Bodies may be minutes old."""

    rows: tuple[Json, ...]
    cursor: str | None


class Finder(Protocol):
    """Azure's own index of resources: complete, and a little behind."""

    async def page(self, types: frozenset[str], cursor: str | None) -> Page:
        """Return a page of resources of these types with id, type, location, identity and properties."""
        ...

    async def look(self) -> None:
        """Try the index by one small read. Raises Refusal, TryLater."""
        ...

    async def with_identity(self, identity: str) -> tuple[Json, ...]:
        """Return the resources of any type that have this user-assigned identity, as `page` does. Raises AppError."""
        ...

    async def managed_groups(self) -> frozenset[str]:
        """Return the folded ids of resource groups that other resources own. Minutes old at most."""
        ...

    async def group_chains(self) -> Mapping[str, tuple[str, ...]]:
        """Return for each readable subscription (folded) its management groups, from the nearest to the root."""
        ...

    async def members(self, management_group: str) -> frozenset[str]:
        """Return the folded ids of all subscriptions below a management group. Raises NotThere, Refusal, TryLater."""
        ...


class Subscriptions(Protocol):
    """What is asked of subscriptions themselves."""

    async def tenant(self, subscription: str) -> str:
        """Return the tenant that a subscription belongs to. Raises AppError."""
        ...

    async def registration(self, subscription: str, provider: str, *, sure: bool) -> Registration:
        """Return how a resource provider stands, an hour old at most; that it is there, where that may not be read.
        `sure`: that one is missing is asked anew. Raises TryLater.
        """
        ...

    async def register(self, step: RegisterProvider) -> None:
        """Register a resource provider; that it is, or is going to be, is no error. Raises AppError."""
        ...
