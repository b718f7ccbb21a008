"""What a first key stands on, piece by piece: the vault, the key, the identity, its access. Each is there, or takes a
step, or is in the way.
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.keys import WRAP_AND_UNWRAP, KeyHistory, KeyRef
from shared.domain.plan.facts import Facts, Ground
from shared.domain.policy import Origin, Region, Rule
from shared.domain.preparation import AssignIdentity, CreateKey, GrantAccess, HardenVault, RecoverKey
from shared.domain.reasons import Blocked, Reason
from shared.domain.service import May, Traits
from shared.domain.vault import MOST_POLICIES, Access, Vault, covers, lacks

_HARDENING = frozenset({May.HARDEN, May.IRREVERSIBLE})


def unfit(facts: Facts, rule: Rule, ground: Ground) -> Blocked | None:
    """Return why this resource cannot use keys of this vault, or not by this identity, whatever is done."""
    vault, traits = ground.vault, facts.service.traits_of(facts.body)
    if ground.tenant and vault.tenant and ground.tenant != vault.tenant:
        return Blocked(Reason.CROSS_TENANT, detail=f"the vault is in tenant {vault.tenant}")
    where = apart(vault, ground.location)
    if bar := unusable(vault, traits, ground.location):
        return bar
    return Blocked(Reason.OTHER_REGION, detail=where) if where and rule.same_region is Region.REQUIRE else None


def unusable(vault: Vault, traits: Traits, location: str) -> Blocked | None:
    """Return why a service takes no key of a vault, whoever may use it. `location`: the resource's; "": nobody says."""
    if traits.same_region and (where := apart(vault, location)):
        return Blocked(Reason.SAME_REGION_ONLY, detail=where)
    if vault.rbac and not traits.acts.by_roles:
        return Blocked(Reason.VAULT_WITHOUT_POLICIES, detail=vault.id)
    if vault.closed or (vault.shut and traits.acts.trusted is False):
        why = "and bypass None" if vault.closed else "which this service never gets through"
        return Blocked(Reason.VAULT_CLOSED, detail=f"{vault.id}: {vault.shut}, {why}")
    return None


def remarks(facts: Facts, ground: Ground) -> str:
    """Return what people should know of a first key on this ground all the same."""
    vault, trusted = ground.vault, facts.service.traits_of(facts.body).acts.trusted
    shut = f"{vault.id}: {vault.shut}, and no source says that this service gets through" if vault.shut else ""
    unsure = shut if trusted is None or vault.perimeter else ""
    return "; ".join(filter(None, (apart(vault, ground.location), unsure, ground.remark)))


def weaker(history: KeyHistory, target: KeyRef, rule: Rule, traits: Traits) -> str:
    """Return what a key that is there already lacks of what the rule would have made it like: it stays as it is."""
    like, version = rule.create_key, history.find(target.version or "")
    if like is None or version is None or version.material is None:
        return ""
    if (like.type, like.size) not in traits.accepts.types:
        return ""  # the service takes no such key
    kty, bits = version.material.kty, version.material.bits
    less = bits < like.size or (like.type.endswith("-HSM") and not kty.endswith("-HSM"))
    told = f"{history.key.url} was there and is {kty} {bits}; the rule's createKey says {like.type} {like.size}"
    return told if less else ""


def apart(vault: Vault, here: str) -> str:
    """Return where the vault and the resource are if that is not the same region."""
    return "" if here == vault.location else f"the vault is in {vault.location}, the resource in {here}"


def hardened(rule: Rule, vault: Vault) -> HardenVault | Blocked | None:
    """Return what protects the vault, if it is not."""
    if vault.recoverable and vault.protected:
        return None
    if rule.may >= _HARDENING:
        return HardenVault(vault.id)
    return Blocked(Reason.VAULT_NOT_PROTECTED, detail=f"the rule would have to say {_may(rule, *_HARDENING)}")


def absent_key(facts: Facts, rule: Rule, ground: Ground) -> CreateKey | RecoverKey | Blocked:
    """Return how the key comes about that is not there, or why it does not."""
    if ground.deleted:
        if May.RECOVER in rule.may:
            return RecoverKey(ground.vault.id, ground.key)
        return Blocked(
            Reason.KEY_DELETED, detail=f"{ground.key.url}; the rule would have to say {_may(rule, May.RECOVER)}"
        )
    return _made(facts, rule, ground)


