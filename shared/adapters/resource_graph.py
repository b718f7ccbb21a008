"""Azure Resource Graph: which resources there are. Candidates, not state: rows may be minutes old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.arm import Arm
from shared.adapters.connection import Connection
from shared.adapters.pages import Turns
from shared.adapters.translate import translated
from shared.domain.identity import identities_in
from shared.domain.reasons import Reason
from shared.domain.resource import BadAddress, Json, fold, parse_arm_id
from shared.errors import Refusal
from shared.ports import Clock, Page

if TYPE_CHECKING:
    from azure.mgmt.resourcegraph.aio import ResourceGraphClient

_LOG = logging.getLogger("cmk")
PAGE = 200  # rows: so many items are put by one invocation
_REMEMBER_GROUPS = timedelta(minutes=5)
_MANAGED_GROUPS = (
    "resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups'"
    " | where isnotempty(managedBy) | project id | order by id asc"
)
# What a workspace lets Microsoft run for it is known by this field, and by nothing about the group's name.
_PROVISIONED_GROUPS = (
    "resources | where type =~ 'microsoft.machinelearningservices/workspaces'"
    " | where isnotempty(tostring(properties.serviceProvisionedResourceGroup))"
    " | project id, group=tostring(properties.serviceProvisionedResourceGroup) | order by id asc"
)
_SUBSCRIPTIONS = (
    "resourcecontainers | where type =~ 'microsoft.resources/subscriptions'"
    " | project id, subscriptionId, chain=properties.managementGroupAncestorsChain | order by id asc"
)
_GROUPS_API = "2020-05-01"  # [SDK azure-mgmt-managementgroups 1.1.0b2]


class ResourceGraph:
    """Implements ports.Finder."""

    def __init__(self, connection: Connection, clock: Clock, arm: Arm) -> None:
        self._connection = connection
        self._clock = clock
        self._arm = arm
        self._chains: dict[str, tuple[str, ...]] = {}
        self._chains_read: datetime | None = None
        self._made: ResourceGraphClient | None = None
        self._groups: frozenset[str] = frozenset()
        self._groups_read: datetime | None = None
        self._reading = asyncio.Lock()

    async def page(self, types: frozenset[str], cursor: str | None) -> Page:
        """Return one page of the resources of these types.

        By name, which spreads a page over subscriptions (Azure counts by subscription), and by id, so that pages do not
        overlap.
        """
        named = ", ".join(f"'{type_}'" for type_ in sorted(types))
        query = (
            f"resources | where type in~ ({named})"
            " | project id, name, type, kind, location, tags, sku, identity, managedBy, properties"
            " | order by name asc, id asc"
        )
        rows, following = await self._answered(query, cursor, PAGE)
        found = {fold(row["id"]): row for row in rows if _names_a_resource(row)}
        return Page(tuple(found.values()), following)

    async def with_identity(self, identity: str) -> tuple[Json, ...]:
        """Return the resources of any type that have a user-assigned identity."""
        if "'" in identity:
            raise Refusal(Reason.BAD_REQUEST, "the identity's id has a quote in it")
        query = (
            f"resources | where tostring(identity.userAssignedIdentities) contains '{identity}'"
            " | project id, name, type, kind, location, tags, identity, managedBy, properties | order by id asc"
        )
        # The text of one id may be part of another's.
        return tuple(row for row in await self.every(query) if fold(identity) in map(fold, identities_in(row)))

    async def look(self) -> None:
        """Ask for one row."""
        await self.query("resources | project id | order by id asc", None, rows=1)

    async def managed_groups(self) -> frozenset[str]:
        """Return the resource groups that another resource owns; read every few minutes, by one for all who ask."""
        async with self._reading:
            now = self._clock.now()
            if self._groups_read is None or now - self._groups_read > _REMEMBER_GROUPS:
                rows = await self.every(_MANAGED_GROUPS)
                provisioned = await self.every(_PROVISIONED_GROUPS)
                groups = [*(str(row["id"]) for row in rows), *(_group_of(row) for row in provisioned)]
                self._groups = frozenset(group.lower().rstrip("/") for group in groups)
                self._groups_read = now
            return self._groups

    async def group_chains(self) -> Mapping[str, tuple[str, ...]]:
        """Return the management groups above each readable subscription; read every few minutes."""
        async with self._reading:
            now = self._clock.now()
            if self._chains_read is None or now - self._chains_read > _REMEMBER_GROUPS:
                rows = await self.every(_SUBSCRIPTIONS)
                self._chains = {str(row.get("subscriptionId")).lower(): _chain(row.get("chain")) for row in rows}
                self._chains_read = now
            return self._chains

    async def members(self, management_group: str) -> frozenset[str]:
        """Return all subscriptions below a management group, those among them that the app cannot read too."""
        path = f"/providers/Microsoft.Management/managementGroups/{management_group}/descendants"
        return frozenset(
            str(one.get("name") or "").lower()
            for one in await self._arm.every(path, _GROUPS_API)
            if str(one.get("type") or "").lower().endswith("/subscriptions")
        )

    async def every(self, query: str) -> list[Json]:
        """Return all rows of a query, page by page."""
        rows, cursor = await self.query(query, None)
        turns = Turns()
        while cursor is not None:
            with translated("Resource Graph"):
                turns.to(cursor)
            more, cursor = await self.query(query, cursor)
            rows += more
        return rows

    async def query(self, query: str, cursor: str | None, *, rows: int = PAGE) -> tuple[list[Json], str | None]:
        """Return one page of rows and the token of the next one. Raises TryLater, Refusal."""
        found, following = await self._answered(query, cursor, rows)
        with translated("Resource Graph"):
            if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in found):
                raise ValueError("rows without ids")
        return found, following

    async def _answered(self, query: str, cursor: str | None, rows: int) -> tuple[list[Any], str | None]:
        from azure.mgmt.resourcegraph import models  # noqa: PLC0415  costs time at cold start

        options = models.QueryRequestOptions(top=rows, skip_token=cursor, result_format="objectArray")
        with translated("Resource Graph"):
            answer: Any = await self._client().resources(models.QueryRequest(query=query, options=options))
            found = answer.data
            if not isinstance(found, list):
                raise TypeError("an answer without rows")
            if cursor is not None and answer.skip_token == cursor:
                raise ValueError("a page that leads to itself")
            return found, answer.skip_token or None

    def _client(self) -> ResourceGraphClient:
        if self._made is None:
            from azure.mgmt.resourcegraph.aio import ResourceGraphClient  # noqa: PLC0415  costs time at cold start

            self._made = ResourceGraphClient(self._connection.credential, **self._connection.arm_options())
        return self._made


def _names_a_resource(row: Any) -> bool:
    """Return whether a row has a resource's id; one that has not must not take its page along."""
    id_ = row.get("id") if isinstance(row, dict) else None
    try:
        parse_arm_id(id_ if isinstance(id_, str) else "")
    except BadAddress as error:
        _LOG.warning("a row of the index is passed over: %s", error)
        return False
    return True


def _group_of(row: Json) -> str:
    """Return the id of a workspace's group: the field holds an id or, in some answers, just the group's name."""
    written = str(row["group"])
    subscription = "/".join(str(row["id"]).split("/")[:3])
    return written if written.startswith("/") else f"{subscription}/resourceGroups/{written}"


def _chain(written: Any) -> tuple[str, ...]:
    groups = written if isinstance(written, list) else []
    return tuple(str(one.get("name") or "").lower() for one in groups if isinstance(one, dict))
