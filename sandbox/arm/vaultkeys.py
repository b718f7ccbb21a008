"""Microsoft.KeyVault/vaults/keys: a vault's keys and their versions as ARM shows them [services.md 1.10]."""

from __future__ import annotations

from urllib.parse import urlsplit

from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import not_found, require_place
from sandbox.keyring import Key, KeyVersion
from sandbox.vault import bundles, keys, policy
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

# A recovery window shorter than the default is written as "Customized..." by the data plane only.
_CUSTOMIZED = "Customized"


def list_(world: World, request: Request) -> Answer:
    """GET of a vault's keys, deleted ones left out."""
    vault = _vault(world, request)
    living = [key for key in world.keyring.of(str(vault["name"])) if key.deleted is None and key.versions]
    return page(request.call, [_listed(vault, key) for key in living])


def get(world: World, request: Request) -> Answer:
    """GET of a key: its latest version."""
    vault = _vault(world, request)
    key = _key(world, request, vault, request.target.name)
    return Answer.of(_shown(vault, key, key.latest))


def put(world: World, request: Request) -> Answer:
    """PUT: makes a key's first version; a key that exists is returned as it is."""
    vault = _vault(world, request)
    key = keys.lookup(world, vault, request.target.name)
    if key is None or key.deleted is not None:
        sent = request.properties()
        wanted = {
            "kty": "kty",
            "keySize": "key_size",
            "keyOps": "key_ops",
            "curveName": "crv",
            "attributes": "attributes",
        }
        body = {to: sent[of] for of, to in wanted.items() if sent.get(of) is not None}
        key = keys.create(world, vault, request.target.name, {**body, "tags": request.body().get("tags")})
        if sent.get("rotationPolicy") is not None:
            policy.put(world, key, sent["rotationPolicy"])
    return Answer.of(_shown(vault, key, key.latest))


def list_versions(world: World, request: Request) -> Answer:
    """GET of a key's versions."""
    vault = _vault(world, request)
    key = _key(world, request, vault, request.target.parent.rpartition("/")[2])
    return page(request.call, [_version(vault, key, version) for version in key.versions])


def get_version(world: World, request: Request) -> Answer:
    """GET of one version of a key."""
    vault = _vault(world, request)
    key = _key(world, request, vault, request.target.parent.rpartition("/")[2])
    version = key.find(request.target.name)
    if version is None:
        raise not_found(request.target)
    return Answer.of(_version(vault, key, version))


def _vault(world: World, request: Request) -> Json:
    id_ = "/".join(request.target.id.split("/")[:9])  # as far as /providers/Microsoft.KeyVault/vaults/{name}
    vault = world.resources.get(id_)
    if vault is None:
        require_place(world, request.target)
        raise Refused(404, "ParentResourceNotFound", f"The parent resource '{id_}' could not be found.")
    return vault


def _key(world: World, request: Request, vault: Json, name: str) -> Key:
    key = keys.lookup(world, vault, name)
    if key is None or key.deleted is not None:
        raise not_found(request.target)
    return key


def _base(vault: Json, key: Key) -> str:
    host = urlsplit(str(vault["properties"]["vaultUri"])).hostname
    return f"https://{host}:443/keys/{key.name}"


def _attributes(vault: Json, key: Key, version: KeyVersion) -> Json:
    known = bundles.attributes(vault, key, version)
    names = ("enabled", "nbf", "exp", "created", "updated", "recoveryLevel", "exportable")
    found = {name: known[name] for name in names if name in known}
    return {**found, "recoveryLevel": str(found["recoveryLevel"]).removeprefix(_CUSTOMIZED)}


def _listed(vault: Json, key: Key) -> Json:
    attributes = _attributes(vault, key, key.latest)
    return {
        "id": f"{vault['id']}/keys/{key.name}",
        "name": key.name,
        "type": "Microsoft.KeyVault/vaults/keys",
        "location": vault.get("location"),
        "tags": dict(key.latest.tags),
        "properties": {"attributes": attributes, "keyUri": _base(vault, key)},
    }


def _shown(vault: Json, key: Key, version: KeyVersion) -> Json:
    body = _listed(vault, key)
    base = _base(vault, key)
    properties: Json = {
        "attributes": _attributes(vault, key, version),
        "kty": key.kty_of(version),
        "keyOps": list(version.operations),
    }
    size = key.bits_of(version)
    if key.kty_of(version).startswith("EC"):
        properties["curveName"] = bundles.CURVES[size]
    else:
        properties["keySize"] = size
    properties |= {"keyUri": base, "keyUriWithVersion": f"{base}/{version.version}"}
    if key.rotation_policy is not None:
        properties["rotationPolicy"] = key.rotation_policy
    return {**body, "tags": dict(version.tags), "properties": properties}


def _version(vault: Json, key: Key, version: KeyVersion) -> Json:
    body = _shown(vault, key, version)
    body["properties"].pop("rotationPolicy", None)
    return {
        **body,
        "id": f"{vault['id']}/keys/{key.name}/versions/{version.version}",
        "name": version.version,
        "type": "Microsoft.KeyVault/vaults/keys/versions",
    }
