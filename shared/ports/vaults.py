"""Vaults: which are ours to talk to, what they hold, who may use it, and what is changed on them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from shared.domain.keys import KeyHistory, KeyId, Material
from shared.domain.life import RotationPolicy
from shared.domain.new_vault import NameHeld
from shared.domain.preparation import CreateKey, CreateVault, GrantAccess, HardenVault, RecoverVault
from shared.domain.resource import Json
from shared.domain.revocation import TakePermissions, TakeRole
from shared.domain.vault import Grant, Vault
from shared.ports.running import WriteSwitch


class VaultSite(Struct, frozen=True):
    """A vault that the app may talk to. `id` is "" when only the settings know it."""

    host: str
    id: str = ""


class Vaults(Protocol):
    """Which vaults are ours to talk to."""

    async def by_host(self, host: str) -> VaultSite | None:
        """Return the vault of that host if the settings or the inventory know it, else None."""
        ...

    async def by_id(self, vault_id: str) -> VaultSite | None:
        """Return the vault of that ARM id if the inventory knows it, else None."""
        ...

    async def settings(self, host: str) -> Vault | None:
        """Return a vault as Azure Resource Manager shows it now; None: it is not shown. Raises Refusal, TryLater."""
        ...

    async def deleted(self, host: str, vault_id: str = "") -> str:
        """Return the id of the deleted vault of that host, "" if none can be recovered in a readable subscription (the
        one of `vault_id`, if given). Up to a minute old. Raises TryLater.
        """
        ...

    async def first(self) -> VaultSite | None:
        """Return any vault that is ours to talk to, the same each time, or None."""
        ...

    async def found(self) -> tuple[VaultSite, ...]:
        """Return all vaults that the inventory knows; not each was confirmed."""
        ...

    async def id_of(self, host: str) -> str:
        """Return the ARM id of the vault of that host, "" when the inventory does not know it."""
        ...

    async def at(self, vault_id: str) -> Vault | None:
        """Return the vault that the policy says is there, and know it from then on; None: it is not there."""
        ...

    async def held(self, vault_id: str, location: str) -> NameHeld:
        """Return who holds the name that a vault would have. Raises AppError."""
        ...


class KeyPage(Struct, frozen=True):
    """Keys of a vault as a list shows them, and where to go on; "": that was all."""

    keys: list[Json]
    following: str = ""


class VaultFacts(Protocol):
    """Vaults and their keys as Azure Resource Manager shows them. All raise Refusal and TryLater."""

    async def body(self, vault: str) -> Json | None:
        """Return a vault's body, or None when there is no such vault."""
        ...

    async def settings(self, vault: str) -> list[Json]:
        """Return a vault's diagnostic settings."""
        ...

    async def keys(self, vault: str, cursor: str) -> KeyPage:
        """Return one page of a vault's keys."""
        ...

    async def key(self, vault: str, name: str) -> Json | None:
        """Return a key with its newest version and its rotation policy, or None when there is no such key."""
        ...


class Keys(Protocol):
    """Keys as their vaults hold them. Callers ask Vaults first."""

    async def history(self, key: KeyId, *, not_older_than: datetime) -> KeyHistory:
        """Return the key's versions as of `not_older_than` or later. Raises NotThere, Refusal, TryLater."""
        ...

    async def material(self, key: KeyId, version: str) -> Material:
        """Return what a version is made of."""
        ...

    async def new_version(self, key: KeyId, *, if_latest_is: str, if_on: WriteSwitch) -> str | None:
        """Make a new version by the vault's own rotation and return its name; None where writing is off by the time
        that the key has been looked at. Raises Refusal (KEY_MOVED_ON).
        """
        ...

    async def is_deleted(self, key: KeyId) -> bool:
        """Return whether a key of that name was deleted and can come back. Raises Refusal, TryLater."""
        ...

    async def recover(self, key: KeyId) -> None:
        """Take a deleted key back. Raises AppError."""
        ...

    async def rotation_policy(self, key: KeyId) -> RotationPolicy:
        """Return what the vault does with the key by itself. Raises NotThere, Refusal, TryLater."""
        ...

    async def look(self, host: str) -> None:
        """Try a vault by one small read. Raises Refusal, TryLater."""
        ...


class Principal(Struct, frozen=True):
    """Whom an identity acts as, and in which tenant ("" if that is not said)."""

    id: str
    tenant: str = ""


class Grants(Protocol):
    """Who holds which roles on vaults."""

    async def held(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the roles that a principal holds at, above and below a vault. Raises AppError."""
        ...

    async def assigned(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the same and those with a condition, of which `held` says nothing. Raises AppError."""
        ...

    async def take_away(self, step: TakeRole) -> None:
        """Delete a role assignment; that it is gone is no error. Raises AppError."""
        ...

    async def principal(self, identity: str) -> Principal | None:
        """Return whom a user-assigned identity acts as, or None when there is no such identity. Raises AppError."""
        ...

    async def give(self, step: GrantAccess) -> None:
        """Give a principal a role; that it holds it already is no error. Raises AppError."""
        ...


class VaultChanges(Protocol):
    """What is changed on vaults. Each is the same when it is done twice. All raise AppError."""

    async def create(self, step: CreateVault) -> None:
        """Make a vault."""
        ...

    async def recover(self, step: RecoverVault) -> None:
        """Take a deleted vault back."""
        ...

    async def harden(self, step: HardenVault) -> None:
        """Turn on soft delete and purge protection."""
        ...

    async def create_key(self, step: CreateKey) -> None:
        """Make a key's first version, with its rotation policy; nothing, when there is such a key."""
        ...

    async def allow(self, step: GrantAccess) -> None:
        """Add permissions by an access policy."""
        ...

    async def disallow(self, step: TakePermissions) -> None:
        """Take key permissions out of an access policy."""
        ...
