"""Taking away the access that an identity has on keys: what is taken, who loses it, and what is beyond the app."""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec import Struct

from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import fold
from shared.domain.vault import Grant, Vault, covers

# Data actions that keep data readable or make it unreadable to others. Who may only read a key's public half keeps it.
_USING = tuple(f"microsoft.keyvault/vaults/keys/{verb}/action" for verb in ("unwrap", "wrap", "decrypt", "encrypt"))
_AMONG_KEYS = ("microsoft.keyvault/vaults/keys/", "microsoft.keyvault/vaults/keyrotationpolicies/")


class TakeRole(Struct, frozen=True, tag=True):
    """Delete a role assignment at a vault or at a key. The rest says what it was, so that it can be given again."""

    assignment: str  # its id
    scope: str
    principal: str
    role: str  # the id of its definition

    @property
    def undo(self) -> str:
        """Return how it is given again."""
        return f"assign role {self.role.rpartition('/')[2]} at {self.scope} to principal {self.principal}"


class TakePermissions(Struct, frozen=True, tag=True):
    """Take the key permissions out of a principal's access policy; what it says of secrets and the rest stays."""

    vault: str
    principal: str
    tenant: str
    permissions: tuple[str, ...]  # as they are written: what is written otherwise would stay

    @property
    def undo(self) -> str:
        """Return how they are given again."""
        return f"add key permissions {', '.join(self.permissions)} for principal {self.principal} on {self.vault}"


Taking = TakeRole | TakePermissions


class Hold(Struct, frozen=True):
    """How an identity of a resource (`identity`: its id, "" the system-assigned one) reaches its keys in one vault."""

    vault: Vault
    keys: frozenset[str]  # the names of those that the resource uses there
    identity: str
    principal: str
    grants: tuple[Grant, ...] = ()


class Other(Struct, frozen=True, omit_defaults=True):
    """Another resource with the same identity, and which keys it uses there; none: it cannot be told. `restored_by`:
    the rule that would give it, and so the identity, the access back.
    """

    resource: str
    keys: tuple[str, ...] = ()
    restored_by: str = ""


class Announced(Struct, frozen=True, tag="announced"):
    """What is about to be taken away, and who loses by it: told before the first of it goes, since who takes it may die
    before that is told.
    """

    takings: tuple[Taking, ...]
    also: tuple[Other, ...] = ()


class Revoked(Struct, frozen=True, tag="revoked"):
    """None of what gave the resource's identity access at its vaults is left, as Azure was read afterwards. What the
    service still has in memory is not known. `principals`: whom it was taken from just now; none, when it was gone.
    """

    principals: tuple[str, ...] = ()
    also: tuple[Other, ...] = ()


def takings(hold: Hold) -> tuple[Taking | Blocked, ...]:
    """Return what is to be taken so that the identity cannot use the keys, and what is left that gives it the same."""
    vault = hold.vault
    if vault.rbac:
        mine = [one for one in hold.grants if any(covers(one, vault, key) for key in hold.keys) and _lets_use(one)]
        return tuple(_taking(one, hold) for one in mine)
    entries = [one for one in vault.policies if one.principal == hold.principal.lower() and not one.application]
    written = tuple(dict.fromkeys(name for one in entries for name in one.written))
    return (TakePermissions(vault.id, hold.principal, vault.tenant, written),) if written else ()


def place_taken(step: Taking) -> str:
    """Return the id of what a step changes."""
    return step.assignment if isinstance(step, TakeRole) else step.vault


def keys_lost(hold: Hold) -> frozenset[str] | None:
    """Return the names of the keys that nobody reaches by this identity any more; None: all of the vault."""
    taken = takings(hold)
    scopes = {fold(one.scope) for one in taken if isinstance(one, TakeRole)}
    if any(isinstance(one, TakePermissions) for one in taken) or fold(hold.vault.id) in scopes:
        return None
    return frozenset(scope.rpartition("/")[2] for scope in scopes)


def told_besides(hold: Hold) -> tuple[str, ...]:
    """Return what the assignments that are taken allow besides keys, in words."""
    taken = {one.assignment for one in takings(hold) if isinstance(one, TakeRole)}
    return tuple(
        f"{one.id} also allows {', '.join(wide)}"
        for one in hold.grants
        if one.id in taken and (wide := [action for action in one.actions if not action.startswith(_AMONG_KEYS)])
    )


def _lets_use(grant: Grant) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in grant.actions)
        and not any(fnmatchcase(action, pattern) for pattern in grant.not_actions)
        for action in _USING
    )


def _taking(grant: Grant, hold: Hold) -> Taking | Blocked:
    scope, whole = fold(grant.scope), fold(hold.vault.id)
    role = grant.role.rpartition("/")[2]
    if scope != whole and not scope.startswith(f"{whole}/"):
        where = grant.scope or "the root of the tenant"
        return Blocked(Reason.GRANTED_ELSEWHERE, detail=f"role {role} is granted at {where}; revoke it there")
    if grant.principal != hold.principal.lower():
        detail = f"role {role} is granted to the group {grant.principal} at {grant.scope}; take the identity out of it"
        return Blocked(Reason.GRANTED_ELSEWHERE, detail=detail)
    return TakeRole(grant.id, grant.scope, grant.principal, grant.role)
