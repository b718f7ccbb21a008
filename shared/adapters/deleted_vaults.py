"""Vaults that were deleted and can come back: Azure lists them by subscription."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.adapters.pages import members_of
from shared.adapters.translate import translated
from shared.errors import NotThere, Refusal
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.mgmt.keyvault.aio import KeyVaultManagementClient

_ASK_AGAIN = timedelta(minutes=1)  # a flood of made-up vaults must not become a flood of lists


class DeletedVaults:
    """Asks each subscription once a minute at most. It takes Microsoft.KeyVault/deletedVaults/read there, which Reader
    has; a subscription that refuses it has none for us.
    """

    def __init__(self, client: Callable[[str], KeyVaultManagementClient], clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, tuple[dict[str, str], datetime]] = {}

    async def find(self, name: str, subscriptions: Collection[str]) -> str:
        """Return the id that the deleted vault of that name had, or "". Raises TryLater."""
        for subscription in sorted(subscriptions):
            if found := (await self._of(subscription)).get(name):
                return found
        return ""

    async def _of(self, subscription: str) -> dict[str, str]:
        now = self._clock.now()
        known, until = self._known.get(subscription, ({}, now))
        if until <= now:
            known = await self._read(subscription)
            self._known[subscription] = known, now + _ASK_AGAIN
        return known

    async def _read(self, subscription: str) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            with translated(f"deleted vaults of {subscription}"):
                async for one in members_of(self._client(subscription).vaults.list_deleted):
                    if one.name and one.properties is not None and one.properties.vault_id:
                        found[one.name.lower()] = one.properties.vault_id
        except (NotThere, Refusal):
            return {}
        return found
