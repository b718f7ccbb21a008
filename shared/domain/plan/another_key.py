"""Whether a resource reaches the key that a wish names, before it is told to use it: the old one is in use until then.

A service that may not use a key refuses it, or takes it and fails. What is known beforehand is told at once.
"""

from __future__ import annotations

from shared.domain.jsonpath import lookup, text
from shared.domain.keys import KeyId
from shared.domain.plan.facts import Facts
from shared.domain.plan.groundwork import apart, granting, unusable
from shared.domain.plan.hard_rules import forbidden_vault
from shared.domain.policy import Region
from shared.domain.preparation import GrantAccess
from shared.domain.reached import Reach
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Change, Edit
from shared.domain.service import May
from shared.domain.vault import Vault, lacks, perhaps_by_a_group, plain_location


def admitted(changes: tuple[Edit, ...], facts: Facts) -> tuple[GrantAccess, ...] | Blocked:
    """Return the grants to be made before the changes; () where none is needed or nobody can tell. Or what is in the
    way of them.
    """
    grants: dict[GrantAccess, None] = {}
    for change in changes:
        for key in _keys(change, facts):
            found = _admitted(facts, change.slot, key)
            if isinstance(found, Blocked):
                return found
            if found is not None:
                grants[found] = None
    return tuple(grants)


def _keys(change: Edit, facts: Facts) -> tuple[KeyId, ...]:
    """Return the keys that must be within reach for a change: on the way out by a temporary key also the one that it
    shall come back to.
    """
    wish = facts.wish
    if wish is None or not isinstance(change, Change):
        return ()
    out = wish.through is not None and change.to.key == wish.through.key and wish.key is not None
    return (change.to.key, wish.key.key) if out and wish.key is not None else (change.to.key,)


def _admitted(facts: Facts, slot: str, key: KeyId) -> GrantAccess | Blocked | None:
    reach = facts.wished.get((slot, key))
    if reach is None:
        return None
    if reach.gone:
        return Blocked(Reason.KEY_ACCESS_DENIED, slot, f"{reach.gone}; say by `identity` which one shall reach the key")
    traits = facts.service.traits_of(facts.body, slot)
    location = plain_location(text(lookup(facts.body, "location"))) or reach.vault.location
    if bar := unusable(reach.vault, traits, location):
        return Blocked(bar.reason, slot, bar.detail)
    here = any(use.slot == slot and use.configured.key.host == key.host for use in facts.uses)
    if not here and (bar := _unwelcome(facts, reach.vault, location)):
        return Blocked(bar.reason, slot, bar.detail)
    missing = {
        one.principal: lacks(reach.vault, key.name, one.principal, one.grants, traits.access) for one in reach.holders
    }
    if not missing or not all(missing.values()):
        return None
    principal = next(iter(missing))
    found = _own_grant(facts, slot, reach, principal, missing[principal])
    unsure = any(perhaps_by_a_group(reach.vault, one) for one in missing.values())
    return None if isinstance(found, Blocked) and unsure else found  # Azure's own answer decides


def _unwelcome(facts: Facts, vault: Vault, location: str) -> Blocked | None:
    """Return what keeps a resource from going to another vault: what holds for first keys holds here too."""
    tenant = text(lookup(facts.body, "identity", "tenantId")).lower()
    if tenant and vault.tenant and tenant != vault.tenant:
        return Blocked(Reason.CROSS_TENANT, detail=f"the vault is in tenant {vault.tenant}")
    where = apart(vault, location)
    if where and facts.rule is not None and facts.rule.same_region is Region.REQUIRE:
        return Blocked(Reason.OTHER_REGION, detail=where)
    return None if vault.recoverable and vault.protected else Blocked(Reason.VAULT_NOT_PROTECTED, detail=vault.id)


def _own_grant(
    facts: Facts, slot: str, reach: Reach, principal: str, missing: tuple[str, ...]
) -> GrantAccess | Blocked:
    """Return what the principal is granted itself, or why it is not."""
    lacking = f"principal {principal} lacks {', '.join(missing)} on {reach.vault.id}"
    if facts.rule is None or May.GRANT not in facts.rule.may:
        detail = f"{lacking}; the rule would have to say may: [grant]"
        return Blocked(Reason.KEY_ACCESS_DENIED, slot, detail)
    if bar := forbidden_vault(facts, reach.vault):
        return bar
    found = granting(reach.vault, principal, facts.service.traits_of(facts.body, slot).access)
    return Blocked(found.reason, slot, found.detail) if isinstance(found, Blocked) else found
