"""Data Explorer clusters (Kusto) and Log Analytics clusters: one shape, in one object. Facts: services.md 2
(docs/sources.md).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup, replaced, text
from shared.domain.keys import RSA_2048_TO_4096, KeyRules
from shared.domain.resource import Change, Edit, Json, KeyUse, Request
from shared.domain.service import Can, Service, Verb
from shared.services.pointers import Split, aimed, patch
from shared.services.taken_for_granted import FOLLOWING

KUSTO_VERSION = "2025-02-14"  # [SDK azure-mgmt-kusto 4.0.0]
LOGS_VERSION = "2025-07-01"  # [SDK azure-mgmt-loganalytics 14.0.0]
SLOT = "keyVaultProperties"

_KEY = Split()
_RSA_2048 = frozenset((kty, 2048) for kty in ("RSA", "RSA-HSM"))


def _read(body: Json) -> tuple[KeyUse, ...]:
    key = lookup(body, "properties", SLOT)
    if not any(text(lookup(key, one)) for one in (_KEY.vault, _KEY.name)):
        return ()
    configured = _KEY.read(key)
    foreign = bool(text(lookup(key, "federatedIdentityClientId")))
    return (KeyUse(SLOT, configured, configured.version is None, tenant_is_foreign=foreign),)


def _writer(api_version: str, identity: str) -> Callable[[Json, tuple[Edit, ...]], tuple[Request, ...]]:
    """Return the `write` of a type; `identity`: the member that names the identity that reaches the key, if any."""

    def write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
        (edit,) = edits
        if not isinstance(edit, Change):
            cleared = dict.fromkeys((_KEY.vault, _KEY.name, _KEY.version), "")
            return (patch(body, api_version, {"properties": {SLOT: cleared}}),)
        key = _KEY.pointing(lookup(body, "properties", SLOT), aimed(edit))
        if identity and edit.identity is not None:
            key = replaced(key, identity, edit.identity or None)
        return (patch(body, api_version, {"properties": {SLOT: key}}),)

    return write


def _clusters(
    type_: str, api_version: str, identity: str, accepts: KeyRules, can: dict[Verb, Can], *told: tuple[str, ...]
) -> Service:
    sources, notes = told
    return Service(
        type=type_,
        api_version=api_version,
        traits=replace(
            FOLLOWING,
            accepts=accepts,
            actions=(f"{type_}/read", f"{type_}/write"),
            sources=sources,
            can={**dict.fromkeys(Verb, Can.YES), **can},
            acts=Acting(named=bool(identity), trusted=None),
            same_region=True,
            notes=(*notes, "How soon a follower takes a new version up is not documented: the app gives it a day."),
        ),
        read=_read,
        write=_writer(api_version, identity),
        main_slot=SLOT,
    )


SERVICES = (
    _clusters(
        "Microsoft.Kusto/clusters",
        KUSTO_VERSION,
        "userIdentity",
        KeyRules(_RSA_2048),
        {Verb.SWITCH_VAULT: Can.UNVERIFIED, Verb.REVERT: Can.UNVERIFIED},
        (
            "SDK azure-mgmt-kusto 4.0.0 (names, verbs, api-version; without a version: the latest)",
            "learn data-explorer/customer-managed-keys (RSA 2048, same region)",
        ),
        ("By what request a key is removed is not documented.",),
    ),
    _clusters(
        "Microsoft.OperationalInsights/clusters",
        LOGS_VERSION,
        "",
        KeyRules(RSA_2048_TO_4096),
        {Verb.SWITCH_VAULT: Can.UNVERIFIED},
        (
            "SDK azure-mgmt-loganalytics 14.0.0 (names, verbs, api-version)",
            "azure-docs azure-monitor/logs/customer-managed-keys (empty version: the latest; cleared fields: no key)",
        ),
        (
            "Azure takes no change of identity and key at once, and only new data gets the key.",
            "The key must be of the cluster's tenant.",
        ),
    ),
)
