"""How somebody else points a resource of any type at a version of the key, and repairs one that an operation broke."""

from __future__ import annotations

import json
import re
from typing import Final

from sandbox.arm.keyed.rules import Keyed, at, nested
from sandbox.arm.searchservices import TYPE
from sandbox.arm.store import merged
from sandbox.wire import Json
from tests.soak.pointing import STORAGE, pointers, rule_of

Asked = tuple[str, str, Json] | tuple[str, str, Json, str]  # method, path, body, and the host if it is none of ARM's
KEY: Final = "https://kv-main.vault.azure.net/keys/cmk"
SEARCHED: Final = f"{TYPE}/"
_VERSION = re.compile(r"[0-9a-f]{32}")


def is_sql(body: Json) -> bool:
    """Return whether a body is a protector, which names its key by a server key."""
    return "encryptionprotector" in str(body["type"]).lower()


def pointed(body: Json, version: str) -> list[Asked]:
    """Return what to ask so that a resource points at a version ("" for none); [] where that cannot be."""
    rule, found = rule_of(body), pointers(body)
    if not found:
        return []
    if rule is None:
        return [("PATCH", str(body["id"]), _of_storage(body, version))]
    if rule.version == ("none" if version else "pinned"):
        return []
    return (
        _of_sql(body, version)
        if is_sql(body)
        else [_of_service(body, rule, next(iter(found.values())).version, version)]
    )


def _of_service(body: Json, rule: Keyed, there: str, version: str) -> Asked:
    id_ = str(body["id"])
    if str(body["type"]).startswith(SEARCHED):
        own = {name: one for name, one in body.items() if name not in {"id", "type", "@odata.etag"}}
        service, collection, name = id_.split("/")[-3:]
        return ("PUT", f"/{collection}/{name}", _with_version(own, there, version), f"{service}.search.windows.net")
    changed = {"properties": _with_version(body["properties"], there, version)}
    return ("PATCH", id_, changed) if rule.patch is None else ("PUT", id_, {**body, **changed})


def repaired(body: Json) -> Json:
    """Return a body in the state in which its service leaves it when all went well."""
    rule = rule_of(body)
    return body if rule is None else merged(body, nested(rule.state, rule.done))


def _with_version(properties: Json, there: str, version: str) -> Json:
    text = json.dumps(properties)
    if there:
        text = text.replace(f"/{there}", f"/{version}" if version else "").replace(there, version)
    else:
        text = text.replace(f'{KEY}"', f'{KEY}/{version}"').replace('Version": ""', f'Version": "{version}"')
    found: Json = json.loads(text)
    return found


def _of_storage(body: Json, version: str) -> Json:
    if str(body["type"]).lower() == STORAGE[0]:
        pointer = {"keyvaulturi": KEY.partition("/keys")[0] + "/", "keyname": "cmk", "keyversion": version}
        return {"properties": {"encryption": {**body["properties"]["encryption"], "keyvaultproperties": pointer}}}
    named = {"keyUri": f"{KEY}/{version}" if version else KEY}
    return {"properties": {"source": "Microsoft.KeyVault", "keyVaultProperties": named}}


def _of_sql(body: Json, version: str) -> list[Asked]:
    server = str(body["id"]).rsplit("/", 2)[0]
    name = f"kv-main_cmk_{version}"
    known = {"serverKeyType": "AzureKeyVault", "uri": f"{KEY}/{version}"}
    pointing = {"serverKeyType": "AzureKeyVault", "serverKeyName": name}
    pointing["autoRotationEnabled"] = at(body, "properties.autoRotationEnabled")
    return [
        ("PUT", f"{server}/keys/{name}", {"properties": known}),
        ("PUT", str(body["id"]), {**body, "properties": pointing}),
    ]
