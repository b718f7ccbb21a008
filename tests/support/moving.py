"""Resources of any type on the sandbox: what a policy lets the app do to them, and what came of it."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from sandbox.arm.keyed import uses
from shared.domain.reasons import Reason
from shared.domain.report import Report, Stopped, Waiting
from shared.domain.work import Cause, Source
from shared.usecases.forms import RevertWish, UseKeyWish
from shared.usecases.wishes import revert_item, use_key_item
from tests.services.applying import differences
from tests.support.azure import ENCRYPTION_USER, TENANT, Azure, group, principal_of, vault

URI = "https://kv-main.vault.azure.net"
UAI = f"{group()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-data"
ASSIGNED = "77777777-0000-4000-8000-000000000000"


def resource(type_: str, name: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a body of a top-level resource with a system-assigned identity."""
    identity = {"type": "SystemAssigned", "principalId": principal_of(name), "tenantId": TENANT}
    place = {"id": f"{group()}/providers/{type_}/{name}", "name": name, "type": type_, "location": "westeurope"}
    return {**place, "tags": {"owner": "ledger"}, "identity": identity, "properties": properties, **more}


def user_assigned() -> dict[str, Any]:
    """Return an identity block with one user-assigned identity."""
    return {"type": "UserAssigned", "userAssignedIdentities": {UAI: {"principalId": ASSIGNED}}, "principalId": ASSIGNED}


def grant(principal: str, on: str = "kv-main") -> dict[str, Any]:
    """Return an estate's grant to use the keys of a vault."""
    return {"scope": vault(on)["id"], "principalId": principal, "roleDefinitionId": ENCRYPTION_USER}


def key(version: str, name: str = "cmk") -> str:
    """Return the identifier of a key's version, or of the key ("")."""
    return f"{URI}/keys/{name}/{version}".rstrip("/")


def split(version: str, name: str = "cmk") -> dict[str, str]:
    """Return a key in three members."""
    return {"keyVaultUri": URI, "keyName": name, "keyVersion": version}


def asked(azure: Azure, host: str = "management.azure.com") -> list[str]:
    """Return the changes that a host was asked for, as "METHOD name-of-the-thing"."""
    changes = [one for one in azure.world.log if one.method in {"PUT", "PATCH", "DELETE"} and f"//{host}/" in one.url]
    return [f"{one.method} {one.url.partition('?')[0].rsplit('/', 1)[1]}" for one in changes]


def in_effect(azure: Azure, resource_id: str) -> dict[str, str]:
    """Return the versions in effect by slot, as the sandbox itself knows."""
    return {slot: url.rpartition("/")[2] for slot, url in uses.in_effect(azure.world, resource_id).items()}


def snapshot(azure: Azure, one: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a resource as it is stored now."""
    return copy.deepcopy(azure.body(one))


def changed(azure: Azure, before: dict[str, Any]) -> dict[str, Any]:
    """Return what is not as it was, by path."""
    return differences(before, azure.body(before))


def why(report: Report) -> set[Reason]:
    """Return the reasons of a report that is stopped or waits."""
    assert isinstance(report.outcome, Stopped | Waiting), report.outcome
    return set(report.reasons)


def end_of(azure: Azure, resource_id: str) -> Report:
    """Return the last report about a resource."""
    return [one for one in azure.reports if one.address and one.address.folded == resource_id.lower()][-1]


async def wished(azure: Azure, resource_id: str, **wish: Any) -> Report:
    """Put a caller's wish for a resource (`revert=True`, or what use-key takes) and return what came of it."""
    cause, now = Cause("c", Source.HTTP), azure.time.now()
    revert = wish.pop("revert", False)
    item = (
        revert_item(RevertWish(resource_id, confirm=resource_id.rpartition("/")[2], **wish), cause, now)
        if revert
        else use_key_item(UseKeyWish(resource_id, **wish), cause, now)
    )
    await azure.put(item)
    await azure.drain(until=timedelta(minutes=10))
    return end_of(azure, resource_id)
