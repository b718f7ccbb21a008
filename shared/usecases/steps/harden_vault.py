"""Protecting a vault, without which services refuse its keys."""

from __future__ import annotations

from shared.domain.preparation import HardenVault
from shared.usecases.context import Context


async def harden_vault(context: Context, step: HardenVault) -> None:
    """Turn on soft delete and purge protection, for good."""
    await context.ports.vault_changes.harden(step)
