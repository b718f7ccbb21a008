"""Microsoft.EventHub and Microsoft.ServiceBus namespaces: up to three keys in one list [services.md 2].

A PATCH or PUT replaces the list: what is not sent again is gone. A first key is for Premium and empty namespaces only.
"""

from __future__ import annotations

from sandbox.arm.keyed.rules import Keyed, Place, at, named, refuse, system
from sandbox.arm.store import merged
from sandbox.vault.access import WRAPPING
from sandbox.wire import Json
from sandbox.world import World

_LIST = "properties.encryption.keyVaultProperties"
_MOST = 3
_ENTITIES = ("eventhubs", "queues", "topics")


def _few(_world: World, _old: Json | None, new: Json) -> None:
    if len(at(new, _LIST) or ()) > _MOST:
        raise refuse(NAMESPACES, f"A namespace has at most {_MOST} keys.")


def _premium_and_empty(world: World, old: Json | None, new: Json) -> None:
    if any(NAMESPACES.uses(old or {})) or not any(NAMESPACES.uses(new)):
        return
    if str(at(new, "sku.name")).lower() != "premium" and not at(new, "properties.clusterArmId"):
        raise refuse(NAMESPACES, "Customer-managed keys need a Premium namespace or a dedicated cluster.")
    for child in world.resources.under(str(new["id"])):
        if str(child["type"]).lower().rpartition("/")[2] in _ENTITIES:
            raise refuse(NAMESPACES, "A key can only be set on a namespace that is empty.")


def _completed(_world: World, new: Json) -> Json:
    """Show every key with a version, "" for one that follows [azure-cli eventhubs recordings, namespace encryption]."""
    held = at(new, _LIST)
    if not isinstance(held, list):
        return new
    shown = [{"keyVersion": "", **one} if isinstance(one, dict) else one for one in held]
    encryption = {"requireInfrastructureEncryption": False, **at(new, "properties.encryption")}
    return merged(new, {"properties": {"encryption": {**encryption, "keyVaultProperties": shown}}})


NAMESPACES = Keyed(
    places=(
        Place(
            f"{_LIST}[]",
            who=(named(".identity.userAssignedIdentity"), system),
            when=("properties.encryption.keySource", "microsoft.keyvault"),
        ),
    ),
    needs=(*WRAPPING, "list"),
    off=False,
    follows=300,
    also=(_few, _premium_and_empty),
    derive=_completed,
)
