"""Making the vault that a rule names."""

from __future__ import annotations

from shared.domain.preparation import CreateVault
from shared.usecases.context import Context


async def create_vault(context: Context, step: CreateVault) -> None:
    """Make the vault, protected from its first moment on."""
    await context.ports.vault_changes.create(step)