def _made(facts: Facts, rule: Rule, ground: Ground) -> CreateKey | Blocked:
    like = rule.create_key
    if rule.origin is Origin.IMPORTED:
        return Blocked(Reason.KEY_NOT_FOUND, detail=f"{ground.key.url} is to be imported")
    if like is None or May.CREATE_KEY not in rule.may:
        needed = "createKey" if like is None else _may(rule, May.CREATE_KEY)
        return Blocked(Reason.KEY_NOT_FOUND, detail=f"{ground.key.url}; the rule would have to say {needed}")
    if (like.type, like.size) not in facts.service.traits_of(facts.body).accepts.types:
        return Blocked(Reason.KEY_TYPE_NOT_ACCEPTED, detail=f"createKey: {like.type} {like.size}")
    if like.type.endswith("-HSM") and not ground.vault.premium:
        return Blocked(Reason.KEY_TYPE_NOT_ACCEPTED, detail="a standard vault holds no keys in hardware")
    if like.not_before is not None and like.not_before > facts.now:
        return Blocked(Reason.NO_USABLE_VERSION, detail=f"createKey: valid from {like.not_before.isoformat()}")
    accepts = facts.service.traits_of(facts.body).accepts
    return CreateKey(ground.vault.id, ground.key, like, tuple(sorted(WRAP_AND_UNWRAP | accepts.operations)))


def assigned(facts: Facts, ground: Ground) -> AssignIdentity | Blocked | None:
    """Return how the resource gets the identity, if it has not, or why it does not."""
    if ground.attached:
        return None
    if not facts.service.traits_of(facts.body).acts.assigned:
        who = ground.identity or "a system-assigned identity"
        return Blocked(
            Reason.IDENTITY_NOT_TAKEN, detail=f"the service takes {who} by no small change: assign it by hand"
        )
    if ground.above is None:
        return AssignIdentity(ground.identity or "")
    if ground.above.bar:
        return Blocked(
            Reason.OUTSIDE_POLICY, detail=f"{ground.above.address.url} needs an identity: {ground.above.bar}"
        )
    return AssignIdentity("", ground.above.address.url)


def access(facts: Facts, rule: Rule, ground: Ground) -> GrantAccess | Blocked | None:
    """Return how the identity gets to use the key, if it may not, or why it does not."""
    vault, needed = ground.vault, facts.service.traits_of(facts.body).access
    missing = lacks(vault, ground.key.name, ground.principal, ground.grants, needed)
    if ground.principal and not missing:
        return None
    who = f"principal {ground.principal}" if ground.principal else "the identity it gets"
    if May.GRANT not in rule.may:
        detail = f"{_may(rule, May.GRANT)}; {who} lacks {', '.join(missing or needed.permissions)} on {vault.id}"
        return Blocked(Reason.NOT_ALLOWED_BY_RULE, detail=detail)
    return granting(vault, ground.principal, needed)


def granting(vault: Vault, principal: str, needed: Access) -> GrantAccess | Blocked:
    """Return the grant that lets a principal use the keys of a vault, or why there is no room for it."""
    known = any(one.principal == principal and not one.application for one in vault.policies)
    if not vault.rbac and not known and len(vault.policies) >= MOST_POLICIES:
        return Blocked(Reason.QUOTA, detail=f"{vault.id} has {len(vault.policies)} access policies")
    role, permissions = (needed.role, ()) if vault.rbac else ("", needed.permissions)
    return GrantAccess(vault.id, principal, vault.tenant, role, permissions)


def granted_at(facts: Facts) -> datetime | None:
    """Return since when the identity may use the key that the resource shall begin with, or that a wish names, as far
    as roles tell.
    """
    ground, here = facts.ground, []
    if isinstance(ground, Ground):
        here = [one.since for one in ground.grants if covers(one, ground.vault, ground.key.name)]
    for (_, key), reach in facts.wished.items():
        held = (one for holder in reach.holders for one in holder.grants)
        here += [one.since for one in held if covers(one, reach.vault, key.name)]
    return max((since for since in here if since is not None), default=None)


def _may(rule: Rule, *needed: May) -> str:
    return f"may: [{', '.join(sorted(one.value for one in frozenset(needed) - rule.may))}]"
