"""Making the key that a rule names."""

from __future__ import annotations

from shared.domain.preparation import CreateKey
from shared.usecases.context import Context


async def create_key(context: Context, step: CreateKey) -> None:
    """Make the key's first version and its rotation policy, in one request."""
    await context.ports.vault_changes.create_key(step)
