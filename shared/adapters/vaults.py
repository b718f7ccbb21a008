"""Which vaults the app may talk to: those the settings name, and those found in its own subscriptions."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineResponse

from shared.adapters.connection import Connection
from shared.adapters.deleted_vaults import DeletedVaults
from shared.adapters.resource_graph import ResourceGraph
from shared.adapters.translate import translated, unreadable
from shared.domain.new_vault import NameHeld
from shared.domain.resource import parse_arm_id
from shared.domain.vault import Vault, vault_of
from shared.errors import NotThere
from shared.ports import Clock, VaultSite

if TYPE_CHECKING:
    from azure.mgmt.keyvault.aio import KeyVaultManagementClient

_QUERY = (
    "resources | where type =~ 'microsoft.keyvault/vaults'"
    " | project id, vaultUri=tostring(properties.vaultUri) | order by id asc"
)
_INVENTORY_FOR = timedelta(minutes=10)
_MOST_LEARNT = 1_000
_ASK_AGAIN = timedelta(seconds=30)  # an unknown vault makes us look again, but a flood of them does not


class VaultInventory:
    """Implements ports.Vaults."""

    def __init__(
        self, connection: Connection, graph: ResourceGraph, clock: Clock, allowed_hosts: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._graph = graph
        self._clock = clock
        self._allowed = tuple(pattern.lower() for pattern in allowed_hosts)
        self._ids: dict[str, str] = {}
        self._learnt: dict[str, str] = {}  # vaults that Resource Graph need not show yet
        self._confirmed: dict[str, VaultSite] = {}
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()
        self._clients: dict[str, KeyVaultManagementClient] = {}
        self._deleted = DeletedVaults(self.client, clock)

    async def by_host(self, host: str) -> VaultSite | None:
        """Return the vault of that host. The host must be a Key Vault of the cloud, and allowed or found."""
        host = host.lower()
        if not host.endswith(self._connection.cloud.vault_suffix):
            return None
        if self._is_allowed(host):
            return VaultSite(host)
        await self._refresh(wanted=host in self._ids)
        vault_id = self._ids.get(host)
        return None if vault_id is None else await self._confirm(host, vault_id)

    async def by_id(self, vault_id: str) -> VaultSite | None:
        """Return the vault of that ARM id, if it was found."""
        folded = vault_id.lower().rstrip("/")
        await self._refresh(wanted=folded in self._ids.values())
        host = next((host for host, id_ in self._ids.items() if id_ == folded), None)
        if host is not None:
            return await self._confirm(host, folded)
        # The settings may allow a vault that the index does not show.
        by_name = f"{folded.rpartition('/')[2]}{self._connection.cloud.vault_suffix}"
        return VaultSite(by_name) if self._is_allowed(by_name) else None

    async def first(self) -> VaultSite | None:
        """Return the first host that the settings spell out, else the first vault that was found."""
        suffix = self._connection.cloud.vault_suffix
        if plain := next((one for one in self._allowed if one.endswith(suffix) and not set(one) & set("*?[")), None):
            return VaultSite(plain)
        await self._refresh(wanted=True)
        host = min(self._ids, default=None)
        return None if host is None else VaultSite(host, self._ids[host])

    async def found(self) -> tuple[VaultSite, ...]:
        """Return all vaults that the index shows."""
        await self._refresh(wanted=True)
        return tuple(VaultSite(host, id_) for host, id_ in sorted(self._ids.items()))

    async def id_of(self, host: str) -> str:
        """Return the ARM id of the vault of that host, "" when it was not found: the settings may allow it all the
        same.
        """
        await self._refresh(wanted=host in self._ids)
        vault_id = self._ids.get(host)
        site = None if vault_id is None else await self._confirm(host, vault_id)
        return "" if site is None else site.id

    async def settings(self, host: str) -> Vault | None:
        """Return a vault as Azure Resource Manager shows it now; None: it was not found there."""
        if not (vault_id := await self.id_of(host)):
            return None
        found = await self._read(vault_id)
        if found is None:  # deleted or moved since it was found
            await self._refresh(wanted=False)
            now_at = await self.id_of(host)
            found = await self._read(now_at) if now_at not in {"", vault_id} else None
        return found if found is not None and found.host == host else None

    async def at(self, vault_id: str) -> Vault | None:
        """Return the vault that a rule has made, if it is there, and know it from now on: Resource Graph shows it
        minutes later. The rule says which id it has; that the host belongs to it, Azure Resource Manager says.
        """
        found = await self._read(vault_id)
        host = f"{parse_arm_id(vault_id).name}{self._connection.cloud.vault_suffix}".lower()
        if found is None or found.host != host:
            return None
        self._learnt.pop(host, None)
        self._learnt[host] = self._ids[host] = vault_id.lower()
        while len(self._learnt) > _MOST_LEARNT:
            del self._learnt[next(iter(self._learnt))]
        return found

    async def held(self, vault_id: str, location: str) -> NameHeld:
        """Return who holds the name that a vault would have: one that was deleted here, or anybody anywhere."""
        arm = parse_arm_id(vault_id)
        vaults = self.client(arm.subscription).vaults
        try:
            with translated(vault_id):
                deleted = await vaults.get_deleted(arm.name, location)
                return NameHeld(deleted=str(deleted.properties.vault_id) if deleted.properties else vault_id)
        except NotThere:
            pass
        with translated(vault_id):
            asked: Any = {"name": arm.name, "type": "Microsoft.KeyVault/vaults"}
            answer = await vaults.check_name_availability(asked)
        return NameHeld() if answer.name_available else NameHeld(taken=str(answer.message or answer.reason or arm.name))

    async def _read(self, vault_id: str) -> Vault | None:
        arm = parse_arm_id(vault_id)
        try:
            with translated(vault_id):
                body: Any = await self.client(arm.subscription).vaults.get(arm.group, arm.name, cls=_as_sent)
                if str(body["id"]).lower().rstrip("/") != vault_id.lower().rstrip("/"):
                    raise unreadable(vault_id)
                return vault_of(body)
        except NotThere:
            return None

    async def deleted(self, host: str, vault_id: str = "") -> str:
        """Return the id of the deleted vault of that host, "" if there is none in a readable subscription."""
        suffix = self._connection.cloud.vault_suffix
        readable = frozenset(await self._graph.group_chains()) if host.endswith(suffix) else frozenset()
        wanted = {vault_id.lower().split("/")[2]} if vault_id else readable
        return await self._deleted.find(host.removesuffix(suffix), readable & wanted)

    def _is_allowed(self, host: str) -> bool:
        return any(fnmatchcase(host, pattern) for pattern in self._allowed)

    async def _refresh(self, *, wanted: bool) -> None:
        async with self._reading:
            now = self._clock.now()
            age = _INVENTORY_FOR if self._read_at is None else now - self._read_at
            if age < (_INVENTORY_FOR if wanted else _ASK_AGAIN):
                return
            rows = await self._graph.every(_QUERY)
            self._ids = {_host(row.get("vaultUri")): str(row["id"]).lower().rstrip("/") for row in rows}
            self._ids.pop("", None)
            self._ids = self._learnt | self._ids
            self._confirmed.clear()
            self._read_at = now

    async def _confirm(self, host: str, vault_id: str) -> VaultSite | None:
        """Ask Azure Resource Manager itself once: the index may show a vault that is gone or was made anew."""
        async with self._reading:
            if host not in self._confirmed and await self._is_there(host, vault_id):
                self._confirmed[host] = VaultSite(host, vault_id)
            return self._confirmed.get(host)

    async def _is_there(self, host: str, vault_id: str) -> bool:
        arm = parse_arm_id(vault_id)
        try:
            with translated(vault_id):
                vault: Any = await self.client(arm.subscription).vaults.get(arm.group, arm.name)
                return _host(vault.properties.vault_uri) == host
        except NotThere:
            return False

    def client(self, subscription: str) -> KeyVaultManagementClient:
        """Return the client of a subscription's vaults."""
        client = self._clients.get(subscription)
        if client is None:
            from azure.mgmt.keyvault.aio import KeyVaultManagementClient  # noqa: PLC0415  costs time at cold start

            client = KeyVaultManagementClient(
                self._connection.credential, subscription, **self._connection.arm_options()
            )
            self._clients[subscription] = client
        return client


def _as_sent(response: PipelineResponse[Any, Any], _model: Any, _headers: Any) -> Any:
    """Return the JSON as it came over the wire instead of the SDK's model."""
    return response.http_response.json()


def _host(uri: Any) -> str:
    try:
        return (urlsplit(uri).hostname or "").lower() if isinstance(uri, str) else ""
    except ValueError:  # such as half an IPv6 address
        return ""
