"""Microsoft.MachineLearningServices/workspaces: Default, Hub, Project, FeatureStore [services.md 1.4].

A key without a version, rotation in service-side mode and a Project's own key are UNVERIFIED and refused here. In
customer-side mode Azure Cosmos DB keeps the metadata under the same key, so its principal needs the rights too.
"""

from __future__ import annotations

from sandbox.arm.keyed import cosmos
from sandbox.arm.keyed.rules import Keyed, Place, at, client, named, refuse, system
from sandbox.arm.operations import Style
from sandbox.identity import principal_of
from sandbox.vault.access import find_vault, wrap_problem
from sandbox.wire import Json, Refused
from sandbox.world import World

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyVaultProperties"


def _in_their_mode(world: World, old: Json | None, new: Json) -> None:
    uses = tuple(WORKSPACES.uses(new))
    moved = old is not None and at(old, f"{_KEY}.keyIdentifier") != at(new, f"{_KEY}.keyIdentifier")
    if moved and at(new, "properties.enableServiceSideCMKEncryption"):
        raise refuse(WORKSPACES, "The key of a workspace with service-side encryption cannot be changed.")
    for use in () if at(new, "properties.enableServiceSideCMKEncryption") else uses:
        who = principal_of(world, cosmos.APPLICATION)
        problem = wrap_problem(world, use.pointer.host, use.pointer.name, use.pointer.version, who)
        if problem == "forbidden":
            raise Refused(400, WORKSPACES.access, "Azure Cosmos DB cannot get, wrap and unwrap with the key.")


def _with_policies(world: World, old: Json | None, new: Json) -> None:
    known = {use.pointer.host for use in WORKSPACES.uses(old)} if old else set()
    for use in WORKSPACES.uses(new):
        if use.pointer.host in known:
            continue  # asked when the vault was first used
        vault = find_vault(world, use.pointer.host)
        if vault is not None and (vault.get("properties") or {}).get("enableRbacAuthorization"):
            raise refuse(WORKSPACES, "The key vault of a hub must use access policies.")


def _not_its_own(_world: World, old: Json | None, new: Json) -> None:
    if at(old, _ENCRYPTION) != at(new, _ENCRYPTION):
        raise refuse(WORKSPACES, "A project uses the key of its hub.")


WORKSPACES = Keyed(
    places=(
        Place(
            _KEY,
            uri="keyIdentifier",
            who=(named(f"{_ENCRYPTION}.identity.userAssignedIdentity"), client("identityClientId"), system),
            when=(f"{_ENCRYPTION}.status", "enabled"),
        ),
    ),
    version="pinned",
    same=("subscription", "vault"),
    style=Style.LOCATION,
    patch=(_ENCRYPTION, ("keyVaultProperties.keyIdentifier",)),
    owned=tuple(f"properties.{name}" for name in ("workspaceId", "creationTime", "serviceProvisionedResourceGroup")),
    fixed=(f"{_KEY}.keyVaultArmId", "properties.enableServiceSideCMKEncryption"),
    on_later=False,
    off=False,
    also=(_in_their_mode,),
    kinds={
        "hub": {"bits": (2048,), "also": (_in_their_mode, _with_policies)},
        "project": {"also": (_not_its_own,)},
    },
)
