"""Letting a resource's identity use the keys of a vault, in the way in which the vault decides it."""

from __future__ import annotations

from shared.domain.preparation import GrantAccess
from shared.usecases.context import Context


async def grant_access(context: Context, step: GrantAccess) -> None:
    """Assign the role, or add the permissions to the principal's access policy."""
    if step.role:
        await context.ports.grants.give(step)
    else:
        await context.ports.vault_changes.allow(step)
