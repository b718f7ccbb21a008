"""Taking a grant away, in the way in which the vault decides who may use its keys."""

from __future__ import annotations

from shared.domain.revocation import TakeRole, Taking
from shared.usecases.context import Context


async def revoke_access(context: Context, step: Taking) -> None:
    """Delete the role assignment, or take the key permissions out of the principal's access policy."""
    if isinstance(step, TakeRole):
        await context.ports.grants.take_away(step)
    else:
        await context.ports.vault_changes.disallow(step)
