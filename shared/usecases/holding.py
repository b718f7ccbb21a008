"""How a resource reaches its keys: by which identity, by which grants, and whether those may be taken away."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.courtesy import Reference
from shared.domain.identity import identities_in, principal_in
from shared.domain.keys import KeyId
from shared.domain.life import AccessLost
from shared.domain.order import Order
from shared.domain.plan import Facts, forbidden
from shared.domain.plan.hard_rules import forbidden_vault
from shared.domain.policy import Mode, Rule
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Json, KeyUse, fold
from shared.domain.revocation import Hold, Taking, keys_lost, takings
from shared.domain.service import May, Service
from shared.domain.vault import Vault
from shared.domain.work import RevokeAccess
from shared.errors import Refusal
from shared.usecases.above import read_top
from shared.usecases.context import Context
from shared.usecases.observe import read_uses, see
from shared.usecases.placing import rule_for, top_in


class Holdings(Struct, frozen=True):
    """What there is to take away. `top`: the body whose identity it is. `lost`: the resource's keys that are out of its
    reach then, those of other slots too where the same grant is for both. `barred`: why none of it is taken.

    `blocked`: what gives the same access, or may, and is beyond the app.
    """

    top: Json
    lost: tuple[KeyId, ...]
    holds: tuple[Hold, ...]
    takings: tuple[Taking, ...]
    blocked: tuple[Blocked, ...]
    barred: Blocked | None
    keeps_access_for: timedelta | None


async def holdings(context: Context, item: RevokeAccess) -> Holdings | None:
    """Return how a resource reaches its keys now; None: there is no such resource. Raises AppError."""
    service = context.service(item.address.type)
    if service is None:
        raise Refusal(Reason.UNSUPPORTED_TYPE, item.address.type)
    seen = await see(context, service, item.address)
    if seen is None:
        return None
    all_uses = read_uses(service, seen.body)
    uses = [use for use in all_uses if item.slot in {"", use.slot}]
    if not uses:
        if elsewhere := service.traits_of(seen.body).elsewhere:
            raise Refusal(elsewhere, "it names no key itself")
        raise Refusal(Reason.BAD_REQUEST, "it uses no key of yours there")
    top = seen.body
    if item.address.parent:  # a child has the identity of the resource at its top
        _, top = await read_top(context, item.address)
    blocked = [Blocked(Reason.CROSS_TENANT, use.slot) for use in uses if use.tenant_is_foreign]
    keys = tuple(dict.fromkeys(use.configured.key for use in uses if not use.tenant_is_foreign))
    holds: list[Hold] = []
    for host in dict.fromkeys(key.host for key in keys):
        vault = await _vault(context, host)
        if isinstance(vault, Blocked):
            blocked.append(vault)
        else:
            names = frozenset(key.name for key in keys if key.host == host)
            holds += await _held(context, top, vault, names, item.identity)
    found = [one for hold in holds for one in takings(hold)]
    steps = tuple(one for one in found if not isinstance(one, Blocked))
    blocked += [one for one in found if isinstance(one, Blocked)]
    if item.identity is None:
        blocked += [one for use in uses if (one := _beyond(service, seen.body, use))]
    barred = await _barred(context, service, item, seen.body, top, tuple(holds)) if steps else None
    kept = service.traits_of(seen.body).keeps_access_for
    lost = tuple(dict.fromkeys([*keys, *(use.configured.key for use in all_uses if _goes_too(use, holds))]))
    return Holdings(top, lost, tuple(holds), steps, tuple(blocked), barred, kept)


def _goes_too(use: KeyUse, holds: list[Hold]) -> bool:
    """Return whether a use of a key loses it with what is taken from these, whichever slot was meant."""
    key, by = use.configured.key, use.identity
    mine = [one for one in holds if one.vault.host == key.host and (by is None or fold(by) == fold(one.identity))]
    names = [keys_lost(one) for one in mine]
    return not use.tenant_is_foreign and any(lost is None or key.name in lost for lost in names)


def _beyond(service: Service, body: Json, use: KeyUse) -> Blocked | None:
    """Return who reaches a key besides the resource's own identities, or that nobody can tell; None: nobody does."""
    acts = service.traits_of(body, use.slot).acts
    if use.tenant_is_foreign or acts.above is not None:
        return None
    if acts.application:
        who = f"Azure's own application {acts.application} reaches it"
    elif acts.shown is not None:
        who = f"principal {acts.shown(body)}, of what the resource manages, reaches it"
    elif not acts.told(body):
        who = "it does not tell as whom it reaches it; that may be an application of Azure's own"
    else:
        return None
    return Blocked(Reason.GRANTED_ELSEWHERE, use.slot, f"{use.configured.key.url}: {who}")


