"""Reading what a first key would stand on: the vault that the rule names, the identity, and what it may do there."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.identity import other_identities, principal_in, tenant_in
from shared.domain.jsonpath import lookup
from shared.domain.key_template import key_of
from shared.domain.keys import KeyId
from shared.domain.plan import Above, Facts, Ground
from shared.domain.policy import SYSTEM, Mode, Rule
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Address, Json
from shared.domain.vault import Vault, plain_location
from shared.errors import Refusal
from shared.ports import Principal
from shared.usecases.above import read_top
from shared.usecases.context import Context
from shared.usecases.founding import Founded, founded
from shared.usecases.placing import rule_for, site_of, tags_in
from shared.usecases.registered import providers_for


class _Who(Struct, frozen=True):
    """Who would reach the key: as which identity, and whether the resource has it."""

    identity: str | None
    principal: Principal
    attached: bool


async def survey(context: Context, facts: Facts, rule: Rule) -> Ground | Blocked:
    """Return the ground, or why there is none. Raises TryLater."""
    try:
        return await _survey(context, facts, rule)
    except Refusal as refusal:
        return Blocked(refusal.reason, detail=refusal.detail)


async def _survey(context: Context, facts: Facts, rule: Rule) -> Ground | Blocked:
    above = await _above(context, facts)
    top = facts.body if above is None else above.body
    key = key_of(rule.key, site_of(facts.address, top))
    if isinstance(key, Blocked):
        return key
    who = await _who(context, facts, rule, above)
    if isinstance(who, Blocked):
        return who
    location = plain_location(str(lookup(top, "location") or ""))
    found = await _vault(context, facts.address, rule, key, location)
    if isinstance(found, Blocked):
        return found
    vault = found.vault
    providers = await providers_for(context, rule, facts.address, vault.id)
    if isinstance(providers, Blocked):
        return providers
    held = who.principal.id and vault.rbac and found.step is None
    grants = await context.ports.grants.held(vault.id, who.principal.id) if held else ()
    return Ground(
        key,
        vault,
        who.identity,
        who.principal.id,
        who.attached,
        who.principal.tenant,
        grants,
        location,
        found.step,
        above=above,
        remark=providers.remark,
        missing=providers.missing,
        registering=providers.going,
    )


async def _above(context: Context, facts: Facts) -> Above | None:
    """Return the resource whose identity counts, where it is not this one's own."""
    if facts.service.traits_of(facts.body).acts.above is None:
        return None
    address = facts.address.top
    service, body = await read_top(context, facts.address)
    rule = await rule_for(context, address, body)
    return Above(address, body, service.api_version, _bar(body, rule), rule, tags_in(body))


def _bar(body: Json, rule: Rule | None) -> str:
    """Return why a resource gets no identity for what lies below it, "" when it may: nothing outside the policy is ever
    written.
    """
    if owner := lookup(body, "managedBy"):
        return f"it belongs to {owner}"
    if rule is None:
        return "no rule is meant for it"
    return "" if rule.encryption is Mode.FIX else f"rule {rule.name!r} does not say encryption: fix"


async def _vault(context: Context, address: Address, rule: Rule, key: KeyId, location: str) -> Founded | Blocked:
    if ".managedhsm." in key.host:
        return Blocked(Reason.MANAGED_HSM, detail=key.host)
    vaults = context.ports.vaults
    known = await vaults.by_host(key.host)
    vault: Vault | None = await vaults.settings(key.host) if known is not None else None
    if vault is not None:
        return Founded(vault)
    if rule.create_vault is not None:
        return await founded(context, rule, rule.create_vault, address, key.host, location)
    unseen = key.host if known is None else f"{key.host} is not among the app's subscriptions"
    return Blocked(Reason.VAULT_NOT_KNOWN, detail=unseen)


async def _who(context: Context, facts: Facts, rule: Rule, above: Above | None) -> _Who | Blocked:
    acts = facts.service.traits_of(facts.body).acts
    if acts.application:
        object_id = context.first_party.get(acts.application, "")
        if not object_id:
            return Blocked(Reason.FIRST_PARTY_UNKNOWN, detail=f"application {acts.application}")
        return _Who(None, Principal(object_id), attached=True)
    if above is not None and acts.above is not None:
        identity = acts.above(above.body)
        principal = await _principal(context, above.body, identity)
        if principal is None:
            return Blocked(Reason.IDENTITY_NOT_FOUND, detail=identity)
        return _Who(None, principal, attached=bool(principal_in(above.body, identity)))
    return await _by_rule(context, facts, rule)


async def _by_rule(context: Context, facts: Facts, rule: Rule) -> _Who | Blocked:
    acts = facts.service.traits_of(facts.body).acts
    identity = "" if rule.identity == SYSTEM else rule.identity
    if not (acts.user if identity else acts.system):
        kind = "user-assigned" if identity else "system-assigned"
        return Blocked(Reason.IDENTITY_NOT_TAKEN, detail=f"the service reaches no key by a {kind} identity")
    if not acts.named and (others := other_identities(facts.body, identity)):
        return Blocked(Reason.IDENTITY_NOT_TAKEN, detail=f"it acts by the one identity that it has, and has {others}")
    principal = await _principal(context, facts.body, identity)
    if principal is None:
        return Blocked(Reason.IDENTITY_NOT_FOUND, detail=identity)
    return _Who(identity, principal, attached=bool(principal_in(facts.body, identity)))


async def _principal(context: Context, body: Json, identity: str) -> Principal | None:
    """Return whom the resource would act as; without an id while it lacks a system-assigned identity."""
    here = principal_in(body, identity)
    if here or not identity:
        return Principal(here, tenant_in(body) if here else "")
    return await context.ports.grants.principal(identity)
