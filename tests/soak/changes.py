"""What a request of the app would change: which resource, which of its keys, and whether anything else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sandbox.arm import following, searchservices
from sandbox.arm.encryption import READ_ONLY, Pointer
from sandbox.arm.keyed.rules import at, identifier
from sandbox.arm.store import merged
from sandbox.wire import Call, Json
from sandbox.world import World
from tests.soak import pointing

SEARCH = ".search.windows.net"
_OBJECT = re.compile(r"/(\w+)(?:/([^/()']+)|\('([^']+)'\))")
_VERSION = re.compile(r"[0-9a-f]{32}")
_SHOWN = ("name", "kind", "systemData", "etag", "eTag", "@odata.etag", "@odata.context", "identity", "tags")
_OF_SQL = ("uri", "thumbprint", "subregion", "serverKeyName", "keyVersion")


@dataclass(frozen=True)
class Change:
    """A request to change a resource. `moves`: from which version (None: no key) to which, for each key it moves."""

    id: str
    before: Json | None
    moves: tuple[tuple[str | None, str], ...]
    more: str = ""  # what else it would change, or what it lacks


def change_of(world: World, call: Call) -> Change | None:
    """Return what a request to Resource Manager or to a search service would change; None: it may not be sent."""
    if call.host.endswith(SEARCH):
        return _of_object(world, call)
    sent = json.loads(call.body)
    type_ = "/".join(call.path.split("/")[6:7] + call.path.split("/")[7::2]).lower()
    if type_ in {"microsoft.sql/servers/keys", "microsoft.sql/managedinstances/keys"} and call.method == "PUT":
        found = identifier(str(at(sent, "properties.uri") or ""))
        return Change(call.path, None, ((None, found.version),)) if found is not None else None
    before = world.resources.get(call.path)
    if before is None:
        return Change(call.path, None, ()) if call.method == "PATCH" else None  # it was deleted a moment ago
    if type_ in pointing.STORAGE:
        return _of_storage(call, before, sent) if call.method == "PATCH" else None
    return _of_service(call, before, sent) if pointing.rule_of(before) and call.method in {"PATCH", "PUT"} else None


def _of_storage(call: Call, before: Json, sent: Json) -> Change:
    after = merged(before, sent)
    old, new = following.pointer_of(before), following.pointer_of(after)
    lost = "" if old or _beside_the_key(before) == _beside_the_key(after) else "more than a first key is changed"
    # Services differ in what they make of an object that comes in parts.
    if missing := set(at(before, "properties.encryption") or {}) - set(at(sent, "properties.encryption") or {}):
        lost = f"sent without {', '.join(sorted(missing))} of its encryption"
    return Change(call.path, before, _moves({"": old} if old else {}, {"": new} if new else {}), lost)


def _beside_the_key(body: Json) -> Json:
    """Return what a first key must leave as it was, also which parts of the account are encrypted at all."""
    encryption = dict(body["properties"].get("encryption") or {})
    for name in ("keySource", "keyvaultproperties", "identity"):
        encryption.pop(name, None)
    rest = {name: value for name, value in body["properties"].items() if name != "encryption"}
    return {**{name: value for name, value in body.items() if name != "properties"}, **rest, "encryption": encryption}


def _of_service(call: Call, before: Json, sent: Json) -> Change:
    after = merged(before, sent) if call.method == "PATCH" else {**sent, "id": before["id"], "type": before["type"]}
    rule = pointing.rule_of(before)
    more = "" if _rest(before) == _rest(after) else "more than the key is changed"
    if rule is not None and rule.etag and not call.headers.get("if-match", "").strip('"*'):
        more = "it is changed unseen"
    if missing := identities_of(before) - identities_of(after):
        more = f"it would lose {', '.join(sorted(missing))}"
    if "encryptionprotector" in str(before["type"]).lower():
        old, new = (str(at(one, "properties.serverKeyName") or "").rpartition("_")[2] for one in (before, after))
        return Change(call.path, before, ((old, new),) if old != new else (), more)
    return Change(call.path, before, _moves(pointing.pointers(before), pointing.pointers(after)), more)


def _of_object(world: World, call: Call) -> Change | None:
    service, found = searchservices.service_named(world, call.host.partition(".")[0]), _OBJECT.fullmatch(call.path)
    if service is None or found is None or call.method != "PUT":
        return None
    collection, name = found[1].lower(), found[2] or found[3]
    stored = searchservices.objects(world, str(service["name"]), collection).get(name.lower())
    if stored is None:
        return None
    before = searchservices.as_resource(service, collection, stored)
    after = searchservices.as_resource(service, collection, json.loads(call.body))
    more = "" if call.headers.get("if-match", "").strip('"*') else "it is changed unseen"
    if call.headers.get("if-match") == stored.get("@odata.etag") and _rest(before) != _rest(after):
        more = "more than the key is changed"
    return Change(str(before["id"]), before, _moves(pointing.pointers(before), pointing.pointers(after)), more)


def _moves(before: dict[str, Pointer], after: dict[str, Pointer]) -> tuple[tuple[str | None, str], ...]:
    return tuple(
        (before[slot].version if slot in before else None, pointer.version)
        for slot, pointer in after.items()
        if slot not in before or before[slot].version != pointer.version
    )


def identities_of(body: Json) -> set[str]:
    """Return the identities that a body has."""
    identity = body.get("identity") or {}
    kinds = {one.strip() for one in str(identity.get("type") or "").lower().split(",")} - {"", "none", "userassigned"}
    return kinds | {str(one).lower() for one in identity.get("userAssignedIdentities") or {}}


def _rest(body: Json) -> str:
    """Return a body without its key versions and without what only its service says."""
    rule = pointing.rule_of(body)
    plain: Json = json.loads(json.dumps({name: value for name, value in body.items() if name not in _SHOWN}))
    for path in (*rule.owned, rule.state) if rule is not None else ():
        holder = at(plain, path.rpartition(".")[0])
        if isinstance(holder, dict):
            holder.pop(path.rpartition(".")[2], None)
    if "microsoft.sql/" in str(body["type"]).lower():
        for name in _OF_SQL:
            plain["properties"].pop(name, None)
        plain.pop("location", None)  # its server's
    return _VERSION.sub("a version", json.dumps(_without_nothing(plain), sort_keys=True))


def _without_nothing(value: object) -> object:
    """Return the same without members that are null: to send them or not to send them is the same."""
    if isinstance(value, dict):
        return {name: _without_nothing(one) for name, one in value.items() if one is not None}
    return [_without_nothing(one) for one in value] if isinstance(value, list) else value


def rest_of_storage(body: Json) -> str:
    """Return the stored body of an account or a scope without what a new key version changes."""
    plain: Json = json.loads(json.dumps(body))
    properties: Json = plain["properties"]
    pointers = (properties.get("keyVaultProperties"), (properties.get("encryption") or {}).get("keyvaultproperties"))
    for pointer in filter(None, pointers):
        for name in (*READ_ONLY, "keyversion"):
            pointer.pop(name, None)
        if "keyUri" in pointer:
            pointer["keyUri"] = str(pointer["keyUri"]).rsplit("/keys/", 1)[0]
    properties.pop("lastModifiedTime", None)
    return json.dumps(plain, sort_keys=True)
