"""Vaults as Azure Resource Manager describes them, and who may use the keys in one."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from msgspec import Struct

from shared.domain.jsonpath import lookup, text
from shared.domain.resource import Json, fold

PERIMETER = "SecuredByPerimeter"  # its rules override the vault's own [learn private-link/network-security-perimeter]
MOST_POLICIES = 1024  # access policies of one vault [learn key-vault/general/assign-access-policy]
_DATA = "microsoft.keyvault/vaults/keys/"
# Key permissions of access policies that are called otherwise among the data actions of roles
# [learn role-based-access-control/permissions/security, Microsoft.KeyVault].
_ACTIONS = {"get": "read", "list": "read", "wrapkey": "wrap/action", "unwrapkey": "unwrap/action"}


class Access(Struct, frozen=True):
    """What a service's identity needs of a vault: a built-in role where roles decide, key permissions where access
    policies do.
    """

    role: str  # the id of its definition
    permissions: tuple[str, ...]
    by_role: tuple[str, ...] = ()  # of these, what is needed where roles decide; (): all


# [learn role-based-access-control/built-in-roles/security]
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
ROLES = {ENCRYPTION_USER: "Key Vault Crypto Service Encryption User", CRYPTO_USER: "Key Vault Crypto User"}
WRAPPING = Access(ENCRYPTION_USER, ("get", "wrapKey", "unwrapKey"))


class Policy(Struct, frozen=True):
    """One access policy: what one principal may do with keys; folded."""

    principal: str
    permissions: frozenset[str]
    application: str = ""  # set: it counts only for that application on behalf of the principal
    written: tuple[str, ...] = ()  # the permissions, each as it is written


class Grant(Struct, frozen=True):
    """A role that a principal holds: where, what it allows with data (folded patterns), and since when.

    `id`, `role` and `principal` are those of the assignment; the principal may be a group. `conditional`: what it
    allows cannot be told.
    """

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    since: datetime | None = None
    id: str = ""
    role: str = ""
    principal: str = ""
    conditional: bool = False


class Vault(Struct, frozen=True):
    """A vault's settings as far as a service that is to use its keys depends on them."""

    id: str
    host: str
    location: str
    tenant: str
    rbac: bool
    recoverable: bool  # deleted keys come back: soft delete
    protected: bool  # and nobody can purge them before their time: purge protection
    shut: str = ""  # what keeps callers from outside away: "defaultAction Deny", "publicNetworkAccess Disabled"
    closed: bool = False  # even to trusted services
    perimeter: bool = False  # a network security perimeter decides instead; what that lets in is not read
    premium: bool = False  # it makes keys in hardware
    policies: tuple[Policy, ...] = ()

    @property
    def group_id(self) -> str:
        """Return the id of its resource group, folded."""
        return "/".join(fold(self.id).split("/")[:5])


def vault_of(body: Json) -> Vault:
    """Read a vault's body. Soft delete is on unless it says off; an absent bypass lets trusted services through
    [azure-mgmt-keyvault 14.1.0, VaultProperties and NetworkRuleSet].
    """
    properties = lookup(body, "properties")
    rules = lookup(properties, "networkAcls")
    shut = "defaultAction Deny" if text(lookup(rules, "defaultAction")).lower() == "deny" else ""
    public = text(lookup(properties, "publicNetworkAccess")).lower()
    if public == "disabled":
        shut = "publicNetworkAccess Disabled"
    if public == PERIMETER.lower():
        shut = f"publicNetworkAccess {PERIMETER}"
    policies = lookup(properties, "accessPolicies")
    return Vault(
        id=text(lookup(body, "id")).rstrip("/"),
        host=(urlsplit(text(lookup(properties, "vaultUri"))).hostname or "").lower(),
        location=plain_location(text(lookup(body, "location"))),
        tenant=text(lookup(properties, "tenantId")).lower(),
        rbac=lookup(properties, "enableRbacAuthorization") is True,
        recoverable=lookup(properties, "enableSoftDelete") is not False,
        protected=lookup(properties, "enablePurgeProtection") is True,
        shut=shut,
        closed=bool(shut) and public != PERIMETER.lower() and text(lookup(rules, "bypass")).lower() == "none",
        perimeter=public == PERIMETER.lower(),
        premium=text(lookup(properties, "sku", "name")).lower() == "premium",
        policies=tuple(_policy(one) for one in policies) if isinstance(policies, list) else (),
    )


def plain_location(written: str) -> str:
    """Return a location as its name: Azure also writes `West Europe`."""
    return written.replace(" ", "").lower()


def _policy(body: Json) -> Policy:
    granted = lookup(body, "permissions", "keys")
    written = tuple(str(one) for one in granted) if isinstance(granted, list) else ()
    return Policy(
        text(lookup(body, "objectId")).lower(),
        frozenset(one.lower() for one in written),
        text(lookup(body, "applicationId")).lower(),
        written,
    )


def lacks(vault: Vault, key_name: str, principal: str, grants: tuple[Grant, ...], access: Access) -> tuple[str, ...]:
    """Return the permissions that a principal does not have on a key. Its `grants` count only where roles decide."""
    if vault.rbac:
        here = [one for one in grants if covers(one, vault, key_name)]
        needed = access.by_role or access.permissions
        return tuple(one for one in needed if not any(_allows(grant, one) for grant in here))
    mine = [one.permissions for one in vault.policies if one.principal == principal.lower() and not one.application]
    held = frozenset().union(*mine)
    return tuple(one for one in access.permissions if not {one.lower(), "all"} & held)


def perhaps_by_a_group(vault: Vault, missing: tuple[str, ...]) -> bool:
    """Return whether entries of others give what a principal has no entry of its own for: they may be those of groups
    that it is in, which only the directory tells.
    """
    if vault.rbac:
        return False  # role assignments are asked for with those of groups
    held = frozenset().union(*(one.permissions for one in vault.policies if not one.application))
    return all({one.lower(), "all"} & held for one in missing)


def covers(grant: Grant, vault: Vault, key_name: str) -> bool:
    """Return whether a grant that applies to the vault or something in it applies to the key."""
    scope, whole = fold(grant.scope), fold(vault.id)
    return not scope.startswith(f"{whole}/") or scope == f"{whole}/keys/{key_name}"


def _allows(grant: Grant, permission: str) -> bool:
    action = _DATA + _ACTIONS.get(permission.lower(), f"{permission.lower()}/action")
    fits = any(fnmatchcase(action, pattern) for pattern in grant.actions)
    return fits and not any(fnmatchcase(action, pattern) for pattern in grant.not_actions)
