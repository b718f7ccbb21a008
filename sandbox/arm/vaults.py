"""Microsoft.KeyVault/vaults: creation, PATCH, access policies [services.md 1.10]."""

from __future__ import annotations

import re
from typing import Any

from sandbox.arm import generic
from sandbox.arm.providers import require_location
from sandbox.arm.request import Request
from sandbox.arm.softdelete import recoverable, recovered
from sandbox.arm.store import copied, merged, require_place, save
from sandbox.vault.access import VAULTS, vault_named
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

RBAC_BY_DEFAULT = "2026-02-01"  # since this api-version new vaults have RBAC [access-control-default.md]
MOST_POLICIES = 1024
DAYS = range(7, 91)  # of softDeleteRetentionInDays

_NAME = re.compile(r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
_SERVICE_OWNED = ("vaultUri", "provisioningState", "hsmPoolResourceId", "privateEndpointConnections", "createMode")


def put(world: World, request: Request) -> Answer:
    """PUT: create (201) or update (200); `createMode: recover` brings a deleted vault back."""
    require_place(world, request.target)
    old, sent = world.resources.get(request.target.id), request.body()
    properties = request.properties()
    if old is None and str(properties.get("createMode", "")).lower() == "recover":
        return Answer.of(save(world, recovered(world, request.target.name)), 201)
    if old is None:
        _require_new(world, request.target.name, sent)
    before: Json = (old or {}).get("properties") or _defaults(world, request)
    _judge(before, properties, new=old is None)
    body = generic.replaced(world, request, old, sent)
    body["tags"] = body.get("tags") or {}
    body["properties"] = _changed(before, properties)
    _tell(world, old, save(world, body))
    return Answer.of(body, 200 if old is not None else 201)


def patch(world: World, request: Request) -> Answer:
    """PATCH: 200; accessPolicies and networkAcls that are sent replace all that were there."""
    old = generic.read(world, request.target)
    properties = request.properties()
    _judge(old["properties"], properties, new=False)
    body = generic.patched(world, old, {**request.body(), "properties": {}})
    body["properties"] = _changed(old["properties"], properties)
    _tell(world, old, save(world, body))
    return Answer.of(body)


def put_policies(world: World, request: Request) -> Answer:
    """PUT of accessPolicies/add, /replace or /remove: changes the entries of the principals that are named."""
    vault_target_id, kind = request.target.parent, request.target.name.lower()
    old = world.resources.get(vault_target_id)
    if old is None:
        require_place(world, request.target)
        raise Refused(404, "ResourceNotFound", f"The vault '{vault_target_id}' was not found.")
    if kind not in {"add", "replace", "remove"}:
        raise _bad(f"The operation kind '{request.target.name}' is none of add, replace, remove.")
    policies = {_who(one): one for one in old["properties"].get("accessPolicies") or []}
    for one in _policies(request.properties().get("accessPolicies") or []):
        who = _who(one)
        known = (policies.get(who) or {}).get("permissions") or {}
        granted = _permissions(known, one.get("permissions") or {}, kind)
        if kind == "remove" and not any(granted.values()):
            policies.pop(who, None)
        elif kind != "remove" or who in policies:
            policies[who] = {**(policies.get(who) or {}), **one, "permissions": granted}
    after = list(policies.values())
    if len(after) > MOST_POLICIES:
        raise _bad(f"A vault can have at most {MOST_POLICIES} access policies.")
    body = {**old, "properties": {**old["properties"], "accessPolicies": copied(after)}}
    _tell(world, old, save(world, body))
    shown = {
        "id": f"{old['id']}/accessPolicies/",
        "type": "Microsoft.KeyVault/vaults/accessPolicies",
        "location": old.get("location"),
        "properties": {"accessPolicies": after},
    }
    return Answer.of(shown)


def _permissions(known: Json, sent: Json, kind: str) -> Json:
    result: Json = (
        {} if kind == "replace" else {name: list(given) for name, given in known.items() if given is not None}
    )
    for name, given in sent.items():
        there = result.get(name, [])
        lower = {str(one).lower() for one in given or []}
        if kind == "remove":
            result[name] = [] if "all" in lower else [one for one in there if str(one).lower() not in lower]
        else:
            have = {str(one).lower() for one in there}
            result[name] = [*there, *(one for one in given or [] if str(one).lower() not in have)]
    return result


def _who(policy: Json) -> tuple[str, str]:
    return str(policy.get("objectId", "")).lower(), str(policy.get("applicationId") or "").lower()


def _policies(found: Any) -> list[Json]:
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("objectId") for one in found):
        raise _bad("accessPolicies must be a list of objects with an objectId.")
    if len(found) > MOST_POLICIES:
        raise _bad(f"A vault can have at most {MOST_POLICIES} access policies.")
    return found


