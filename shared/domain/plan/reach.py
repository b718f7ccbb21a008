"""Whether a resource still reaches the keys it uses, and what is done if not: told, or granted again if its rule says.

Access that was taken away may be a security decision, so by default it is only reported, before data is out of reach.
"""

from __future__ import annotations

from shared.domain.life import AccessLost
from shared.domain.plan.facts import Facts, Step
from shared.domain.plan.groundwork import granting
from shared.domain.plan.hard_rules import forbidden, forbidden_vault
from shared.domain.preparation import GrantAccess
from shared.domain.reached import Reach
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import KeyUse
from shared.domain.service import May
from shared.domain.vault import lacks


def unreached(facts: Facts) -> tuple[Step, ...]:
    """Return what is done about each use whose key the resource does not reach; () where all are reached, where that
    was not asked, or where nobody can tell.
    """
    if facts.wish is not None:
        return ()
    found = [step for use in facts.uses if (reach := facts.reach.get(use.slot)) for step in _lost(facts, use, reach)]
    # What is granted comes first. That access is lost is told as long as it is not granted, whatever holds that up.
    return tuple(dict.fromkeys(sorted(found, key=lambda step: isinstance(step, Blocked))))


def _lost(facts: Facts, use: KeyUse, reach: Reach) -> tuple[GrantAccess | Blocked, ...]:
    vault, key = reach.vault, use.configured.key
    if vault.closed:
        return (Blocked(Reason.VAULT_CLOSED, use.slot, vault.id),)
    if reach.gone:
        return (Blocked(Reason.ACCESS_LOST, use.slot, f"{reach.gone}, by which it reached its key in {vault.id}"),)
    access = facts.service.traits_of(facts.body, use.slot).access
    missing = {one.principal: lacks(vault, key.name, one.principal, one.grants, access) for one in reach.holders}
    if not missing or not all(missing.values()):
        return ()
    principal = next(iter(missing))
    detail = f"principal {principal} lacks {', '.join(missing[principal])} on {vault.id}"
    if bar := _not_restored(facts, reach):
        return (Blocked(Reason.ACCESS_LOST, use.slot, f"{detail}; {bar}"),)
    grant = granting(vault, principal, access)
    if isinstance(grant, Blocked):
        return Blocked(grant.reason, use.slot, grant.detail), Blocked(Reason.ACCESS_LOST, use.slot, detail)
    return grant, Blocked(Reason.ACCESS_LOST, use.slot, f"{detail}; to be granted again")


def _not_restored(facts: Facts, reach: Reach) -> str:
    """Return why the grant is not made again, in words; "" if it is."""
    rule = facts.rule
    if rule is None or rule.access_lost is not AccessLost.RESTORE or May.GRANT not in rule.may:
        return f"rule {rule.name!r} says report" if rule else "no rule is meant for the resource"
    bar = forbidden(facts) or forbidden_vault(facts, reach.vault)
    return f"it is not restored: {bar.reason.value}" if bar else ""
