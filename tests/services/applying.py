"""What Azure would make of a service's requests, as far as a body shows it: enough to read it again."""

from __future__ import annotations

from typing import Any

from shared.domain.jsonpath import replaced
from shared.domain.resource import Json, Request, address_of

NAMES = ("id", "name", "type")


def applied(body: Json, requests: tuple[Request, ...]) -> Json:
    """Return the body after the requests: PATCH merges, PUT replaces; what a sibling's PUT brings about comes after."""
    own = address_of(str(body["id"])).folded
    siblings = {request.address.url: request.body or {} for request in requests if request.address.folded != own}
    for request in requests:
        if request.address.folded == own and request.method == "PATCH":
            body = patched(body, request.body)
        elif request.address.folded == own:
            body = {**(request.body or {}), **{name: body[name] for name in NAMES if name in body}}
    for url, sent in siblings.items():
        body = _shown(body, url.rpartition("/")[2], sent["properties"])
    return body


def patched(body: Any, change: Any) -> Any:
    """Return what a JSON merge of a request into the body gives."""
    if not isinstance(change, dict):
        return change
    merged = dict(body) if isinstance(body, dict) else {}
    for name, value in change.items():
        merged[name] = patched(merged.get(name, {}), value) if isinstance(value, dict) else value
    return merged


def differences(before: Any, after: Any, path: str = "") -> dict[str, Any]:
    """Return what is not the same, by path."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(name, before.get(name), after.get(name)) for name in before.keys() | after.keys()]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(str(number), one, other) for number, (one, other) in enumerate(zip(before, after, strict=True))]
    else:
        return {} if before == after else {path: after}
    found: dict[str, Any] = {}
    for name, one, other in pairs:
        found |= differences(one, other, f"{path}/{name}")
    return found


def _shown(body: Json, name: str, key: Json) -> Json:
    """Return the body with a key that lies beside it: SQL shows the one its protector names, Synapse the active one."""
    properties = body["properties"]
    if "serverKeyName" in properties:
        assert properties["serverKeyName"] == name
        return replaced(body, "properties", {**properties, "uri": key["uri"]})
    assert key["isActiveCMK"]
    active = {"key": {"name": name, "keyVaultUrl": key["keyVaultUrl"]}}
    return patched(body, {"properties": {"encryption": {"cmk": active}}})  # type: ignore[no-any-return]  # an object
