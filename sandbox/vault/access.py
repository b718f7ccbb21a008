"""Who may do what with a vault's keys: firewall, access policies, role assignments, a resource identity's rights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from sandbox.keyring import KeyVersion
from sandbox.wire import Json
from sandbox.world import World

VAULTS = "Microsoft.KeyVault/vaults"
ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
WRAPPING = ("get", "wrapKey", "unwrapKey")  # what a service's identity needs [services.md 1.1, 1.10]

_HERE = ip_address("127.0.0.1")
_DATA = "microsoft.keyvault/vaults/"
_ACTIONS = {
    "get": f"{_DATA}keys/read",
    "list": f"{_DATA}keys/read",
    "delete": f"{_DATA}keys/delete",
    "wrapkey": f"{_DATA}keys/wrap/action",
    "unwrapkey": f"{_DATA}keys/unwrap/action",
    "getrotationpolicy": f"{_DATA}keyrotationpolicies/read",
    "setrotationpolicy": f"{_DATA}keyrotationpolicies/write",
}
# The built-in roles' data actions by role id [services.md 1.10; the roles' definitions].
_ROLES: dict[str, tuple[str, ...]] = {
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": (
        f"{_DATA}keys/read",
        f"{_DATA}keys/wrap/action",
        f"{_DATA}keys/unwrap/action",
    ),
    "12338af0-0e69-4776-bea7-57ae8d297424": (
        f"{_DATA}keys/read",
        *(f"{_DATA}keys/{verb}/action" for verb in ("update", "backup", "encrypt", "decrypt")),
        *(f"{_DATA}keys/{verb}/action" for verb in ("wrap", "unwrap", "sign", "verify")),
    ),
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603": (f"{_DATA}keys/*", f"{_DATA}keyrotationpolicies/*"),
    "21090545-7ca7-4776-b22c-e363652d74d2": (f"{_DATA}*/read",),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": (f"{_DATA}*",),
}


@dataclass(frozen=True)
class _Grant:
    scope: str  # lower case
    role: str  # the role definition's guid, lower case
    since: datetime | None


def find_vault(world: World, host: str) -> Json | None:
    """Return the body of the vault whose vaultUri has this host (any case), or None."""
    host = host.lower()
    hosts: dict[str, str] = _memory(world).setdefault("hosts", {})
    body = world.resources.get(hosts.get(host, ""))
    if body is None or host_of(body) != host:
        hosts.clear()
        hosts.update({host_of(vault): str(vault["id"]) for vault in world.resources.of_type(VAULTS)})
        body = world.resources.get(hosts.get(host, ""))
    return body


def vault_named(world: World, name: str) -> Json | None:
    """Return the body of the vault of that name (any case), or None."""
    wanted = name.lower()
    guess = find_vault(world, f"{wanted}.vault.azure.net")
    if guess is not None and str(guess["name"]).lower() == wanted:
        return guess
    return next((one for one in world.resources.of_type(VAULTS) if str(one["name"]).lower() == wanted), None)


def host_of(vault: Json) -> str:
    """Return the data plane's host of a vault, in lower case."""
    uri = str((vault.get("properties") or {}).get("vaultUri") or f"https://{vault['name']}.vault.azure.net/")
    return (urlsplit(uri).hostname or "").lower()


def may(world: World, vault: Json, principal_id: str, permission: str, key_name: str = "") -> bool:
    """Return whether this principal has a data-plane key permission ("get", "wrapKey", ...; any case).

    By the access policies or, on a vault with RBAC, by role assignments at, above or (for a named key) on the key.
    """
    wanted = permission.lower()
    properties: Json = vault.get("properties") or {}
    if not properties.get("enableRbacAuthorization"):
        return any(
            wanted in granted or "all" in granted
            for granted in _policies(properties.get("accessPolicies"), principal_id)
        )
    target = f"{vault['id']}/keys/{key_name}".lower() if key_name else str(vault["id"]).lower()
    action = _ACTIONS.get(wanted, f"{_DATA}keys/{wanted}/action")
    youngest = world.now() - timedelta(seconds=float(_memory(world).get("propagation", 0)))
    return any(
        (grant.since is None or grant.since <= youngest)
        and _covers(world, grant.scope, target)
        and any(fnmatchcase(action, pattern) for pattern in _allowed(world, grant.role))
        for grant in _grants(world).get(principal_id.lower(), ())
    )


