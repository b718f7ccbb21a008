"""Kubernetes clusters: the key that encrypts their Secrets. Facts: services.md 1.6 (docs/sources.md).

Legacy KMS holds two keys, and nothing tells whether the Secrets have left the older one. So a move leaves a tag, which
whoever has rewritten them takes away; until then the cluster is not moved again.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import RSA_2048_TO_4096, BadKeyUrl, KeyRules, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Edit, Json, KeyUse, Request, Revert
from shared.domain.service import Can, Follow, May, Service, Settled, Verb, by_provisioning_state
from shared.domain.vault import CRYPTO_USER, Access
from shared.services.pointers import identifier_as_written, nested, put, writable
from shared.services.taken_for_granted import PINNED

API_VERSION = "2026-08-01"  # [SDK azure-mgmt-containerservice 41.8.0]
SLOT = "kms"
_KMS = ("securityProfile", "azureKeyVaultKms")
_NEW_KMS = "new KMS"
REWRITE = "cmk-autopilot-rewrite-secrets"

# What the service fills in by itself and takes from nobody [Azure/bicep-types-az, containerservice 2025-10-02-preview;
# nodeImageVersion is read-only in older versions, and the pool keeps its own when it is left out].
_READ_ONLY = (
    *("id", "name", "type", "systemData", "eTag", "identity.principalId", "identity.tenantId"),
    *(f"identity.userAssignedIdentities.*.{name}" for name in ("principalId", "clientId")),
    *(
        f"properties.{name}"
        for name in (
            *("provisioningState", "powerState", "currentKubernetesVersion", "maxAgentPools", "fqdn", "privateFQDN"),
            *("azurePortalFQDN", "resourceUID", "status"),
        )
    ),
    *(
        f"properties.agentPoolProfiles.*.{name}"
        for name in (
            *("eTag", "provisioningState", "currentOrchestratorVersion", "nodeImageVersion", "status"),
            "localDNSProfile.state",
        )
    ),
    *(
        f"properties.{name}"
        for name in (
            "addonProfiles.*.identity",
            "httpProxyConfig.effectiveNoProxy",
            "ingressProfile.applicationLoadBalancer.identity",
            "ingressProfile.webAppRouting.identity",
            "ingressProfile.webAppRouting.defaultDomain.domainName",
            "networkProfile.loadBalancerProfile.effectiveOutboundIPs",
            "networkProfile.natGatewayProfile.effectiveOutboundIPs",
            "oidcIssuerProfile.issuerURL",
            "podIdentityProfile.userAssignedIdentities.*.provisioningInfo",
            "podIdentityProfile.userAssignedIdentities.*.provisioningState",
            "privateLinkResources.*.privateLinkServiceID",
        )
    ),
)


def _read_cluster(body: Json) -> tuple[KeyUse, ...]:
    kms = lookup(body, "properties", *_KMS)
    if str(lookup(kms, "enabled")).lower() != "true":
        return ()
    configured = parse_key_url(text(lookup(kms, "keyId")))
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write_cluster(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    # A PATCH takes tags only [SDK]: the whole cluster goes back as it was read, on condition that it is still so.
    (change,) = edits
    whole = writable(body, _READ_ONLY)
    if text(lookup(whole, "properties", "servicePrincipalProfile", "clientId")).lower() != "msi":
        # Its secret is never shown, and the service keeps it when the profile is left out, as Azure's own tools do
        # [azure-cli acs/custom.py, aks_scale and aks_upgrade].
        whole = writable(whole, ("properties.servicePrincipalProfile",))
    kms = lookup(whole, "properties", *_KMS) or {}
    if isinstance(change, Revert):
        kms = {"enabled": False}
    else:
        to = change.to.key.at(None) if change.follow else change.to
        kms = replaced(kms, "keyId", identifier_as_written(text(lookup(kms, "keyId")), to))
        if str(lookup(kms, "enabled")).lower() != "true":
            kms = replaced(kms, "enabled", True)
        if not change.follow:
            whole = nested(whole, ("tags", REWRITE), change.to.version)
    whole = nested(whole, ("properties", *_KMS), kms)
    return (put(body, API_VERSION, whole, if_match=text(lookup(body, "eTag"))),)


def _to_rewrite(body: Json) -> str:
    """Return what is to be done before the next move, "" if nothing is."""
    left = text(lookup(body, "tags", REWRITE))
    told = f"rewrite every Secret for the move to version {left}, then remove the tag {REWRITE}"
    return told if left and _mode(body) != _NEW_KMS else ""


def _settled(body: Json) -> Settled:
    """Read the state; a cluster that is stopped takes nothing but a start, and its Secrets could not be rewritten."""
    stopped = text(lookup(body, "properties", "powerState", "code")).lower() == "stopped"
    return Settled.FAILED if stopped else by_provisioning_state(body)


def _set_of(body: Json) -> tuple[str, ...]:
    found = text(lookup(body, "properties", "diskEncryptionSetID"))
    return (found,) if found else ()


def _mode(body: Json) -> str:
    """Return which of the two KMS a cluster uses: a key without a version is the new one [SDK, from 2026-07-01]."""
    try:
        uses = _read_cluster(body)
    except BadKeyUrl:
        return ""
    return _NEW_KMS if uses and uses[0].follows else ""


_LEGACY = replace(
    PINNED,
    accepts=KeyRules(RSA_2048_TO_4096, frozenset({"encrypt", "decrypt"})),
    keep_old_for=None,
    actions=(
        "Microsoft.ContainerService/managedClusters/read",
        "Microsoft.ContainerService/managedClusters/write",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ),
    sources=(
        (
            "SDK azure-mgmt-containerservice 41.8.0 (names, If-Match, api-version; a versioned key "
            "is legacy KMS, a versionless one the new KMS)"
        ),
        "azure-aks-docs use-kms-etcd-encryption (encrypt and decrypt; rewrite every Secret; two keys at most)",
        "Azure/kubernetes-kms issue 291 (a second move before the Secrets are rewritten leaves the cluster updating)",
    ),
    can={
        Verb.REPOINT: Can.YES,
        Verb.ENABLE: Can.YES,
        Verb.SWITCH_KEY: Can.YES,
        Verb.SWITCH_VAULT: Can.UNVERIFIED,
        Verb.FOLLOW: Reason.CHANGES_MODE,
        Verb.PIN: Reason.CHANGES_MODE,
        Verb.REVERT: Can.YES,
    },
    needs=frozenset({May.PUT}),
    # A PATCH takes tags only, so it adds no identity; no firewall lets the plugin through [use-kms-etcd-encryption].
    acts=Acting(system=False, named=False, assigned=False, trusted=False),
    access=Access(CRYPTO_USER, ("encrypt", "decrypt")),
    notes=(
        (
            "The key here is the one that encrypts Secrets. A cluster's disks use a disk encryption set "
            "(diskEncryptionSetID, chosen at creation), whose key is changed at the set."
        ),
        (
            "Legacy KMS keeps two keys, and issue 291 tells of a cluster that a second move left in the state "
            f"Updating. So every move sets the tag {REWRITE} in the same PUT, and while it is there the app "
            "moves no further: secrets_not_rewritten."
        ),
        "A key without its version would turn legacy KMS into the new KMS, so the app never takes the version away.",
        (
            "A private key vault is reached through keyVaultResourceId, which stays as it is: moving to another vault "
            "is then by hand."
        ),
        "A cluster that is stopped is left as it is until somebody starts it.",
        "Which key types and sizes KMS takes is not documented.",
    ),
    afterwards=(
        "Rewrite every Secret (kubectl get secrets --all-namespaces -o json | kubectl replace -f -), keep the old "
        f"version enabled until then, and remove the tag {REWRITE}: the next move waits for that."
    ),
)
_ENCRYPTS_ANEW = replace(
    _LEGACY,
    follow=Follow.ALWAYS,
    picks_up_within=timedelta(hours=6),
    keep_old_for=timedelta(hours=24),
    can={
        **_LEGACY.can,
        Verb.REPOINT: Reason.ALWAYS_FOLLOWS,
        Verb.SWITCH_KEY: Can.UNVERIFIED,
        Verb.REVERT: Reason.CHANGES_MODE,
    },
    notes=(
        "New KMS needs Key Vault Contributor on the vault besides.",
        (
            "New KMS (Kubernetes 1.33 or later) looks for new versions every six hours and encrypts all Secrets anew "
            "by itself. How long that takes is not documented; a day is assumed."
        ),
        "It cannot be switched off; going over to the platform's key is a change of mode, by hand.",
    ),
    afterwards="",
)

CLUSTERS = Service(
    type="Microsoft.ContainerService/managedClusters",
    api_version=API_VERSION,
    traits=_LEGACY,
    read=_read_cluster,
    write=_write_cluster,
    main_slot=SLOT,
    kinds=MappingProxyType({_NEW_KMS.lower(): _ENCRYPTS_ANEW}),
    kind_of=_mode,
    settled=_settled,
    unfinished=_to_rewrite,
    through=_set_of,
)


SERVICES = (CLUSTERS,)
