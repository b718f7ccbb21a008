"""Microsoft.Sql servers and managed instances: their keys, and the protector that names one of them [services.md 2].

A key without a version is UNVERIFIED and refused here. Partners in a failover group must have the key first (Azure's
service operator, issue 5377: the check is symmetric). Not modelled: groups of managed instances, databases' own keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha1
from typing import Final

from sandbox.arm import generic
from sandbox.arm.encryption import Pointer
from sandbox.arm.keyed import uses, writing
from sandbox.arm.keyed.rules import HOUR, Keyed, Place, Use, at, identifier, named, refuse, system
from sandbox.arm.operations import Style
from sandbox.arm.request import Request
from sandbox.arm.store import merged, save
from sandbox.arm.target import Target, parse
from sandbox.keyring import Key, KeyVersion
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

_MANAGED = "ServiceManaged"
_WHEN = ("properties.serverKeyType", "azurekeyvault")


def _name(pointer: Pointer) -> str:
    return f"{pointer.host.partition('.')[0]}_{pointer.name}_{pointer.version}"


def _thumbprint(uri: str) -> str:
    return sha1(uri.lower().encode(), usedforsecurity=False).hexdigest().upper()


def _by_its_name(_world: World, _old: Json | None, new: Json) -> None:
    pointer = identifier(str(at(new, "properties.uri") or ""))
    if pointer is None or _name(pointer).lower() != str(new["name"]).lower():
        raise refuse(KEYS, f"The server key '{new['name']}' must be named by its vault, key and version.")


def _key_of(world: World, new: Json) -> Json:
    """Return the protector with the URI of the server key that it names; Refused 404 when the server has none such."""
    name = str(at(new, "properties.serverKeyName") or "")
    if str(at(new, _WHEN[0])).lower() != _WHEN[1]:
        plain = {"uri": None, "thumbprint": None, "serverKeyName": _MANAGED, "serverKeyType": _MANAGED}
        return merged(new, {"kind": "servicemanaged", "properties": plain})
    server = str(new["id"]).rsplit("/", 2)[0]
    known = world.resources.get(f"{server}/keys/{name}")
    if known is None:
        raise Refused(404, "ServerKeyNotFound", f"The server key '{name}' could not be found.")
    uri = at(known, "properties.uri")
    return merged(new, {"kind": "azurekeyvault", "properties": {"uri": uri, "thumbprint": _thumbprint(str(uri))}})


def _partners_have_it(world: World, _old: Json | None, new: Json) -> None:
    server, name = str(new["id"]).rsplit("/", 2)[0], str(at(new, "properties.serverKeyName"))
    if str(at(new, _WHEN[0])).lower() != _WHEN[1]:
        return
    for partner in _partners(world, server.lower()):
        if world.resources.get(f"{partner}/keys/{name}") is None:
            code = "SameKeyMaterialNotFoundOnRemoteServer"
            raise Refused(400, code, f"The key '{name}' must be on the partner server '{partner}' first.")


def _partners(world: World, server: str) -> Iterator[str]:
    for group in world.resources.of_type("Microsoft.Sql/servers/failoverGroups"):
        primary = str(group["id"]).lower().rsplit("/", 2)[0]
        others = [str(one.get("id", "")).lower() for one in at(group, "properties.partnerServers") or ()]
        if server == primary or server in others:
            yield from (one for one in (primary, *others) if one != server)


def _shows(_body: Json, use: Use, key: Key, version: KeyVersion, _when: str) -> Json:
    pointer = replace(use.pointer, name=key.name, version=version.version)
    uri = pointer.identifier(key, version)
    return {"properties": {"serverKeyName": _name(pointer), "uri": uri, "thumbprint": _thumbprint(uri)}}


def _added(world: World, body: Json, use: Use, key: Key, version: KeyVersion) -> None:
    """Give the server the key that its protector has taken up by itself."""
    server = str(body["id"]).rsplit("/", 2)[0]
    shown = _shows(body, use, key, version, "")["properties"]
    id_ = f"{server}/keys/{shown['serverKeyName']}"
    if world.resources.get(id_) is None:
        type_ = str(body["type"]).rpartition("/")[0] + "/keys"
        properties = {"serverKeyType": "AzureKeyVault", "uri": shown["uri"], "thumbprint": shown["thumbprint"]}
        save(world, {"id": id_, "name": shown["serverKeyName"], "type": type_, "properties": properties})


KEYS: Final[Keyed] = Keyed(
    places=(
        Place("properties", uri="uri", who=(named("properties.primaryUserAssignedIdentityId"), system), when=_WHEN),
    ),
    version="pinned",
    bits=(2048, 3072),
    access="AzureKeyVaultMissingPermissions",
    invalid="InvalidParameter",
    busy=(409, "OperationInProgress"),
    state="",
    owned=("properties.creationDate", "properties.thumbprint", "properties.autoRotationEnabled"),
    also=(_by_its_name,),
    above=1,
)

PROTECTOR: Final[Keyed] = replace(
    KEYS,
    style=Style.LOCATION,
    owned=("properties.keyVersion",),
    also=(_partners_have_it,),
    derive=_key_of,
    follows=HOUR,
    auto=lambda body, _use: at(body, "properties.autoRotationEnabled") is True,
    shows=_shows,
    taken=_added,
)


def get(world: World, request: Request) -> Answer:
    """GET of the protector: every server has one, on the service's own key unless it was given another."""
    _given(world, request.target)
    return generic.get(world, request)


def list_(world: World, request: Request) -> Answer:
    """GET of a server's protectors: the one there is."""
    _given(world, parse(f"{request.target.id}/current"))
    return generic.list_(world, request)


def put(world: World, request: Request) -> Answer:
    """PUT of the protector: it was there before."""
    _given(world, request.target)
    return writing.put(world, request)


def revalidate(world: World, request: Request) -> Answer:
    """POST revalidate: 200 when the server reaches its key, else the refusal that setting the key would get."""
    _given(world, request.target)
    body = generic.read(world, request.target)
    for use in PROTECTOR.uses(body):
        uses.check(world, PROTECTOR, body, use)
    return Answer(200)


def _given(world: World, target: Target) -> None:
    if target.name.lower() != "current":
        raise Refused(400, "InvalidEncryptionProtectorName", "The encryption protector is named 'current'.")
    if world.resources.get(target.id) is None and world.resources.get(target.parent) is not None:
        properties = {"serverKeyName": _MANAGED, "serverKeyType": _MANAGED, "autoRotationEnabled": False}
        named_ = {"id": target.id, "name": target.name, "type": target.type, "kind": "servicemanaged"}
        world.resources.put({**named_, "properties": properties})
