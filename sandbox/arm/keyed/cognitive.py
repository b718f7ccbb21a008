"""Microsoft.CognitiveServices/accounts and their encryption scopes [services.md 1.3; azure-ai-docs by kind].

Auto-follow and another vault are documented for AIServices only: other kinds refuse a key without a version, and
AIServices another vault. RSA 2048 is what most kinds' documents say; kinds that say nothing are taken for those.
"""

from __future__ import annotations

from sandbox.arm.keyed.rules import DAY, Keyed, Place, at, client, refuse, system
from sandbox.arm.operations import Style
from sandbox.vault.access import find_vault
from sandbox.wire import Json
from sandbox.world import World

_WHEN = "microsoft.keyvault"
_OWNED = ("properties.endpoint", "properties.internalId", "properties.dateCreated", "properties.capabilities", "etag")


def _capable(_world: World, _old: Json | None, new: Json) -> None:
    known = at(new, "properties.capabilities")
    on = str(at(new, "properties.encryption.keySource")).lower() == _WHEN
    if on and known and not any(one.get("name") == "CustomerManagedKey" for one in known):
        raise refuse(ACCOUNTS, "This account does not support customer-managed keys.")


def _completed(_world: World, new: Json) -> Json:
    return new if new.get("sku") else {**new, "sku": {"name": "S0"}}


def _policies_only(world: World, old: Json | None, new: Json) -> None:
    known = {use.pointer.host for use in ACCOUNTS.uses(old)} if old else set()
    for use in ACCOUNTS.uses(new):
        if use.pointer.host in known:
            continue  # asked when the vault was first used
        vault = find_vault(world, use.pointer.host)
        if vault is not None and (vault.get("properties") or {}).get("enableRbacAuthorization"):
            raise refuse(ACCOUNTS, "The key vault must use access policies.")
        if use.holder.get("identityClientId"):
            raise refuse(ACCOUNTS, "Only the system-assigned identity can reach the key.")


def _by_storage(_world: World, _old: Json | None, new: Json) -> None:
    if str(at(new, "properties.encryption.keySource")).lower() == _WHEN:
        raise refuse(ACCOUNTS, "Accounts of this kind use the key of their own storage account.")


ACCOUNTS = Keyed(
    places=(
        Place(
            "properties.encryption.keyVaultProperties",
            who=(client("identityClientId"), system),
            when=("properties.encryption.keySource", _WHEN),
        ),
    ),
    version="pinned",
    bits=(2048,),
    same=("region",),
    access="AccessPolicyNotConfiguredForKeyVault",
    busy=(409, "RequestConflict"),
    style=Style.ASYNC,
    word="Updating",
    changing="Accepted",
    owned=_OWNED,
    also=(_capable,),
    derive=_completed,
    kinds={
        "openai": {"also": (_capable, _policies_only)},
        "speechservices": {"also": (_by_storage,)},
        "aiservices": {
            "version": "either",
            "bits": (2048, 3072, 4096),
            "same": ("region", "vault"),
            "off": False,
            "follows": DAY,
        },
    },
)

SCOPES = Keyed(
    places=(
        Place(
            "properties.keyVaultProperties",
            who=(client("identityClientId"), system),
            when=("properties.keySource", _WHEN),
        ),
    ),
    version="pinned",
    same=("region",),
    access="AccessPolicyNotConfiguredForKeyVault",
    owned=("etag",),
    above=1,
)
