"""The steps of enforcement: one performer for each, and each the same when it is done twice."""

from __future__ import annotations

from shared.domain.plan import Facts
from shared.domain.preparation import AssignIdentity, CreateKey, GrantAccess, Preparation
from shared.ports import Reply
from shared.usecases.context import Context
from shared.usecases.steps.assign_identity import assign_identity
from shared.usecases.steps.create_key import create_key
from shared.usecases.steps.grant_access import grant_access
from shared.usecases.steps.harden_vault import harden_vault


async def perform(context: Context, facts: Facts, step: Preparation) -> Reply | None:
    """Take one step. Returns Azure's answer where it may still be at it. Raises AppError."""
    if isinstance(step, AssignIdentity):
        return await assign_identity(context, facts, step)
    if isinstance(step, GrantAccess):
        await grant_access(context, step)
    elif isinstance(step, CreateKey):
        await create_key(context, step)
    else:
        await harden_vault(context, step)
    return None
