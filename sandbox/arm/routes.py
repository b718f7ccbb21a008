"""Which rules hold for which type. A type that is not here is read, written and listed as any resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sandbox.arm import (
    connections,
    containers,
    diagnostics,
    generic,
    managementgroups,
    operations,
    permissions,
    providers,
    roles,
    scopes,
    searchservices,
    services,
    softdelete,
    storage,
    tags,
    vaultkeys,
    vaults,
)
from sandbox.arm import target as known
from sandbox.arm.keyed import compute, sql, writing
from sandbox.arm.keyed.table import TABLE
from sandbox.arm.request import Operation, Request
from sandbox.wire import Answer, Refused
from sandbox.world import World


def not_here(_world: World, request: Request) -> Answer:
    """Refuse what the sandbox does not do: 501 with what was asked."""
    raise Refused(501, "NotInSandbox", f"The sandbox's ARM does not do {request.call.method} {request.call.path}.")


def not_allowed(_world: World, request: Request) -> Answer:
    """Refuse a method that the type does not have."""
    raise Refused(
        405, "MethodNotAllowed", f"'{request.target.type}' does not support the http method '{request.call.method}'."
    )


@dataclass(frozen=True)
class Rules:
    """A type's operations; `actions` are its POSTs, by name in lower case."""

    get: Operation = generic.get
    list: Operation = generic.list_
    put: Operation = generic.put
    patch: Operation = generic.patch
    delete: Operation = generic.delete
    actions: Mapping[str, Operation] = field(default_factory=dict)

    def of(self, method: str, *, collection: bool) -> Operation:
        """Return the operation for a method other than POST; one that does not exist refuses."""
        if collection:
            return self.list if method in {"GET", "HEAD"} else not_allowed
        table = {"GET": self.get, "HEAD": self.get, "PUT": self.put, "PATCH": self.patch, "DELETE": self.delete}
        return table.get(method, not_allowed)


def _reading(get: Operation, list_: Operation, actions: Mapping[str, Operation] | None = None) -> Rules:
    return Rules(get, list_, not_allowed, not_allowed, not_allowed, actions or {})


ANY: Final = Rules()
_KEYED: Final = Rules(put=writing.put, patch=writing.patch)
_OPERATIONS: Final = _reading(operations.get, not_here)

_TABLE: Final = {
    known.TENANTS: _reading(not_here, containers.list_tenants),
    known.SUBSCRIPTIONS: _reading(containers.get_subscription, containers.list_subscriptions),
    known.GROUPS: Rules(put=containers.put_group),
    known.RESOURCES: _reading(not_here, containers.list_resources),
    known.LOCATIONS: _reading(not_here, containers.list_locations),
    known.PROVIDERS: _reading(
        providers.get,
        providers.list_,
        {
            "register": providers.register,
            "checknameavailability": containers.check_name,
            "checkmhsmnameavailability": containers.check_name,
        },
    ),
    managementgroups.TYPE: _reading(managementgroups.get, managementgroups.list_),
    f"{managementgroups.TYPE}/descendants": _reading(not_here, managementgroups.list_descendants),
    "Microsoft.Resources/tags": Rules(tags.get, not_here, tags.put, tags.patch, tags.delete),
    "Microsoft.Storage/storageAccounts": Rules(
        put=storage.put, patch=storage.patch, actions={"listkeys": storage.list_keys}
    ),
    "Microsoft.Storage/storageAccounts/encryptionScopes": Rules(
        list=scopes.list_, put=scopes.put, patch=scopes.patch, delete=scopes.delete
    ),
    **{
        f"{services.ACCOUNT}/{name}": Rules(services.get, services.list_, services.put, not_allowed, not_allowed)
        for name in services.NAMES
    },
    "Microsoft.CognitiveServices/accounts/encryptionScopes": Rules(put=writing.put, patch=not_allowed),
    **{
        type_: Rules(
            connections.get,
            connections.list_,
            connections.put,
            not_allowed,
            actions={"listsecrets": connections.list_secrets},
        )
        for type_ in connections.TYPES
    },
    "Microsoft.Compute/diskEncryptionSets/associatedResources": _reading(not_here, compute.associated),
    "Microsoft.Compute/disks": Rules(put=compute.put_disk, patch=compute.patch_disk),
    "Microsoft.Compute/snapshots": Rules(put=compute.put_disk, patch=compute.patch_disk),
    **{
        f"Microsoft.Sql/{server}/{child}": rules
        for server in ("servers", "managedInstances")
        for child, rules in (
            ("keys", Rules(put=writing.put, patch=not_allowed)),
            (
                "encryptionProtector",
                Rules(sql.get, sql.list_, sql.put, not_allowed, not_allowed, {"revalidate": sql.revalidate}),
            ),
        )
    },
    "Microsoft.Search/searchServices": Rules(
        put=searchservices.put, patch=searchservices.patch, actions={"listadminkeys": searchservices.list_keys}
    ),
    "Microsoft.Synapse/workspaces/keys": Rules(put=writing.put, patch=not_allowed),
    "Microsoft.KeyVault/vaults": Rules(put=vaults.put, patch=vaults.patch, delete=softdelete.delete),
    "Microsoft.KeyVault/vaults/accessPolicies": Rules(
        not_allowed, not_allowed, vaults.put_policies, not_allowed, not_allowed
    ),
    "Microsoft.KeyVault/vaults/keys": Rules(vaultkeys.get, vaultkeys.list_, vaultkeys.put, not_allowed, not_allowed),
    "Microsoft.KeyVault/vaults/keys/versions": _reading(vaultkeys.get_version, vaultkeys.list_versions),
    "Microsoft.KeyVault/deletedVaults": _reading(not_here, softdelete.list_),
    "Microsoft.KeyVault/locations/deletedVaults": _reading(softdelete.get, not_here, {"purge": softdelete.purge}),
    diagnostics.TYPE: Rules(diagnostics.get, diagnostics.list_, diagnostics.put, not_allowed),
    permissions.TYPE: _reading(not_here, permissions.list_),
    permissions.METRICS: _reading(not_here, permissions.metrics),
    roles.ASSIGNMENTS: Rules(list=roles.list_, put=roles.put, patch=not_allowed, delete=roles.delete),
    roles.DEFINITIONS: Rules(get=roles.get_definition, list=roles.list_definitions),
}
_BY_TYPE: Final = {
    **dict.fromkeys(TABLE, _KEYED),
    **{type_.lower(): rules for type_, rules in _TABLE.items()},
}


def rules_for(type_: str) -> Rules:
    """Return the rules of a type (any case)."""
    lower = type_.lower()
    return _OPERATIONS if lower.endswith(operations.TYPES) else _BY_TYPE.get(lower, ANY)
