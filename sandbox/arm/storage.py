"""Microsoft.Storage/storageAccounts: creation, and PATCH with the rules for customer-managed keys."""

from __future__ import annotations

import base64
import random
import re

from sandbox.arm import following, generic, identities
from sandbox.arm.encryption import CUSTOMER, PLATFORM, READ_ONLY, check, pointer_of_account
from sandbox.arm.request import Request
from sandbox.arm.store import copied, merged, require_place, save, stamp
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

SERVICE_OWNED = ("provisioningState", "creationTime", "primaryLocation", "statusOfPrimary", "primaryEndpoints")
_NAME = re.compile(r"[a-z0-9]{3,24}")
_POINTER = ("keyvaulturi", "keyname", "keyversion")


def put(world: World, request: Request) -> Answer:
    """PUT: create or replace, at once (Azure takes longer over a creation and answers 202 first)."""
    require_place(world, request.target)
    old, sent = world.resources.get(request.target.id), request.body()
    properties = request.properties()
    if old is None:
        _require_new(world, request, sent)
    body = generic.replaced(world, request, old, sent)
    kept = (old or {}).get("properties") or _defaults(world, body)
    body["properties"] = {
        **_writable(properties),
        **{name: kept[name] for name in SERVICE_OWNED if name in kept},
        "encryption": _fresh(world),
    }
    body["kind"] = body.get("kind") or (old or {}).get("kind") or "StorageV2"
    body["sku"] = _sku(body.get("sku") or (old or {}).get("sku") or {})
    body["tags"] = body.get("tags") or {}
    body = _encrypted(world, body, properties.get("encryption"))
    save(world, body)
    return Answer.of(body)


def patch(world: World, request: Request) -> Answer:
    """PATCH: 200 with the whole body; what `encryption` leaves out of `services` and `identity` survives."""
    old, sent = generic.read(world, request.target), request.body()
    properties = request.properties()
    body = generic.patched(world, old, {**sent, "properties": _writable(properties)})
    if "sku" in sent:
        body["sku"] = _sku(body.get("sku") or {})
    body = _encrypted(world, body, properties.get("encryption"))
    save(world, body)
    return Answer.of(body)


def list_keys(world: World, request: Request) -> Answer:
    """POST listKeys: two seeded access keys that open nothing."""
    body = generic.read(world, request.target)
    drawn = random.Random(f"{world.seed}: access keys of {str(body['id']).lower()}")
    created = (body.get("properties") or {}).get("creationTime", stamp(world.now()))
    keys = [
        {
            "creationTime": created,
            "keyName": name,
            "value": base64.b64encode(drawn.randbytes(64)).decode(),
            "permissions": "FULL",
        }
        for name in ("key1", "key2")
    ]
    return Answer.of({"keys": keys})


def _encrypted(world: World, body: Json, sent: Json | None) -> Json:
    """Return the body with the encryption that was sent; Refused 400 when storage would not take its key."""
    if sent is None:
        return body
    if not isinstance(sent, dict):
        raise Refused(400, "InvalidRequestContent", "The request content was invalid: encryption is no object.")
    before: Json = body["properties"].get("encryption") or {}
    after: Json = merged(
        {name: value for name, value in before.items() if name != "keyvaultproperties"},
        {name: value for name, value in sent.items() if name != "keyvaultproperties" and value is not None},
    )
    after["keySource"] = _source(str(after.get("keySource") or PLATFORM))
    if "identity" in sent:
        after = _with_identity(body, after, sent["identity"])
    encrypted = {**body, "properties": {**body["properties"], "encryption": after}}
    if after["keySource"].lower() != CUSTOMER:
        return encrypted
    after["keyvaultproperties"] = _key_of(before.get("keyvaultproperties") or {}, sent.get("keyvaultproperties"))
    pointer = pointer_of_account(after)
    if pointer is None:
        raise _invalid("keyvaultproperties")
    key, version = check(world, pointer, following.principal_for(world, encrypted))
    reported = before.get("keyvaultproperties") or {}
    members = following.effect(pointer, key, version, world.now())
    if reported.get("currentVersionedKeyIdentifier", "") == members["currentVersionedKeyIdentifier"]:
        members["lastKeyRotationTimestamp"] = reported.get("lastKeyRotationTimestamp", stamp(world.now()))
    following.start(world, str(body["id"]))
    return following.with_effect(encrypted, members)


def _source(sent: str) -> str:
    known = {PLATFORM: "Microsoft.Storage", CUSTOMER: "Microsoft.Keyvault"}
    if sent.lower() not in known:
        raise _invalid("keySource")
    return known[sent.lower()]


def _with_identity(body: Json, after: Json, sent: Json | None) -> Json:
    """Return the encryption with the identity that was sent; one that the account does not have raises Refused 400."""
    after.pop("identity", None)
    chosen = {name: value for name, value in (sent or {}).items() if value}
    user_assigned = chosen.get("userAssignedIdentity")
    if user_assigned:
        if (
            identities.principal(body.get("identity"), user_assigned) is None
            and "federatedIdentityClientId" not in chosen
        ):
            raise _invalid("encryption.identity.userAssignedIdentity")
        # [spec StorageAccountUpdateUserAssignedEncryptionIdentityWithCMK.json] answers in this spelling.
        chosen["userAssignedIdentity"] = user_assigned.replace("/resourceGroups/", "/resourcegroups/")
    return {**after, "identity": chosen} if chosen else after


def _key_of(before: Json, sent: Json | None) -> Json:
    if not sent:
        return dict(before)
    rest = {name: value for name, value in before.items() if name not in _POINTER}
    # The three that point belong together: a version that is left out is one that is not wanted.
    return {
        **rest,
        **{name: copied(value) for name, value in sent.items() if name not in READ_ONLY and value is not None},
    }


def _invalid(what: str) -> Refused:
    return Refused(400, "InvalidValuesForRequestParameters", f"Values for request parameters are invalid: {what}.")


def _writable(properties: Json) -> Json:
    return {name: value for name, value in properties.items() if name not in {*SERVICE_OWNED, "encryption"}}


def _require_new(world: World, request: Request, sent: Json) -> None:
    name = request.target.name
    if not _NAME.fullmatch(name):
        raise Refused(
            400,
            "AccountNameInvalid",
            f"{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in "
            "length and use numbers and lower-case letters only.",
        )
    if not sent.get("location"):
        raise Refused(400, "LocationRequired", "The location property is required for this definition.")
    if any(str(body["name"]).lower() == name for body in world.resources.of_type(request.target.type)):
        raise Refused(409, "StorageAccountAlreadyTaken", f"The storage account named {name} is already taken.")


def _sku(sku: Json) -> Json:
    name = str(sku.get("name") or "Standard_LRS")
    return {**sku, "name": name, "tier": name.partition("_")[0]}


def _fresh(world: World) -> Json:
    enabled = {"keyType": "Account", "enabled": True, "lastEnabledTime": stamp(world.now())}
    return {"services": {"file": dict(enabled), "blob": dict(enabled)}, "keySource": "Microsoft.Storage"}


def _defaults(world: World, body: Json) -> Json:
    name = body["name"]
    services = ("blob", "file", "queue", "table", "dfs")
    return {
        "provisioningState": "Succeeded",
        "creationTime": stamp(world.now()),
        "primaryLocation": body["location"],
        "statusOfPrimary": "available",
        "primaryEndpoints": {service: f"https://{name}.{service}.core.windows.net/" for service in services},
    }
