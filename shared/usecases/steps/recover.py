"""Taking back what was deleted and holds a name."""

from __future__ import annotations

from shared.domain.preparation import RecoverKey, RecoverVault
from shared.usecases.context import Context


async def recover_vault(context: Context, step: RecoverVault) -> None:
    """Take the vault back as it was, with its keys."""
    await context.ports.vault_changes.recover(step)


async def recover_key(context: Context, step: RecoverKey) -> None:
    """Take the key back as it was, with its versions."""
    await context.ports.keys.recover(step.key)
