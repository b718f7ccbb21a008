"""Microsoft.Storage/storageAccounts/encryptionScopes: their own key, their account's identity [services.md 1.2]."""

from __future__ import annotations

from sandbox.arm import following, generic
from sandbox.arm.encryption import CUSTOMER, PLATFORM, READ_ONLY, check, pointer_of_scope
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import copied, require_place, save, stamp
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

PAGE = 5000  # scopes, where the caller names no $maxpagesize
_SOURCES = {PLATFORM: "Microsoft.Storage", CUSTOMER: "Microsoft.KeyVault"}
_STATES = {"enabled": "Enabled", "disabled": "Disabled"}
_OWNED = ("creationTime", "lastModifiedTime")


def list_(world: World, request: Request) -> Answer:
    """GET of an account's scopes; `$include` is All, Enabled or Disabled, `$filter` is startswith(name, '...')."""
    wanted = request.call.query.get("$include", "All").lower()
    begin = request.call.query.get("$filter", "").replace(" ", "").removeprefix("startswith(name,'").removesuffix("')")
    found = (
        body
        for body in generic.bodies(world, request.target)
        if wanted in {"all", str(body["properties"].get("state", "")).lower()} and str(body["name"]).startswith(begin)
    )
    return page(request.call, found, size=PAGE)


def put(world: World, request: Request) -> Answer:
    """PUT: 201 for a new scope, 200 for a known one."""
    require_place(world, request.target)
    old, sent = world.resources.get(request.target.id), request.properties()
    now = stamp(world.now())
    body = generic.replaced(world, request, old, {})
    body.pop("systemData", None)
    body["properties"] = {
        "source": _SOURCES[PLATFORM],
        "state": "Enabled",
        "creationTime": ((old or {}).get("properties") or {}).get("creationTime", now),
    }
    body = save(world, _changed(world, body, sent, (old or {}).get("properties") or {}))
    return Answer.of(body, 200 if old is not None else 201)


def patch(world: World, request: Request) -> Answer:
    """PATCH: 200 with the whole body; what is left out survives."""
    old = generic.read(world, request.target)
    body = save(world, _changed(world, copied(old), request.properties(), old["properties"]))
    return Answer.of(body)


def delete(_world: World, request: Request) -> Answer:
    """DELETE: there is none; a scope can only be disabled."""
    raise Refused(
        405,
        "MethodNotAllowed",
        f"The resource type '{request.target.type}' does not support the http method 'DELETE'.",
    )


def _changed(world: World, body: Json, sent: Json, before: Json) -> Json:
    properties: Json = dict(body["properties"])
    plain = {name: value for name, value in sent.items() if name not in {*_OWNED, "keyVaultProperties"}}
    properties.update({name: copied(value) for name, value in plain.items() if value is not None})
    properties["source"] = _known(_SOURCES, properties, "source")
    properties["state"] = _known(_STATES, properties, "state")
    properties["lastModifiedTime"] = stamp(world.now())
    if properties["source"].lower() == PLATFORM:
        properties.pop("keyVaultProperties", None)
        return {**body, "properties": properties}
    key_sent = {name: value for name, value in (sent.get("keyVaultProperties") or {}).items() if name not in READ_ONLY}
    properties["keyVaultProperties"] = {**(properties.get("keyVaultProperties") or {}), **key_sent}
    result = {**body, "properties": properties}
    if not key_sent and plain.get("source") is None:
        return result  # the key was not spoken of
    pointer = pointer_of_scope(properties)
    if pointer is None:
        raise _invalid("keyVaultProperties.keyUri")
    key, version = check(world, pointer, following.principal_for(world, result))
    members = following.effect(pointer, key, version, world.now())
    reported = before.get("keyVaultProperties") or {}
    if reported.get("currentVersionedKeyIdentifier", "") == members["currentVersionedKeyIdentifier"]:
        members["lastKeyRotationTimestamp"] = reported.get("lastKeyRotationTimestamp", stamp(world.now()))
    following.start(world, str(body["id"]))
    return following.with_effect(result, members)


def _known(table: dict[str, str], properties: Json, name: str) -> str:
    found = table.get(str(properties.get(name, "")).lower())
    if found is None:
        raise _invalid(name)
    return found


def _invalid(what: str) -> Refused:
    return Refused(400, "InvalidValuesForRequestParameters", f"Values for request parameters are invalid: {what}.")
