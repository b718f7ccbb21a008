"""What is never written, whatever anybody wishes."""

from __future__ import annotations

from shared.domain.jsonpath import lookup
from shared.domain.patience import PATIENCE, wait_or_give_up
from shared.domain.plan.facts import Facts
from shared.domain.plan.groundwork import granted_at
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.service import Settled
from shared.domain.vault import Vault


def forbidden(facts: Facts) -> Blocked | None:
    """Return why this resource must not be written, or None.

    Azure's other owners come first: a resource that another one manages is changed through its owner, so a write here
    would be undone or would break the owner.
    """
    address = facts.address
    arm = address.arm
    owner = lookup(facts.body, "managedBy") or facts.owner
    if owner or address.group_id in facts.managed_groups:
        return Blocked(Reason.MANAGED_BY_AZURE, detail=f"owner: {owner}" if owner else "its resource group is managed")
    if address.group_id in facts.own.resource_groups:
        return Blocked(Reason.OWN_RESOURCE, detail="it lies in the app's own resource group")
    if arm.type.lower().startswith("microsoft.storage/") and arm.names[0].lower() in facts.own.storage_accounts:
        return Blocked(Reason.OWN_RESOURCE, detail="it is the app's own storage account")
    return None


def unsettled(facts: Facts) -> Wait | Blocked | None:
    """Return why the resource cannot take a change now, or None."""
    settled = facts.service.settled(facts.body)
    if settled is Settled.FAILED and not _failed_for_the_grant(facts):
        return Blocked(Reason.PROVISIONING_FAILED)
    if settled is Settled.BUSY:
        return wait_or_give_up(Blocked(Reason.PROVISIONING), waited=facts.waited, now=facts.now)
    return None


def _failed_for_the_grant(facts: Facts) -> bool:
    """Return whether the resource failed because our own change found no access to the key, and the grant is waited
    for: such a failure ends with the next change, and with nothing else. Who waited may be forgotten (the app died, a
    window closed meanwhile); the grant's own age is not.
    """
    if facts.waited is not None and facts.waited.reason is Reason.KEY_ACCESS_DENIED:
        return True
    since = granted_at(facts)
    return since is not None and facts.now - since <= PATIENCE[Reason.KEY_ACCESS_DENIED].give_up


def forbidden_vault(facts: Facts, vault: Vault) -> Blocked | None:
    """Return why this vault must not be written, or None: what the app stands on stays as it is."""
    if vault.group_id in facts.own.resource_groups:
        return Blocked(Reason.OWN_RESOURCE, detail=f"{vault.id} lies in the app's own resource group")
    managed = vault.group_id in facts.managed_groups
    return Blocked(Reason.MANAGED_BY_AZURE, detail=f"the resource group of {vault.id} is managed") if managed else None
