"""Microsoft Graph as far as az asks it for role assignments: the service principals behind ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sandbox.identity import bearer, principal_of
from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import World

AUDIENCES: Final = ("https://graph.microsoft.com",)
_BY_NAME: Final = re.compile(r"servicePrincipalNames/any\(c:\s*c eq '([^']+)'\)|appId eq '([^']+)'", re.IGNORECASE)


def answer(world: World, call: Call) -> Answer:
    """Answer directoryObjects/getByIds and servicePrincipals; what else there is raises Refused 501."""
    if bearer(world, call, AUDIENCES) is None:
        raise Refused(401, "InvalidAuthenticationToken", "Access token is missing, expired or for another audience.")
    segments = tuple(part.lower() for part in call.segments[1:])
    match call.method, segments:
        case "POST", ("directoryobjects", "getbyids"):
            sent = call.json()
            ids = {str(one).lower() for one in (sent.get("ids") if isinstance(sent, dict) else None) or ()}
            return Answer.of({"value": [one for one in _known(world) if one["id"].lower() in ids]})
        case "GET", ("serviceprincipals",):
            return Answer.of({"value": _filtered(world, call.query.get("$filter", ""))})
        case "GET", ("serviceprincipals", id_):
            found = next((one for one in _known(world) if one["id"].lower() == id_), None)
            if found is None:
                raise Refused(404, "Request_ResourceNotFound", f"Resource '{id_}' does not exist.")
            return Answer.of(found)
    raise Refused(501, "NotInSandbox", f"The sandbox's Microsoft Graph does not do {call.method} {call.path}.")


def _filtered(world: World, text: str) -> list[Json]:
    if not text:
        return list(_known(world))
    found = _BY_NAME.fullmatch(text.strip())
    if found is None:
        raise Refused(501, "NotInSandbox", f"The sandbox's Microsoft Graph does not know this filter: {text}")
    wanted = str(found[1] or found[2]).lower()
    known = [one for one in _known(world) if wanted in (one["appId"].lower(), one["id"].lower())]
    if not known:  # every client id can log in here, so every client id has a principal
        known = [_principal(principal_of(world, wanted), wanted, wanted)]
        _met(world)[wanted] = known[0]
    return known


def _met(world: World) -> dict[str, Json]:
    """Return the applications that were asked for by their client id."""
    met: dict[str, Json] = world.memory.setdefault("directory", {})
    return met


def _known(world: World) -> Iterator[Json]:
    """Yield the app's own principal, those of managed identities, and those that were asked for before."""
    yield _principal(world.app_principal_id, world.app_client_id, "cmk-autopilot")
    yield from _met(world).values()
    for body in world.resources.of_type("Microsoft.ManagedIdentity/userAssignedIdentities"):
        owned = body.get("properties") or {}
        yield _principal(str(owned.get("principalId", "")), str(owned.get("clientId", "")), str(body["name"]))
    for body in world.resources.under(""):
        principal = (body.get("identity") or {}).get("principalId")
        if principal:
            # The sandbox gives system-assigned identities no client id; theirs is shown as the object's own.
            yield _principal(str(principal), str(principal), str(body["name"]))


def _principal(id_: str, client_id: str, name: str) -> Json:
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": id_,
        "appId": client_id,
        "displayName": name,
        "servicePrincipalNames": [client_id],
        "servicePrincipalType": "ManagedIdentity",
    }
