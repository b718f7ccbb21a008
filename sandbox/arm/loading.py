"""Completing the bodies of an estate: what ARM would have filled in when the resources were made."""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox.arm import following, identities, naming, searchservices
from sandbox.arm.keyed import uses
from sandbox.arm.target import GROUPS, Target, group_of, parse, subscription_of
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault
from sandbox.wire import Json
from sandbox.world import World

PLACE = "westeurope"  # of what the estate gives no location
_STORAGE = {following.ACCOUNTS, following.SCOPES}


def add(world: World, body: Json) -> None:
    """Put a body into the world, name, type and identity completed; raises ValueError for an id that names nothing."""
    target = parse(str(body["id"]))
    if not target.subscription or not target.type or target.collection:
        raise ValueError("the id does not name a resource in a subscription")
    body = naming.spelled(body, naming.model(target.type))
    completed = {**body, "id": target.id, "name": body.get("name") or target.name, "type": _type(target)}
    if isinstance(body.get("identity"), dict):
        completed["identity"] = identities.completed(world, body["identity"])
    properties = body.get("properties")
    completed["properties"] = properties if isinstance(properties, dict) else {}
    lower = completed["type"].lower()
    if lower == identities.UAI.lower():
        completed["properties"] = {**identities.assigned(world, target.id), **completed["properties"]}
    elif lower == "microsoft.keyvault/vaults":
        completed["properties"] = {**_vault(world, target.name), **completed["properties"]}
    elif lower == following.ACCOUNTS:
        completed.setdefault("location", PLACE)
    _add_place(world, target)
    world.resources.put(completed)


def add_vault(world: World, subscription: str, name: str) -> None:
    """Put a vault with RBAC and purge protection into the resource group "vaults"."""
    id_ = f"/subscriptions/{subscription}/resourceGroups/vaults/providers/Microsoft.KeyVault/vaults/{name}"
    protected = {"enablePurgeProtection": True, "enableRbacAuthorization": True, "softDeleteRetentionInDays": 90}
    add(world, {"id": id_, "location": PLACE, "tags": {}, "properties": protected})


def adopt_keys(world: World) -> None:
    """Move keys that are written as ARM shows them (vaults/keys, vaults/keys/versions) into the vaults' keyring."""
    for type_ in ("Microsoft.KeyVault/vaults/keys/versions", "Microsoft.KeyVault/vaults/keys"):
        for body in world.resources.of_type(type_):
            parts = str(body["id"]).split("/")
            _adopt(world, vault=parts[8], name=parts[10], properties=body["properties"])
            world.resources.remove(str(body["id"]))


def _adopt(world: World, *, vault: str, name: str, properties: Json) -> None:
    version = str(properties.get("keyUriWithVersion") or "").rpartition("/")[2] or world.new_version()
    attributes = properties.get("attributes") or {}
    created = _time(attributes.get("created")) or world.now()
    key = world.keyring.get(vault, name)
    if key is None:
        key = Key(vault.lower(), name, str(properties.get("kty") or "RSA"), int(properties.get("keySize") or 3072))
        world.keyring.add(key)
    if key.find(version) is None:
        found = KeyVersion(version, created, _time(attributes.get("updated")) or created)
        found.enabled = attributes.get("enabled") is not False
        found.not_before, found.expires = _time(attributes.get("nbf")), _time(attributes.get("exp"))
        found.operations = tuple(properties.get("keyOps") or found.operations)
        key.versions.append(found)
        key.versions.sort(key=lambda one: one.created)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def complete(world: World) -> None:
    """Fill in what services report of the keys in effect, where the estate says nothing; followers have just looked."""
    uses.complete(world)
    searchservices.complete(world)
    for type_ in sorted(_STORAGE):
        for body in world.resources.of_type(type_):
            pointer = following.pointer_of(body)
            if pointer is None:
                continue
            following.start(world, str(body["id"]))
            vault = find_vault(world, pointer.host)
            key = world.keyring.get(str(vault["name"]), pointer.name) if vault else None
            version = _version(key, pointer.version or following.in_effect(body))
            if key is not None and version is not None:
                effect = following.effect(pointer, key, version, version.created)
                said = following.reported(body)
                missing = {name: value for name, value in effect.items() if not said.get(name)}
                world.resources.put(following.with_effect(body, missing))


def _version(key: Key | None, wanted: str) -> KeyVersion | None:
    if key is None or not key.versions:
        return None
    return key.find(wanted) if wanted else key.latest


def _type(target: Target) -> str:
    return GROUPS if target.type.lower() == GROUPS.lower() else target.type


def _vault(world: World, name: str) -> Json:
    return {
        "tenantId": world.tenant_id,
        "sku": {"family": "A", "name": "standard"},
        "vaultUri": f"https://{name.lower()}.vault.azure.net/",
        "provisioningState": "Succeeded",
        "enableSoftDelete": True,
        "accessPolicies": [],
    }


def _add_place(world: World, target: Target) -> None:
    subscription = subscription_of(target.id)
    if subscription not in world.subscriptions:
        world.subscriptions[subscription] = {"subscriptionId": subscription, "displayName": subscription}
    group = group_of(target.id)
    if not group or target.type.lower() == GROUPS.lower():
        return
    id_ = f"/subscriptions/{subscription}/resourceGroups/{group}"
    if world.resources.get(id_) is None:
        properties = {"provisioningState": "Succeeded"}
        world.resources.put(
            {"id": id_, "name": group, "type": GROUPS, "location": PLACE, "tags": {}, "properties": properties}
        )
