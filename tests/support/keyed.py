"""Resources of any service on the sandbox: example bodies, a rule that allows things, what is in effect."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from sandbox.arm import following
from sandbox.arm.keyed import uses
from sandbox.faults import Faults
from shared.domain.report import Report, Write
from shared.domain.resource import Request
from shared.domain.vault import ENCRYPTION_USER
from shared.domain.work import Cause, Source
from shared.usecases.forms import RevertWish, UseKeyWish
from shared.usecases.wishes import revert_item, use_key_item
from tests.support.azure import START, Azure, estate, vault, with_two_versions

BODIES = Path(__file__).resolve().parents[1] / "services" / "bodies"
ARM = "management.azure.com"
KEY = "https://kv-main.vault.azure.net/keys/cmk"


def example(name: str) -> dict[str, Any]:
    """Return an example body; they all use version OLD of the key cmk in kv-main, or follow it."""
    found: dict[str, Any] = json.loads((BODIES / f"microsoft.{name}.json").read_text())
    return found


def keys(size: int = 3072, *names: str) -> dict[str, Any]:
    """Return keys of the versions OLD and MID, in kv-main."""
    return {"kv-main": [with_two_versions(name, size=size) for name in ("cmk", *names)]}


def using(*bodies: dict[str, Any], size: int = 3072, role: str = ENCRYPTION_USER, **more: Any) -> dict[str, Any]:
    """Return an estate with these resources, whose identities may use the keys of kv-main."""
    grants = [
        {"scope": vault()["id"], "principalId": one, "roleDefinitionId": role}
        for one in sorted({one for body in bodies for one in _principals(body)} | set(more.pop("principals", ())))
    ]
    found = estate(vault(**more.pop("vault", {})), keys=keys(size, "other"), roleAssignments=grants, **more)
    return {**found, "resources": [*found["resources"], *_identities(bodies), *bodies]}


def _identities(bodies: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """Return the user-assigned identities that are attached to these resources, as resources."""
    attached = [(body.get("identity") or {}).get("userAssignedIdentities") or {} for body in bodies]
    found = {id_: one for entries in attached for id_, one in entries.items()}
    return [{"id": id_, "location": "westeurope", "properties": dict(one)} for id_, one in found.items()]


def _principals(body: dict[str, Any]) -> list[str]:
    identity = body.get("identity") or {}
    entries = (identity, *(identity.get("userAssignedIdentities") or {}).values())
    return [one["principalId"] for one in entries if one.get("principalId")]


def grant(azure: Azure, principal: str, role: str = ENCRYPTION_USER) -> None:
    """Let a principal use the keys of kv-main, as of long ago."""
    properties = {"principalId": principal, "roleDefinitionId": f"/x/{role}", "createdOn": "2026-01-01T00:00:00Z"}
    kind = "Microsoft.Authorization/roleAssignments"
    id_ = f"{vault()['id']}/providers/{kind}/{azure.world.new_id()}"
    azure.world.resources.put({"id": id_, "type": kind, "properties": {**properties, "scope": vault()["id"]}})


def revoke(azure: Azure) -> None:
    """Take all grants away."""
    for one in list(azure.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        azure.world.resources.remove(one["id"])


def new_version(azure: Azure, name: str) -> None:
    """Somebody makes a version of the key cmk."""
    key = azure.world.keyring.get("kv-main", "cmk")
    assert key is not None
    now = azure.world.now()
    key.versions.append(type(key.latest)(name, now, now, modulus=key.latest.modulus))


async def later(azure: Azure, **time: float) -> None:
    """Let time pass."""
    await asyncio.sleep(timedelta(**time).total_seconds())


async def by_hand(azure: Azure, resource: dict[str, Any], api_version: str, **properties: Any) -> None:
    """Somebody else patches a resource's properties."""
    request = Request("PATCH", azure.address(resource), api_version, {"properties": properties})
    await azure.app.context.ports.resources.send(request)


async def wish(azure: Azure, resource: dict[str, Any], **wanted: Any) -> list[Report]:
    """Put a caller's wish for a resource and work until the queue has nothing visible."""
    cause = Cause("c", Source.HTTP)
    if wanted.pop("revert", False):
        await azure.put(revert_item(RevertWish(resource["id"], confirm=resource["name"], **wanted), cause, START))
    else:
        await azure.put(use_key_item(UseKeyWish(resource["id"], **wanted), cause, START))
    return await azure.drain()


def in_effect(azure: Azure, resource: dict[str, Any]) -> list[str]:
    """Return the versions that a resource really uses now, from the sandbox's own state, shown in its body or not."""
    following.current(azure.world, azure.body(resource))
    return [one.rpartition("/")[2] for one in uses.in_effect(azure.world, str(resource["id"])).values()]


def at_rest(azure: Azure, resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource's body as GET would return it now."""
    return following.current(azure.world, azure.body(resource))


def differences(before: Any, after: Any, path: str = "") -> dict[str, Any]:
    """Return what is not the same, by dotted path."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, Any] = {}
        for name in before.keys() | after.keys():
            found |= differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
        return found
    return {} if before == after else {path: after}


def script(azure: Azure, **operation: Any) -> None:
    """Decide on the fate of the operation that the next write begins."""
    faults = Faults(lambda call: "write" if call.method in {"PATCH", "PUT"} else "other")
    faults.put([{"match": {"kind": "write", "host": ARM}, "times": 1, "do": {"operation": operation}}])
    faults.install(azure.world)


def moves(reports: list[Report]) -> list[Write]:
    """Return everything that was written, in order."""
    return [write for report in reports for write in report.wrote]
