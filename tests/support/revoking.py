"""Asking for a revocation in a test, and what must be so when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.domain.report import Report
from shared.domain.work import Cause, Source
from shared.usecases.forms import RevokeWish
from shared.usecases.wishes import put_or_plan, revoke_item
from tests.support.azure import ENCRYPTION_USER, Azure, account, group, principal_of
from tests.support.enforcing import UAI, assigned, user_assigned
from tests.support.policies import PolicyFile

RULE = "  - name: all\n    rotation: fix\n    may: [revoke]\n"
ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
UAI_PRINCIPAL = str(user_assigned()["properties"]["principalId"])


def allowed(folder: Path, rules: str = RULE) -> dict[str, str]:
    """Write a policy that lets grants be taken away and return the setting that names it."""
    return PolicyFile(folder, rules).environ


def shared(name: str, **more: Any) -> dict[str, Any]:
    """Return an account that reaches its key by the user-assigned identity."""
    return {**account(name, **more), "identity": assigned(UAI)}


def granted(scope: str, principal: str, role: str = ENCRYPTION_USER) -> dict[str, Any]:
    """Return a line of an estate's role assignments."""
    return {"scope": scope, "principalId": principal, "roleDefinitionId": role}


def entry(principal: str, **permissions: list[str]) -> dict[str, Any]:
    """Return an access policy."""
    return {"objectId": principal, "tenantId": "22222222-2222-2222-2222-222222222222", "permissions": permissions}


def scopes_of(azure: Azure, principal: str) -> list[str]:
    """Return where a principal still holds a role."""
    return sorted(
        str(one["id"]).partition(f"/providers/{ASSIGNMENTS}")[0].removeprefix(group())
        for one in azure.world.resources.of_type(ASSIGNMENTS)
        if str(one["properties"]["principalId"]) == principal
    )


async def wished(azure: Azure, one: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Ask as POST revoke does; confirmed unless told otherwise."""
    wish = RevokeWish(str(one["id"]), **{"confirm": str(one["name"]), **more})
    item = revoke_item(wish, Cause("cause-1", Source.HTTP), azure.time.now())
    return await put_or_plan(azure.app.context, item, dry_run=wish.dry_run)


async def revoked(azure: Azure, one: dict[str, Any], **more: Any) -> Report:
    """Ask, work until the queue has nothing visible, and return the last report."""
    await wished(azure, one, **more)
    return (await azure.drain())[-1]


def own(name: str) -> str:
    """Return the principal of an account's system-assigned identity."""
    return principal_of(name)