def _changed(before: Json, sent: Json) -> Json:
    changes = {name: value for name, value in sent.items() if value is not None and name not in _SERVICE_OWNED}
    if "accessPolicies" in changes:
        changes["accessPolicies"] = copied(_policies(changes["accessPolicies"]))
    if "networkAcls" in changes:
        before = {**before, "networkAcls": {}}
    return merged(before, changes)


def _judge(before: Json, sent: Json, *, new: bool) -> None:
    """Raise Refused 400 for what cannot be: protection that is taken back, a retention that changes."""
    if sent.get("enablePurgeProtection") is False:
        raise _bad(
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is '
            "an irreversible action."
        )
    if sent.get("enableSoftDelete") is False and before.get("enableSoftDelete") is not False:
        raise _bad(
            'The property "enableSoftDelete" cannot be set to false. Enabling the soft delete for a vault is an '
            "irreversible action."
        )
    days = sent.get("softDeleteRetentionInDays")
    if days is not None and days not in DAYS:
        raise _bad(f'The property "softDeleteRetentionInDays" must be between {DAYS[0]} and {DAYS[-1]}.')
    if not new and days not in {None, before.get("softDeleteRetentionInDays")}:
        raise _bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')


def _tell(world: World, old: Json | None, body: Json) -> None:
    """Emit VaultAccessPolicyChanged when policies or the switch to RBAC changed; a new vault has no listener yet."""
    if old is None:
        return
    before, after = old["properties"], body["properties"]
    same = (before.get("accessPolicies") or []) == (after.get("accessPolicies") or [])
    if same and bool(before.get("enableRbacAuthorization")) == bool(after.get("enableRbacAuthorization")):
        return
    name = str(body["name"])
    data: Json = {
        "Id": str(after.get("vaultUri", f"https://{name}.vault.azure.net")).rstrip("/"),
        "VaultName": name,
        "ObjectType": "Vault",
        "ObjectName": name,
        "Version": None,
        "NBF": None,
        "EXP": None,
    }
    world.emit(str(body["id"]), name, "Microsoft.KeyVault.VaultAccessPolicyChanged", data)


def _require_new(world: World, name: str, sent: Json) -> None:
    if not _NAME.fullmatch(name):
        raise Refused(400, "VaultNameNotValid", f"The vault name '{name}' is invalid.")
    if not sent.get("location"):
        raise Refused(400, "LocationRequired", "The location property is required for this definition.")
    require_location(world, VAULTS, str(sent["location"]))
    if recoverable(world, name) is not None:
        raise Refused(
            409,
            "ConflictError",
            f"A vault with the same name already exists in deleted state. Recover or purge it: {name}",
        )
    if vault_named(world, name) is not None:
        raise Refused(409, "VaultAlreadyExists", f"The vault name '{name}' is already in use.")


def _defaults(world: World, request: Request) -> Json:
    return {
        "tenantId": world.tenant_id,
        "sku": {"family": "A", "name": "standard"},
        "vaultUri": f"https://{request.target.name.lower()}.vault.azure.net/",
        "provisioningState": "Succeeded",
        "enabledForDeployment": False,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": 90,
        "enableRbacAuthorization": request.api_version[:10] >= RBAC_BY_DEFAULT,
        "publicNetworkAccess": "Enabled",
        "accessPolicies": [],
    }


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)
