"""The steps of enforcement: one performer for each, and each the same when it is done twice."""

from __future__ import annotations

from shared.domain.plan import Facts
from shared.domain.preparation import (
    AssignIdentity,
    CreateKey,
    CreateVault,
    GrantAccess,
    HardenVault,
    Preparation,
    RecoverKey,
)
from shared.domain.providers import RegisterProvider
from shared.ports import Reply
from shared.usecases.context import Context
from shared.usecases.steps.assign_identity import assign_identity
from shared.usecases.steps.create_key import create_key
from shared.usecases.steps.create_vault import create_vault
from shared.usecases.steps.grant_access import grant_access
from shared.usecases.steps.harden_vault import harden_vault
from shared.usecases.steps.recover import recover_key, recover_vault
from shared.usecases.steps.register_provider import register_provider


async def perform(context: Context, facts: Facts, step: Preparation) -> Reply | None:
    """Take one step. Returns Azure's answer where it may still be at it. Raises AppError."""
    match step:
        case AssignIdentity():
            return await assign_identity(context, facts, step)
        case RegisterProvider():
            await register_provider(context, step)
        case GrantAccess():
            await grant_access(context, step)
        case CreateKey():
            await create_key(context, step)
        case RecoverKey():
            await recover_key(context, step)
        case CreateVault():
            await create_vault(context, step)
        case HardenVault():
            await harden_vault(context, step)
        case _:
            await recover_vault(context, step)
    return None
