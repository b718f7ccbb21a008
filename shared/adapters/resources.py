"""Which client serves which resource: storage through azure-mgmt-storage, the rest as its service says."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.adapters.arm import Arm
from shared.adapters.search_objects import SearchObjects
from shared.adapters.storage_accounts import StorageAccounts
from shared.domain.resource import Address, Audience, Json, Request
from shared.domain.service import ChildList, Service
from shared.ports import Progress, Reply, Resources


class RoutedResources:
    """Implements ports.Resources."""

    def __init__(self, storage: StorageAccounts, search: SearchObjects, arm: Arm) -> None:
        self._storage = storage
        self._search = search
        self._arm = arm

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the body, or None when there is no such resource."""
        return await self._of(address.type, service.audience).get(service, address)

    async def send(self, request: Request) -> Reply:
        """Carry out a write. Raises Refusal, TryLater or NotThere."""
        return await self._of(request.address.type, request.audience).send(request)

    async def operation(self, url: str) -> Progress:
        """Ask how an operation stands."""
        return await self._arm.operation(url)

    def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the bodies of a collection below a resource."""
        return self._of(what.type, what.audience).children(parent, what, service)

    def _of(self, type_: str, audience: Audience) -> Resources:
        if audience is Audience.SEARCH:
            return self._search
        return self._storage if type_.lower() in StorageAccounts.TYPES else self._arm
