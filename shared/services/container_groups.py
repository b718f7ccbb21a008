"""Container groups of Azure Container Instances. Facts: services.md 1.7 (docs/sources.md)."""

from __future__ import annotations

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, text
from shared.domain.keys import RSA_2048_TO_4096, KeyRules, key_ref
from shared.domain.reasons import Reason
from shared.domain.resource import Json, KeyUse
from shared.domain.service import Service, Verb
from shared.domain.vault import ENCRYPTION_USER, Access
from shared.services.applications import CONTAINER_INSTANCES
from shared.services.pointers import nothing_to_send
from shared.services.taken_for_granted import PINNED

API_VERSION = "2023-05-01"  # [SDK azure-mgmt-containerinstance 10.1.0]
SLOT = "encryptionProperties"


def _read(body: Json) -> tuple[KeyUse, ...]:
    key = lookup(body, "properties", "encryptionProperties")
    vault, name = text(lookup(key, "vaultBaseUrl")), text(lookup(key, "keyName"))
    if not vault and not name:
        return ()
    configured = key_ref(vault, name, text(lookup(key, "keyVersion")))
    return (KeyUse(SLOT, configured, follows=False),)


def _told(body: Json) -> tuple[str, ...]:
    """Return the identity that a group names for its key; without one it is Azure's own application."""
    named = text(lookup(body, "properties", "encryptionProperties", "identity"))
    return (named,) if named else ()


GROUPS = Service(
    type="Microsoft.ContainerInstance/containerGroups",
    api_version=API_VERSION,
    traits=replace(
        PINNED,
        accepts=KeyRules(RSA_2048_TO_4096, frozenset({"unwrapKey"})),
        keep_old_for=None,
        actions=("Microsoft.ContainerInstance/containerGroups/read",),
        acts=Acting(told=_told),
        sources=(
            "SDK azure-mgmt-containerinstance 10.1.0 (names, api-version; an update takes tags and zones only)",
            "azure-docs container-instances/container-instances-encrypt-data (get and unwrapKey)",
            "azure-rest-api-specs pull request 24296 (a key without a version was proposed and not taken)",
        ),
        can={**dict.fromkeys(Verb, Reason.RECREATE_ONLY), Verb.FOLLOW: Reason.NEVER_FOLLOWS},
        access=Access(ENCRYPTION_USER, ("get", "unwrapKey")),
        applications=(CONTAINER_INSTANCES,),
        notes=(
            "A group that names no user-assigned identity is served by Azure's own application.",
            (
                "A group keeps its key until it is deleted: the old version must stay usable for as long as the group "
                "is there. Whether a PUT in place could change the key is not documented; Terraform recreates."
            ),
            "A group that is made anew gets another IP address and loses its state.",
        ),
        afterwards="The group has to be made anew before its version may be disabled.",
    ),
    read=_read,
    write=nothing_to_send,
    main_slot=SLOT,
)

SERVICES = (GROUPS,)
