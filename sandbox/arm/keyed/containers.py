"""Kubernetes clusters and container groups [services.md 1.6, 1.7].

A PATCH that sends more than tags, and a PUT that changes a container group's key, are UNVERIFIED and refused here.
Not modelled: that new KMS wants Key Vault Contributor too, and an api-version before 2026-07-01 knows legacy only.
"""

from __future__ import annotations

from typing import Final

from sandbox.arm import identities
from sandbox.arm.keyed.kept import kept
from sandbox.arm.keyed.rules import HOUR, Keyed, Place, application, at, attached, named, refuse
from sandbox.arm.operations import Style
from sandbox.arm.store import merged
from sandbox.vault.access import find_vault, firewall
from sandbox.wire import Json
from sandbox.world import World

INSTANCES: Final = "6bb8e274-af5d-4df2-98a3-4fd78b4cafd9"  # Azure Container Instance Service
_KMS = "properties.securityProfile.azureKeyVaultKms"
# A service principal is kept where a PUT leaves it out, and changed by an action of its own [azure-cli acs/custom.py].
_OWNED = (
    "servicePrincipalProfile",
    "powerState",
    "maxAgentPools",
    "fqdn",
    "azurePortalFQDN",
    "currentKubernetesVersion",
    "resourceUID",
)
# Filled in by the service, and left out by tools that send a cluster back [azure-rest-api-specs, readOnly members].
_FILLED = (
    *(f"agentPoolProfiles.*.{name}" for name in ("eTag", "provisioningState", "currentOrchestratorVersion", "status")),
    *("agentPoolProfiles.*.nodeImageVersion", "agentPoolProfiles.*.localDNSProfile.state"),
    *("addonProfiles.*.identity", "privateFQDN", "status", "httpProxyConfig.effectiveNoProxy"),
    *("ingressProfile.webAppRouting.identity", "ingressProfile.applicationLoadBalancer.identity"),
    "ingressProfile.webAppRouting.defaultDomain.domainName",
    *(f"networkProfile.{name}Profile.effectiveOutboundIPs" for name in ("loadBalancer", "natGateway")),
    *("oidcIssuerProfile.issuerURL", "privateLinkResources.*.privateLinkServiceID"),
    *(f"podIdentityProfile.userAssignedIdentities.*.{name}" for name in ("provisioningInfo", "provisioningState")),
)
_NEW_KMS = (1, 33)  # the first Kubernetes version that has it


def _whole(_world: World, _old: Json | None, new: Json) -> None:
    if not at(new, "properties.agentPoolProfiles"):
        raise refuse(CLUSTERS, "Required parameter agentPoolProfiles is missing (null).")


def _filled(world: World, new: Json) -> Json:
    old = world.resources.get(str(new["id"])) or {}
    for path in _FILLED:
        new = kept(old, new, f"properties.{path}")
    return merged(_given(world, new), new)


def _given(world: World, cluster: Json) -> Json:
    """Return what every cluster has and az reads before it updates one: a network, and the identity of its nodes."""
    _, _, subscription, _, group, *_, name = str(cluster["id"]).split("/")
    place = f"/subscriptions/{subscription}/resourceGroups/MC_{group}_{name}_{cluster.get('location', '')}"
    id_ = f"{place}/providers/{identities.UAI}/{name}-agentpool"
    known = identities.assigned(world, id_)
    kubelet = {"resourceId": id_, "clientId": known["clientId"], "objectId": known["principalId"]}
    network = {"networkPlugin": "azure", "loadBalancerSku": "standard", "outboundType": "loadBalancer"}
    return {"properties": {"networkProfile": network, "identityProfile": {"kubeletidentity": kubelet}}}


def _kms(world: World, old: Json | None, new: Json) -> None:
    """Refuse what neither of the two KMS modes has: a versioned key is legacy, a versionless one new KMS."""
    before, after = ([use.pointer for use in CLUSTERS.uses(one or {})] for one in (old, new))
    kms = at(new, _KMS) or {}
    private, home = str(kms.get("keyVaultNetworkAccess")).lower() == "private", kms.get("keyVaultResourceId")
    # Articles show public clusters that have one all the same: what is there may be sent back [kms-observability].
    if after and (private if not home else not private and home != at(old, f"{_KMS}.keyVaultResourceId")):
        raise refuse(CLUSTERS, "keyVaultResourceId must be given with private network access, and only then.")
    if after and not at(new, "identity.userAssignedIdentities"):
        raise refuse(CLUSTERS, "Key Vault KMS needs a user-assigned identity.")
    public = str(kms.get("keyVaultNetworkAccess")).lower() != "private"
    vault = find_vault(world, after[0].host) if after and public else None
    if vault is not None and firewall(vault):
        raise refuse(CLUSTERS, "The key vault's firewall keeps the KMS plugin out.")
    if after and not after[0].version and _kubernetes(new) < _NEW_KMS:
        raise refuse(CLUSTERS, "A key without a version needs Kubernetes 1.33 or later.")
    if before and not before[0].version and (not after or after[0].version):
        raise refuse(CLUSTERS, "A cluster with a versionless key cannot leave it.")


def _kubernetes(body: Json) -> tuple[int, ...]:
    parts = str(at(body, "properties.kubernetesVersion") or "0").split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


CLUSTERS = Keyed(
    places=(Place(_KMS, uri="keyId", who=(attached,), when=(f"{_KMS}.enabled", "true")),),
    needs=("encrypt", "decrypt"),
    invalid="InvalidParameter",
    busy=(409, "OperationNotAllowed"),
    style=Style.ECHO,
    patch=("properties", ()),
    owned=tuple(f"properties.{name}" for name in _OWNED),
    fixed=("properties.diskEncryptionSetID", "properties.dnsPrefix", "properties.nodeResourceGroup"),
    follows=6 * HOUR,
    also=(_whole, _kms),
    derive=_filled,
    etag=True,
)

GROUPS = Keyed(
    places=(
        Place(
            "properties.encryptionProperties",
            split=("vaultBaseUrl", "keyName", "keyVersion"),
            who=(named(".identity"), application(INSTANCES)),
        ),
    ),
    version="pinned",
    needs=("get", "unwrapKey"),
    invalid="InvalidContainerGroupUpdate",
    patch=("properties", ()),
    fixed=("properties.encryptionProperties",),
)
