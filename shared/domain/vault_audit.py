"""A vault and its keys compared with what the policy expects of them: each difference with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from shared.domain.jsonpath import lookup, text
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Json
from shared.domain.vault import PERIMETER, vault_of
from shared.domain.vault_rules import KeysExpected, VaultExpected

# What makes a diagnostic setting keep every use of a key: the category itself or a group that it is in
# [PSRule for Azure, Azure.KeyVault.Logs].
_CATEGORY, _GROUPS = "auditevent", {"audit", "alllogs"}


class Audited(Struct, frozen=True, tag="audited"):
    """A vault, or one page of its keys, was compared with what the policy expects. `rule` "": no rule is meant for it.

    `keys`: how many were looked at. `more`: the rest is on the queue.
    """

    rule: str = ""
    findings: tuple[Blocked, ...] = ()
    keys: int = 0
    more: bool = False


def vault_findings(body: Json, expect: VaultExpected) -> tuple[Blocked, ...]:
    """Return what of a vault's own settings is not as expected."""
    vault = vault_of(body)
    found: list[Blocked] = []
    if expect.purge_protection and not (vault.recoverable and vault.protected):
        what = "purge protection" if vault.recoverable else "soft delete"
        found.append(Blocked(Reason.VAULT_NOT_PROTECTED, detail=f"{what} is off"))
    if expect.rbac and not vault.rbac:
        found.append(Blocked(Reason.VAULT_NOT_RBAC, detail=f"{len(vault.policies)} access policies decide"))
    return (*found, *_network(body, expect))


def _network(body: Json, expect: VaultExpected) -> Iterator[Blocked]:
    """Compare who may come in from where. An absent bypass lets trusted services through
    [azure-mgmt-keyvault 14.1.0, NetworkRuleSet].
    """
    properties = lookup(body, "properties")
    public = text(lookup(properties, "publicNetworkAccess")).lower()
    disabled = public == "disabled"
    denies = text(lookup(properties, "networkAcls", "defaultAction")).lower() == "deny"
    if expect.public_network is False and not disabled:
        yield Blocked(Reason.VAULT_OPEN, detail="publicNetworkAccess is not Disabled")
    if expect.public_network == "trustedServices" and public != PERIMETER.lower():
        if not (disabled or denies):
            yield Blocked(Reason.VAULT_OPEN, detail="its firewall lets every network in")
        elif text(lookup(properties, "networkAcls", "bypass")).lower() == "none":
            yield Blocked(Reason.VAULT_CLOSED, detail="networkAcls.bypass is None")


def setting_findings(settings: list[Json], expect: VaultExpected) -> tuple[Blocked, ...]:
    """Return what is not as expected of what a vault's diagnostic settings keep."""
    if not expect.audit_events or any(_keeps_events(one) for one in settings):
        return ()
    told = f"none of its {len(settings)} diagnostic settings keeps AuditEvent" if settings else "no diagnostic setting"
    return (Blocked(Reason.VAULT_NOT_AUDITED, detail=told),)


def _keeps_events(setting: Json) -> bool:
    logs = lookup(setting, "properties", "logs")
    return any(
        text(lookup(one, "category")).lower() == _CATEGORY or text(lookup(one, "categoryGroup")).lower() in _GROUPS
        for one in (logs if isinstance(logs, list) else [])
        if lookup(one, "enabled") is True
    )


def asks_for_bodies(expect: KeysExpected) -> bool:
    """Return whether a list of keys is not enough: it shows attributes, and neither material nor rotation policy."""
    return bool(expect.size or expect.types or expect.rotation_policy)


def is_enabled(key: Json) -> bool:
    """Return whether a key's newest version may be used at all."""
    return lookup(key, "properties", "attributes", "enabled") is not False


def key_findings(body: Json, expect: KeysExpected) -> tuple[Blocked, ...]:
    """Return what of a key is not as expected; of the body of a list only what that can tell."""
    name, properties = text(lookup(body, "name")), lookup(body, "properties")
    kty, size = text(lookup(properties, "kty")), lookup(properties, "keySize")
    found: list[Blocked] = []
    if kty and expect.types and kty not in expect.types:
        told = f"key {name} is {kty}, not {' or '.join(expect.types)}"
        found.append(Blocked(Reason.KEY_TYPE_UNEXPECTED, detail=told))
    if expect.size and kty.startswith("RSA") and isinstance(size, int) and size < expect.size:
        found.append(Blocked(Reason.KEY_TOO_SMALL, detail=f"key {name} has {size} bits, not {expect.size}"))
    if expect.expiry and not lookup(properties, "attributes", "exp"):
        found.append(Blocked(Reason.KEY_NEVER_EXPIRES, detail=f"key {name}"))
    if kty and expect.rotation_policy and not _rotates(properties):
        found.append(Blocked(Reason.KEY_NOT_ROTATED, detail=f"key {name}"))
    return tuple(found)


def _rotates(properties: object) -> bool:
    actions = lookup(properties, "rotationPolicy", "lifetimeActions")
    kinds = (text(lookup(one, "action", "type")).lower() for one in (actions if isinstance(actions, list) else []))
    return "rotate" in kinds
