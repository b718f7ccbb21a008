"""The evidence compared with what Azure accepted: every write has its line."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from shared.domain.evidence_query import Query
from tests.support.azure import Azure

VAULT = "/providers/microsoft.keyvault/vaults/"


async def kept(azure: Azure) -> list[dict[str, Any]]:
    """Return all lines of the last 30 days."""
    now = azure.time.now()
    query = Query(now - timedelta(days=30), now + timedelta(seconds=1), 1000)
    page = await azure.app.context.ports.evidence.read(query)
    assert page.cursor is None
    return list(page.lines)


async def unrecorded(azure: Azure) -> list[str]:
    """Return the writes that Azure accepted and that no line tells of, each as often as it is missing."""
    told = Counter(one for line in await kept(azure) for one in _told(line))
    accepted = Counter(
        _named(line.method, line.url.partition("?")[0].lower())
        for line in azure.world.log
        if line.method in {"PUT", "PATCH", "POST", "DELETE"} and line.status < 300
        if line.kind == "write" or (line.kind == "vault" and line.url.partition("?")[0].endswith("/rotate"))
        if "checknameavailability" not in line.url.lower()
    )
    # A change of several requests, such as a server's key and its protector, is told of once.
    several = {what for what in accepted if what.startswith("SetKeys ")}
    wanted = accepted - Counter({what: accepted[what] - 1 for what in several})
    return sorted((wanted - told).elements())


def _named(method: str, url: str) -> str:
    """Return what a request did, in the words of a line."""
    path = url.partition("azure.com")[2] if "management" in url else url
    place = re.sub(r"/providers/microsoft\.authorization/.*|/accesspolicies/.*|/register$", "", path)
    if path.endswith("/rotate"):
        return f"NewVersion {path.removesuffix('/rotate')}"
    if path.endswith("/register"):
        return f"RegisterProvider {place}"
    if place != path:
        return f"GrantAccess {place}"
    if VAULT in path:
        kind = "CreateKey" if "/keys/" in path else "CreateVault" if method == "PUT" else "HardenVault"
        return f"{kind} {path}"
    return f"SetKeys {_top(path)}"  # or an identity for it: one line more


def _told(line: dict[str, Any]) -> list[str]:
    begun = [*line.get("begins", ()), *line.get("did", ())]
    steps = [(one["step"].replace("RecoverVault", "CreateVault"), one["place"].lower()) for one in begun]
    moved = ["SetKeys " + _top(line.get("resource", "").lower())] * bool(line.get("wrote"))
    told = [f"{step} {place}" for step, place in steps if step not in {"SetKeys", "AssignIdentity"}]
    told += [f"SetKeys {_top(place)}" for step, place in steps if step in {"SetKeys", "AssignIdentity"}]
    rotated = line["outcome"] == "rotated"
    return told + moved + [f"NewVersion {one.rpartition('/')[0]}" for one in line.get("keys", ()) if rotated]


def _top(id_: str) -> str:
    return "/".join(id_.split("/")[:9])
