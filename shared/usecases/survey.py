"""Reading what a first key would stand on: the vault that the rule names, the identity, and what it may do there."""

from __future__ import annotations

from shared.domain.identity import principal_in, tenant_in
from shared.domain.key_template import key_of
from shared.domain.plan import Ground
from shared.domain.policy import SYSTEM, Rule, Site
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Json
from shared.domain.vault import Vault
from shared.errors import Refusal
from shared.ports import Principal
from shared.usecases.context import Context


async def survey(context: Context, body: Json, rule: Rule, site: Site) -> Ground | Blocked:
    """Return the ground, or why there is none. Raises TryLater."""
    key = key_of(rule.key, site)
    if isinstance(key, Blocked):
        return key
    try:
        vault = await _vault(context, key.host)
        identity = "" if rule.identity == SYSTEM else rule.identity
        if isinstance(vault, Blocked):
            return vault
        who = await _principal(context, body, identity)
        if who is None:
            return Blocked(Reason.IDENTITY_NOT_FOUND, detail=identity)
        grants = await context.ports.grants.held(vault.id, who.id) if who.id and vault.rbac else ()
    except Refusal as refusal:
        return Blocked(refusal.reason, detail=refusal.detail)
    attached = bool(principal_in(body, identity))
    return Ground(key, vault, identity, who.id, attached, who.tenant, grants)


async def _vault(context: Context, host: str) -> Vault | Blocked:
    if await context.ports.vaults.by_host(host) is None:
        return Blocked(Reason.MANAGED_HSM if ".managedhsm." in host else Reason.VAULT_NOT_KNOWN, detail=host)
    found = await context.ports.vaults.settings(host)
    return found or Blocked(Reason.VAULT_NOT_KNOWN, detail=f"{host} is not among the app's subscriptions")


async def _principal(context: Context, body: Json, identity: str) -> Principal | None:
    """Return whom the resource would act as; without an id while it lacks a system-assigned identity."""
    here = principal_in(body, identity)
    if here or not identity:
        return Principal(here, tenant_in(body) if here else "")
    return await context.ports.grants.principal(identity)
