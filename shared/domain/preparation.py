"""What may have to be done before a resource can use a key of yours: one struct for each kind of step."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.keys import KeyId
from shared.domain.policy import NewKey
from shared.domain.providers import RegisterProvider


class CreateVault(Struct, frozen=True, tag=True):
    """Make a vault in which roles decide, with soft delete and purge protection."""

    vault: str
    location: str
    tenant: str
    sku: str


class RecoverVault(Struct, frozen=True, tag=True):
    """Take a deleted vault back, with its keys."""

    vault: str
    location: str
    tenant: str


class HardenVault(Struct, frozen=True, tag=True):
    """Turn on soft delete and purge protection of a vault. Azure never takes that back."""

    vault: str


class CreateKey(Struct, frozen=True, tag=True):
    """Make the first version of a key, with its rotation policy. `operations`: what it is for, and nothing else."""

    vault: str
    key: KeyId
    like: NewKey
    operations: tuple[str, ...] = ("unwrapKey", "wrapKey")


class RecoverKey(Struct, frozen=True, tag=True):
    """Take a deleted key back, with its versions."""

    vault: str
    key: KeyId


class AssignIdentity(Struct, frozen=True, tag=True):
    """Give a resource an identity beside those that it has. `identity` "": the system-assigned one. `above`: the id of
    the resource above, where that one's identity is what counts.
    """

    identity: str
    above: str = ""


class GrantAccess(Struct, frozen=True, tag=True):
    """Let a principal use the keys of a vault: by a role, or ("") by an access policy with these permissions.

    `principal` "": that of the system-assigned identity that the resource does not have yet.
    """

    vault: str
    principal: str
    tenant: str
    role: str
    permissions: tuple[str, ...]


Preparation = (
    RegisterProvider | CreateVault | RecoverVault | HardenVault | CreateKey | RecoverKey | AssignIdentity | GrantAccess
)


def place_of(step: Preparation, resource: str) -> str:
    """Return the id of what a step changes."""
    if isinstance(step, AssignIdentity):
        return step.above or resource
    if isinstance(step, RegisterProvider):
        return f"/subscriptions/{step.subscription}/providers/{step.provider}"
    return f"{step.vault}/keys/{step.key.name}" if isinstance(step, CreateKey | RecoverKey) else step.vault


def right_for(step: Preparation, resource_type: str) -> str:
    """Return the action that the app's own identity needs for a step."""
    vaults = "Microsoft.KeyVault/vaults"
    match step:
        case RegisterProvider():
            return f"{step.provider}/register/action"
        case CreateKey():
            return f"{vaults}/keys/write"
        case RecoverKey():
            return f"{vaults}/keys/recover/action"
        case GrantAccess():
            return "Microsoft.Authorization/roleAssignments/write" if step.role else f"{vaults}/accessPolicies/write"
        case AssignIdentity():
            return f"{resource_type}/write"
        case _:
            return f"{vaults}/write"
