"""Changes to vaults through Azure Resource Manager, with azure-mgmt-keyvault: each the same when it is sent twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.adapters.translate import translated
from shared.adapters.vaults import VaultInventory
from shared.domain.new_vault import RETENTION
from shared.domain.policy import NewKey
from shared.domain.preparation import CreateKey, CreateVault, GrantAccess, HardenVault, RecoverVault
from shared.domain.resource import Json, parse_arm_id
from shared.domain.revocation import TakePermissions
from shared.ports import Clock


class VaultChanges:
    """Implements ports.VaultChanges."""

    def __init__(self, vaults: VaultInventory, clock: Clock) -> None:
        self._vaults = vaults
        self._clock = clock

    async def create(self, step: CreateVault) -> None:
        """Make a vault. What is said of it can never be taken back, so nothing is left to what Azure takes by default.
        Not waited for: the next look shows it.
        """
        properties = {
            **_sort(step.tenant, step.sku),
            "enableRbacAuthorization": True,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": RETENTION,
            "enablePurgeProtection": True,
            "accessPolicies": [],
        }
        await self._put(step.vault, {"location": step.location, "properties": properties})

    async def recover(self, step: RecoverVault) -> None:
        """Take a deleted vault back. Everything but the mode is ignored, and wanted all the same
        [azure-mgmt-keyvault 14.1.0, CreateMode.RECOVER].
        """
        properties = {**_sort(step.tenant, "standard"), "createMode": "recover"}
        await self._put(step.vault, {"location": step.location, "properties": properties})

    async def _put(self, id_: str, body: Any) -> None:
        vault = parse_arm_id(id_)
        with translated(id_):
            vaults = self._vaults.client(vault.subscription).vaults
            await vaults.begin_create_or_update(vault.group, vault.name, body, polling=False)

    async def harden(self, step: HardenVault) -> None:
        """Turn on soft delete and purge protection. Nothing else of the vault is sent: lists would be replaced."""
        vault = parse_arm_id(step.vault)
        body: Any = {"properties": {"enableSoftDelete": True, "enablePurgeProtection": True}}
        with translated(step.vault):
            await self._vaults.client(vault.subscription).vaults.update(vault.group, vault.name, body)

    async def create_key(self, step: CreateKey) -> None:
        """Make a key's first version, with its rotation policy.

        Through Resource Manager and not through the vault, since there a second request makes a second version; here
        it makes nothing [azure-mgmt-keyvault 14.1.0, KeysOperations.create_if_not_exist].
        """
        vault = parse_arm_id(step.vault)
        body: Any = {"tags": dict(step.like.tags), "properties": self._properties(step)}
        with translated(f"{step.vault}/keys/{step.key.name}"):
            keys = self._vaults.client(vault.subscription).keys
            await keys.create_if_not_exist(vault.group, vault.name, step.key.name, body)

    async def allow(self, step: GrantAccess) -> None:
        """Add one access policy, or these permissions to the one that is there. The others stay."""
        await self._update(step, "add")

    async def disallow(self, step: TakePermissions) -> None:
        """Take these key permissions out of the principal's access policy. What the entry says of secrets and the rest
        is not sent and stays; the others' entries are not touched.
        """
        await self._update(step, "remove")

    async def _update(self, step: GrantAccess | TakePermissions, how: str) -> None:
        vault = parse_arm_id(step.vault)
        entry = {
            "tenantId": step.tenant,
            "objectId": step.principal,
            "permissions": {"keys": list(step.permissions)},
        }
        body: Any = {"properties": {"accessPolicies": [entry]}}
        with translated(step.vault):
            vaults = self._vaults.client(vault.subscription).vaults
            await vaults.update_access_policy(vault.group, vault.name, how, body)

    def _properties(self, step: CreateKey) -> Json:
        like = step.like
        attributes: Json = {"enabled": True}
        if like.not_before is not None:
            attributes["nbf"] = int(like.not_before.timestamp())
        if like.expires_after_days is not None:
            attributes["exp"] = int((self._clock.now() + timedelta(days=like.expires_after_days)).timestamp())
        made: Json = {"kty": like.type, "keySize": like.size, "keyOps": list(step.operations), "attributes": attributes}
        return made | ({"rotationPolicy": _rotation(like)} if like.rotate_after_days is not None else {})


def _sort(tenant: str, sku: str) -> Json:
    return {"tenantId": tenant, "sku": {"family": "A", "name": sku}}


def _rotation(like: NewKey) -> Json:
    trigger = {"timeAfterCreate": f"P{like.rotate_after_days}D"}
    lives = {"expiryTime": f"P{like.expires_after_days}D"} if like.expires_after_days is not None else {}
    return {"lifetimeActions": [{"trigger": trigger, "action": {"type": "rotate"}}], "attributes": lives}
