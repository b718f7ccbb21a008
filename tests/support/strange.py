"""An estate of every type whose bodies look as Azure may well write them and no example does: names in other case,
vaults with a port or a slash, lists the other way round, and members that nobody knows beside and within the known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.identity import principal_of
from sandbox.world import World
from shared.domain.keys import KeyId
from shared.domain.resource import Json, address_of
from shared.services.applications import COSMOS_DB, DATABRICKS
from shared.services.registry import service_for
from tests.support.azure import SUB, TENANT, vault, version

BODIES = Path(__file__).resolve().parents[1] / "services" / "bodies"
NEWEST, FIRST = "f" * 32, "0" * 32
_ROLE = "12338af0-0e69-4776-bea7-57ae8d297424"  # Key Vault Crypto User: all that any of them needs
_SYSTEM = "88888888-0000-4000-8000-000000000008"
_PLAIN = {"identity", "tags"}  # what holds ids and words of people: nothing is put in there
_LEDGER = "Microsoft.ManagedIdentity/userAssignedIdentities/id-ledger"
_SEARCH = "microsoft.search/searchservices/"


def every_body() -> list[Json]:
    """Return a strange variation of every example body, each in a resource group of its variant."""
    found = []
    for path in sorted(BODIES.glob("*.json")):
        body = json.loads(path.read_text())
        variant = path.stem.partition("-")[2]
        found.append(strange(body if is_searched(body) else _in_group(_reached(body), variant)))
    return found


def strange(body: Json) -> Json:
    """Return the body spelled otherwise; it says the same."""
    odd: Json = _beside(body)
    if not is_searched(body):
        odd["type"] = str(body["type"]).upper()
    return {**odd, "id": str(body["id"]).replace("/resourceGroups/", "/RESOURCEGROUPS/")}


def _beside(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        inner = {name: one if name.lower() in _PLAIN else _beside(one, name) for name, one in value.items()}
        return {"aNull": None, **inner, "zNew": {"list": [{"one": None}, 2], "text": "kept"}}
    if isinstance(value, list):
        return [_beside(one) for one in reversed(value)]
    if not isinstance(value, str) or ".vault.azure.net" not in value:
        return value
    odd = value.replace(".vault.azure.net", ".Vault.AZURE.net:443")
    return odd if "version" in name.lower() else f"{odd.rstrip('/')}/"  # Azure writes those itself


def _reached(body: Json) -> Json:
    """Return the body with every identity that its keys name attached: an example may leave one out."""
    data = (body.get("properties") or {}).get("dataEncryption") or {}
    named = {str(one): {"principalId": _SYSTEM} for name, one in data.items() if name.endswith("IdentityId")}
    if type_of(body) == _SEARCH.rstrip("/"):
        named = {str(body["id"]).partition("Microsoft.Search")[0] + _LEDGER: {"principalId": _SYSTEM}}
    identity = body.get("identity") or {}
    known = identity.get("userAssignedIdentities") or {}
    kinds = "SystemAssigned, UserAssigned" if identity.get("principalId") else "UserAssigned"
    attached = {**identity, "type": kinds, "userAssignedIdentities": {**named, **known}}
    return {**body, "identity": attached} if named else body


def _in_group(body: Json, variant: str) -> Json:
    if type_of(body) == _SEARCH.rstrip("/"):
        return body  # its name says which objects are its own
    return {**body, "id": re.sub(r"(/resourceGroups/)[^/]+", rf"\1rg-{variant}", str(body["id"]), count=1)}


def type_of(body: Json) -> str:
    """Return the ARM type by the id: what lies in a search service may have a type of its own."""
    return address_of(str(body["id"])).type.lower()


def is_searched(body: Json) -> bool:
    """Return whether the body is one that a search service keeps."""
    return f"{type_of(body)}/".startswith(_SEARCH) and len(address_of(str(body["id"])).arm.names) > 1


def described(bodies: list[Json]) -> Json:
    """Return the estate: the bodies, what they lie below, the vaults and keys that they name, and every grant."""
    keys = _keys(bodies)
    vaults = [vault(name) for name in keys]
    resources = [one for one in bodies if not is_searched(one)]
    known = {str(one["id"]).lower() for one in resources}
    world = World(seed=1, tenant_id=TENANT)
    who = {_SYSTEM, *(principal_of(world, one.id) for one in (COSMOS_DB, DATABRICKS)), *_principals(bodies)}
    return {
        "tenantId": TENANT,
        "operations": 0.05,
        "subscriptions": [{"subscriptionId": SUB, "displayName": "data", "tenantId": TENANT}],
        "resources": [*vaults, *_parents(bodies, known), *_server_keys(bodies), *resources],
        "search": _searched(bodies),
        "keys": keys,
        "roleAssignments": [
            {"scope": home["id"], "principalId": one, "roleDefinitionId": _ROLE}
            for home in vaults
            for one in sorted(who)
        ],
    }


def _keys(bodies: list[Json]) -> Json:
    found: dict[KeyId, set[str]] = {}
    for body in bodies:
        service = service_for(type_of(body))
        assert service is not None, body["id"]
        for use in service.read(body):
            named = {one for one in (use.configured.version, use.effective) if one}
            found.setdefault(use.configured.key, {FIRST}).update(named - {NEWEST})
    keys: Json = {}
    for key, versions in found.items():
        old = [version(one, "2025-01-01T00:00:00Z") for one in sorted(versions)]
        row = {"name": key.name, "size": 2048, "versions": [*old, version(NEWEST, "2026-03-01T00:00:00Z")]}
        keys.setdefault(key.host.partition(".")[0], []).append(row)
    return keys


def _parents(bodies: list[Json], known: set[str]) -> Iterator[Json]:
    """Yield what the children lie below and no example is there for."""
    for body in bodies:
        id_ = address_of(str(body["id"])).parent
        if not id_ or id_.lower() in known:
            continue
        known.add(id_.lower())
        system = {"type": "SystemAssigned", "principalId": _SYSTEM, "tenantId": TENANT}
        properties = {"authOptions": {"aadOrApiKey": {"aadAuthFailureMode": "http403"}}, "state": "Ready"}
        yield {
            "id": id_,
            "type": address_of(id_).type,
            "location": "westeurope",
            "identity": system,
            "sku": {"name": "standard"},
            "properties": properties,
        }


def _server_keys(bodies: list[Json]) -> Iterator[Json]:
    """Yield the keys of SQL servers that their protectors name."""
    for body in bodies:
        name = (body.get("properties") or {}).get("serverKeyName", "ServiceManaged")
        if name != "ServiceManaged":
            host, key, version_ = name.split("_")
            uri = f"https://{host}.vault.azure.net/keys/{key}/{version_}"
            id_ = f"{address_of(str(body['id'])).parent}/keys/{name}"
            yield {"id": id_, "properties": {"serverKeyType": "AzureKeyVault", "uri": uri}}


def _searched(bodies: list[Json]) -> Json:
    found: Json = {}
    for body in filter(is_searched, bodies):
        *_, service, collection, _name = str(body["id"]).split("/")
        own = {name: one for name, one in body.items() if name != "id"}
        if "credentials" in own:
            own["credentials"] = {"connectionString": "AccountKey=secret"}  # kept, and shown to nobody
        found.setdefault(service, {}).setdefault(collection, []).append(own)
    return found


def _principals(value: Any) -> Iterator[str]:
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _principals(one)
    if isinstance(value, dict) and isinstance(value.get("principalId"), str):
        yield value["principalId"]
