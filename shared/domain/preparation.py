"""What may have to be done before a resource can use a key of yours: one struct for each kind of step."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.keys import KeyId
from shared.domain.policy import NewKey


class HardenVault(Struct, frozen=True, tag=True):
    """Turn on soft delete and purge protection of a vault. Azure never takes that back."""

    vault: str


class CreateKey(Struct, frozen=True, tag=True):
    """Make the first version of a key, with its rotation policy."""

    vault: str
    key: KeyId
    like: NewKey


class AssignIdentity(Struct, frozen=True, tag=True):
    """Give the resource an identity beside those that it has. `identity` "": the system-assigned one."""

    identity: str


class GrantAccess(Struct, frozen=True, tag=True):
    """Let a principal use the keys of a vault: by a role, or ("") by an access policy with these permissions.

    `principal` "": that of the system-assigned identity that the resource does not have yet.
    """

    vault: str
    principal: str
    tenant: str
    role: str
    permissions: tuple[str, ...]


Preparation = HardenVault | CreateKey | AssignIdentity | GrantAccess


def place_of(step: Preparation, resource: str) -> str:
    """Return the id of what a step changes."""
    if isinstance(step, AssignIdentity):
        return resource
    return f"{step.vault}/keys/{step.key.name}" if isinstance(step, CreateKey) else step.vault
