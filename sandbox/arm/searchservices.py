"""Microsoft.Search/searchServices, and what a service holds: its objects have the keys, the service has none.

The codes of refusals are UNVERIFIED. So is what enforcement forbids: here, to make an object without a key.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from sandbox.arm import generic
from sandbox.arm.keyed import uses
from sandbox.arm.keyed.rules import HOUR, Keyed, Place, at, named, system
from sandbox.arm.request import Request
from sandbox.arm.store import merged, save
from sandbox.identity import principal_of
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault
from sandbox.wire import Answer, Json
from sandbox.world import World

TYPE: Final = "Microsoft.Search/searchServices"
COLLECTIONS: Final = ("indexes", "synonymmaps", "indexers", "datasources", "skillsets")
_CMK = "properties.encryptionWithCmk"


def _application(world: World, _owner: Json, holder: Json) -> str | None:
    client_id = at(holder, "accessCredentials.applicationId")
    return principal_of(world, str(client_id)) if client_id else None


OBJECTS: Final = Keyed(
    places=(
        Place(
            "encryptionKey",
            split=("keyVaultUri", "keyVaultKeyName", "keyVaultKeyVersion"),
            who=(_application, named(".identity.userAssignedIdentity"), system),
        ),
    ),
    invalid="InvalidRequestParameter",
    follows=HOUR,
    above=1,
)


def service_named(world: World, name: str) -> Json | None:
    """Return a search service by its name (any case), or None."""
    return next((one for one in world.resources.of_type(TYPE) if str(one["name"]).lower() == name.lower()), None)


def objects(world: World, service: str, collection: str) -> dict[str, Json]:
    """Return a service's objects of one collection by name in lower case; they are kept whole, secrets too."""
    known: dict[str, dict[str, Json]] = world.memory.setdefault("search", {}).setdefault(service.lower(), {})
    return known.setdefault(collection, {})


def as_resource(service: Json, collection: str, object_: Json) -> Json:
    """Return an object as the rules of keys want it: with an id below its service."""
    return {**object_, "id": f"{service['id']}/{collection}/{object_['name']}", "type": f"{TYPE}/{collection}"}


def admin_keys(world: World, service: Json) -> tuple[str, str]:
    """Return the two keys that open everything in a service; they follow from the seed."""
    drawn = random.Random(f"{world.seed}: admin keys of {str(service['id']).lower()}")
    return drawn.randbytes(26).hex(), drawn.randbytes(26).hex()


def judged(world: World, service: Json) -> Json:
    """Return a service with what it says of its objects: compliant when enforcement is off or all have a key."""
    if at(service, _CMK) is None:
        return service
    enforced = str(at(service, f"{_CMK}.enforcement")).lower() == "enabled"
    bare = any(not one.get("encryptionKey") for one in _all(world, service))
    word = "NonCompliant" if enforced and bare else "Compliant"
    return merged(service, {"properties": {"encryptionWithCmk": {"encryptionComplianceStatus": word}}})


def put(world: World, request: Request) -> Answer:
    """PUT: at once, where Azure takes minutes to create a service."""
    answer = generic.put(world, request)
    body = {**answer.json(), "properties": {"provisioningState": "succeeded", **request.properties()}}
    return Answer.of(save(world, judged(world, body)), answer.status)


def patch(world: World, request: Request) -> Answer:
    """PATCH: 200; sets the policy for keys, never a key."""
    old = generic.read(world, request.target)
    return Answer.of(save(world, judged(world, generic.patched(world, old, request.body()))))


def list_keys(world: World, request: Request) -> Answer:
    """POST listAdminKeys."""
    primary, secondary = admin_keys(world, generic.read(world, request.target))
    return Answer.of({"primaryKey": primary, "secondaryKey": secondary})


def load(world: World, service: str, described: Any) -> None:
    """Keep an estate's objects of one service; raises ValueError for a collection or a service that is not known."""
    if service_named(world, service) is None:
        raise ValueError(f"the service '{service}' is not among the resources")
    for collection, several in described.items():
        if collection not in COLLECTIONS:
            raise ValueError(f"'{collection}' is none of {', '.join(COLLECTIONS)}")
        for one in several:
            etag = f'"0x{world.new_version()[:15].upper()}"'
            objects(world, service, collection)[str(one["name"]).lower()] = {"@odata.etag": etag, **one}


def complete(world: World) -> None:
    """Note which versions an estate's objects have in effect, and judge the services; followers have just looked."""
    for service in tuple(world.resources.of_type(TYPE)):
        for collection in COLLECTIONS:
            for one in objects(world, str(service["name"]), collection).values():
                body = as_resource(service, collection, one)
                for use in OBJECTS.uses(body):
                    found = _version(world, use.pointer.host, use.pointer.name, use.pointer.version)
                    if found is not None:
                        uses.effected(world, OBJECTS, body, use, *found, found[1].created)
                    uses.looked_now(world, OBJECTS, body, use)
        world.resources.put(judged(world, service))


def _version(world: World, host: str, name: str, wanted: str) -> tuple[Key, KeyVersion] | None:
    vault = find_vault(world, host)
    key = world.keyring.get(str(vault["name"]), name) if vault else None
    version = None if key is None or not key.versions else key.find(wanted) if wanted else key.latest
    return None if key is None or version is None else (key, version)


def _all(world: World, service: Json) -> Iterator[Json]:
    for collection in COLLECTIONS:
        yield from objects(world, str(service["name"]), collection).values()