async def _vault(context: Context, host: str) -> Vault | Blocked:
    if await context.ports.vaults.by_host(host) is None:
        return Blocked(Reason.MANAGED_HSM if ".managedhsm." in host else Reason.VAULT_NOT_KNOWN, detail=host)
    found = await context.ports.vaults.settings(host)
    return found or Blocked(Reason.VAULT_NOT_KNOWN, detail=f"{host} is not among the app's subscriptions")


async def _held(
    context: Context, top: Json, vault: Vault, keys: frozenset[str], wanted: str | None
) -> tuple[Hold, ...]:
    """Return the hold of the identity that is meant; without one named, of the only one that has any.

    What a resource says of the identity that reaches its key differs from service to service; what it can reach it by
    does not. Raises Refusal when several could be meant.
    """
    found: list[Hold] = []
    here = [one for one in identities_in(top) if wanted is None or fold(one) == fold(wanted)]
    if wanted is not None and not here:
        raise Refusal(Reason.BAD_REQUEST, f"the resource does not have the identity {wanted or 'system'}")
    for identity in here:
        principal = principal_in(top, identity)
        grants = await context.ports.grants.assigned(vault.id, principal) if vault.rbac and principal else ()
        hold = Hold(vault, keys, identity, principal, grants)
        if principal and (takings(hold) or wanted is not None):
            found.append(hold)
    if len(found) > 1:
        names = ", ".join(one.identity or "system" for one in found)
        raise Refusal(Reason.BAD_REQUEST, f"several of its identities may use keys in {vault.host}; name one: {names}")
    return tuple(found)


async def _barred(
    context: Context, service: Service, item: RevokeAccess, body: Json, top: Json, holds: tuple[Hold, ...]
) -> Blocked | None:
    """Return why nothing is taken away: what is never written, whoever wishes it, and what the policy says."""
    rule = await rule_for(context, item.address, body)
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    facts = Facts(service, item.address, body, (), {}, now, rule, own=context.own, managed_groups=managed)
    facts = replace(facts, owner=top_in(top).owner)
    if bar := forbidden(facts):
        return bar
    mine = await context.ports.myself.principals()
    for hold in holds:
        if bar := forbidden_vault(facts, hold.vault):
            return bar
        if hold.principal in mine:
            return Blocked(Reason.OWN_RESOURCE, detail=f"principal {hold.principal} is the app's own identity")
    return _not_allowed(rule, item.cause.order)


def _not_allowed(rule: Rule | None, order: Order) -> Blocked | None:
    if rule is None:
        return Blocked(Reason.OUTSIDE_POLICY, detail="it should lose its access to its keys")
    if rule.rotation is Mode.IGNORE:
        return Blocked(Reason.CONTRADICTS_RULE, detail=f"rule {rule.name!r} says ignore")
    if May.REVOKE not in rule.may:
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, detail=f"rule {rule.name!r} would have to say may: [revoke]")
    if rule.access_lost is AccessLost.RESTORE:
        return Blocked(Reason.CONTRADICTS_RULE, detail=f"rule {rule.name!r} says accessLost: restore")
    if rule.change is Reference.REQUIRED and not order.change:
        return Blocked(Reason.CHANGE_REFERENCE_MISSING, detail=f"rule {rule.name!r}")
    return None
