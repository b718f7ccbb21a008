"""Vaults, their diagnostic settings and keys through Azure Resource Manager: no right inside a vault is needed."""

from __future__ import annotations

from shared.adapters.arm import Arm
from shared.domain.resource import Address, Json
from shared.errors import NotThere
from shared.ports import KeyPage

_VAULTS_API = "2026-05-15"  # [SDK azure-mgmt-keyvault 14.1.0]
_SETTINGS = "Microsoft.Insights/diagnosticSettings"
_SETTINGS_API = "2021-05-01-preview"  # there is no later one [learn rest/api/monitor/diagnostic-settings/list]


class VaultReading:
    """Implements ports.VaultFacts."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def body(self, vault: str) -> Json | None:
        """Return a vault's body, or None."""
        try:
            return await self._arm.read_checked(Address("Microsoft.KeyVault/vaults", vault), _VAULTS_API)
        except NotThere:
            return None

    async def settings(self, vault: str) -> list[Json]:
        """Return a vault's diagnostic settings."""
        return await self._arm.every(f"{vault}/providers/{_SETTINGS}", _SETTINGS_API)

    async def keys(self, vault: str, cursor: str) -> KeyPage:
        """Return one page of a vault's keys, with their attributes."""
        return KeyPage(*await self._arm.page(f"{vault}/keys", _VAULTS_API, cursor))

    async def key(self, vault: str, name: str) -> Json | None:
        """Return a key with what its newest version is made of and its rotation policy, or None."""
        try:
            return await self._arm.read(f"{vault}/keys/{name}", _VAULTS_API)
        except NotThere:
            return None