def wrap_problem(  # noqa: PLR0911  one line for each thing that can be wrong
    world: World,
    vault_host: str,
    key_name: str,
    version: str | None,
    principal_id: str,
    needs: tuple[str, ...] = WRAPPING,
) -> str | None:
    """Return why an identity cannot wrap and unwrap with a key version (None: the latest), or None when it can.

    `needs`: the permissions of services that want others.
    One of vault-not-found, forbidden, key-not-found, deleted, disabled, expired, not-yet-valid.
    """
    vault = find_vault(world, vault_host)
    if vault is None:
        return "vault-not-found"
    if firewall(vault) and (vault["properties"].get("networkAcls") or {}).get("bypass") == "None":
        return "forbidden"  # otherwise trusted services pass the firewall
    if not all(may(world, vault, principal_id, one, key_name) for one in needs):
        return "forbidden"
    key = world.keyring.get(str(vault["name"]), key_name)
    if key is None or not key.versions:
        return "key-not-found"
    if key.deleted is not None:
        return "deleted"
    found = key.find(version) if version else key.latest
    if found is None:
        return "key-not-found"
    return state(found, world.now()) or (None if {*needs} - {"get", "list"} <= {*found.operations} else "forbidden")


def state(version: KeyVersion, now: datetime) -> str | None:
    """Return disabled, expired or not-yet-valid, or None for a version that may do everything."""
    if not version.enabled:
        return "disabled"
    if version.expires is not None and version.expires <= now:
        return "expired"
    if version.not_before is not None and version.not_before > now:
        return "not-yet-valid"
    return None


def firewall(vault: Json) -> str | None:
    """Return what the vault's network rules say to a caller from the internet: a refusal's inner code, or None."""
    properties = vault.get("properties") or {}
    if str(properties.get("publicNetworkAccess", "")).lower() == "disabled":
        return "ForbiddenByConnection"
    if str((properties.get("networkAcls") or {}).get("defaultAction", "")).lower() == "deny":
        return "ForbiddenByFirewall"
    return None


def comes_from_allowed(vault: Json) -> bool:
    """Return whether the vault's IP rules let the sandbox's callers in: they all come from this machine."""
    properties = vault.get("properties") or {}
    rules = (properties.get("networkAcls") or {}).get("ipRules") or ()
    public = str(properties.get("publicNetworkAccess", "")).lower() != "disabled"
    return public and any(_HERE in ip_network(str(one.get("value")), strict=False) for one in rules)


def data_actions(world: World, principal_id: str, scope: str) -> tuple[str, ...]:
    """Return what a principal's roles let it do with the data of vaults at a scope."""
    grants = _grants(world).get(principal_id.lower(), ())
    here = (grant.role for grant in grants if _covers(world, grant.scope, scope.lower()))
    return tuple(dict.fromkeys(action for role in here for action in _allowed(world, role)))


def strict(world: World) -> bool:
    """Return whether data-plane callers are judged too; resource identities always are."""
    return bool(_memory(world).get("strict"))


def _memory(world: World) -> dict[str, Any]:
    memory: dict[str, Any] = world.memory.setdefault("vault", {})
    return memory


def _policies(policies: Iterable[Json] | None, principal_id: str) -> Iterable[set[str]]:
    for policy in policies or ():
        if str(policy.get("objectId", "")).lower() == principal_id.lower():
            yield {str(one).lower() for one in (policy.get("permissions") or {}).get("keys") or ()}


def _covers(world: World, scope: str, target: str) -> bool:
    if scope in {"", target} or target.startswith(scope + "/"):
        return True
    group = scope.partition("/providers/microsoft.management/managementgroups/")[2]
    subscription = world.subscriptions.get(target.split("/")[2], {})
    return bool(group) and str(subscription.get("managementGroup", "")).lower() == group


def _allowed(world: World, role: str) -> tuple[str, ...]:
    if role in _ROLES:
        return _ROLES[role]
    for body in world.resources.of_type("Microsoft.Authorization/roleDefinitions"):
        if str(body["id"]).lower().rpartition("/")[2] == role:
            permissions = (body.get("properties") or {}).get("permissions") or ()
            return tuple(str(action).lower() for one in permissions for action in one.get("dataActions") or ())
    return ()


def _grants(world: World) -> dict[str, list[_Grant]]:
    memory = _memory(world)
    changes = world.resources.changes(ASSIGNMENTS)
    if memory.get("grantsAt") != changes:
        index: dict[str, list[_Grant]] = {}
        for body in world.resources.of_type(ASSIGNMENTS):
            properties = body.get("properties") or {}
            scope = properties.get("scope") or str(body["id"]).partition(f"/providers/{ASSIGNMENTS}/")[0]
            role = str(properties.get("roleDefinitionId", "")).lower().rpartition("/")[2]
            grant = _Grant(str(scope).lower().rstrip("/"), role, _moment(properties.get("createdOn")))
            index.setdefault(str(properties.get("principalId", "")).lower(), []).append(grant)
        memory["grants"], memory["grantsAt"] = index, changes
    grants: dict[str, list[_Grant]] = memory["grants"]
    return grants


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
