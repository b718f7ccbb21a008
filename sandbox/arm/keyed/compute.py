"""Microsoft.Compute: disk encryption sets, and the disks and snapshots that use them [services.md 1.5].

A set always names a version; with rotationToLatestKeyVersionEnabled the service rewrites it. A PATCH of an attached
disk's encryption is UNVERIFIED and refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from sandbox.arm import generic, operations
from sandbox.arm.keyed.rules import HOUR, Keyed, Place, Use, application, at, attached, identifier, refuse, system
from sandbox.arm.operations import Style
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import merged, save
from sandbox.arm.target import parse, subscription_of
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

_ACTIVE = "properties.activeKey"
_ENCRYPTION = "properties.encryption"
_NAMES_SET = (f"{_ENCRYPTION}.diskEncryptionSetId", "properties.diskEncryptionSetID")  # disks, snapshots; clusters
_PLATFORM = "EncryptionAtRestWithPlatformKey"


def _foreign(world: World, owner: Json, holder: Json) -> str | None:
    found = str(at(owner, "properties.federatedClientId") or "None")
    return None if found == "None" else application(found)(world, owner, holder)


def _same_vault(world: World, _old: Json | None, new: Json) -> None:
    """Refuse a source vault of another subscription, or one that is not the key's."""
    source = str(at(new, f"{_ACTIVE}.sourceVault.id") or "")
    pointer = identifier(str(at(new, f"{_ACTIVE}.keyUrl") or ""))
    vault = find_vault(world, pointer.host) if pointer is not None else None
    if pointer is None:
        raise refuse(SETS, f"'{_ACTIVE}.keyUrl' does not name a key.")
    if source and subscription_of(source) != subscription_of(str(new["id"])):
        raise refuse(SETS, "sourceVault cannot be given for a key vault in another subscription.")
    if source and vault is not None and source.lower() != str(vault["id"]).lower():
        raise refuse(SETS, "sourceVault is not the key vault of keyUrl.")


def _shows(_body: Json, use: Use, key: Key, version: KeyVersion, when: str) -> Json:
    active = {"keyUrl": use.pointer.identifier(key, version)}
    changed: Json = {
        "activeKey": active,
        "previousKeys": [],
        "lastKeyRotationTimestamp": when,
        "autoKeyRotationError": None,
    }
    return {"properties": changed}


def _during(old: Json, new: Json) -> Json:
    before, after = at(old, _ACTIVE), at(new, _ACTIVE)
    return {} if before == after else {"properties": {"activeKey": after, "previousKeys": [before]}}


def _blind(problem: str) -> Json:
    code = "ManagedServiceIdentityNotFound" if problem == "no identity" else "KeyVaultAccessForbidden"
    error = {"code": code, "message": f"Automatic key rotation is paused: {problem}."} if problem else None
    return {"properties": {"autoKeyRotationError": error}}


SETS: Final[Keyed] = Keyed(
    places=(Place(_ACTIVE, uri="keyUrl", who=(_foreign, system, attached)),),
    version="pinned",
    same=("region",),
    granted_later=True,  # [azure-cli disk-encryption-set: create, then give its identity access]
    invalid="InvalidParameter",
    style=Style.ASYNC,
    made=200,
    owned=tuple(f"properties.{name}" for name in ("previousKeys", "lastKeyRotationTimestamp", "autoKeyRotationError")),
    fixed=("properties.encryptionType",),
    off=False,
    follows=HOUR,
    auto=lambda body, _use: at(body, "properties.rotationToLatestKeyVersionEnabled") is True,
    shows=_shows,
    during=_during,
    blind=_blind,
    also=(_same_vault,),
)


def associated(world: World, request: Request) -> Answer:
    """GET of a set's associatedResources: the ids of what uses it."""
    id_ = request.target.parent
    generic.read(world, parse(id_))
    return page(request.call, _users(world, id_.lower()))


def _users(world: World, set_: str) -> Iterator[Any]:
    for body in world.resources.under(""):
        if any(str(at(body, path) or "").lower() == set_ for path in _NAMES_SET):
            yield body["id"]


def put_disk(world: World, request: Request) -> Answer:
    """PUT of a disk or a snapshot: made at once, with 200, where Azure would answer 202 first."""
    return replace(generic.put(world, request), status=200)


def patch_disk(world: World, request: Request) -> Answer:
    """PATCH of a disk or a snapshot: `encryption` moves it to another set, or back to the platform's key."""
    old = generic.read(world, request.target)
    new = generic.patched(world, old, request.body())
    if operations.running(world, request.target.id):
        raise Refused(409, "Conflict", "The request failed due to conflict with a concurrent request.")
    if at(old, _ENCRYPTION) != at(new, _ENCRYPTION):
        new = _encrypted(world, old, new)

    def finish(when: float) -> Json:
        return save(world, merged(new, {"properties": {"provisioningState": "Succeeded"}}), when)

    def undo(when: float, _refusal: Refused) -> Json:
        return save(world, merged(old, {"properties": {"provisioningState": "Failed"}}), when)

    shown = save(world, merged(old, {"properties": {"provisioningState": "Updating"}}))
    return operations.begin(world, request, shown, Style.ASYNC, "InProgress", finish, undo)


def _encrypted(world: World, old: Json, new: Json) -> Json:
    if old.get("managedBy") or str(at(old, "properties.diskState")).lower() == "attached":
        raise Refused(409, "OperationNotAllowed", f"The encryption of '{old['name']}' cannot change: it is attached.")
    if at(new, f"{_ENCRYPTION}.type") == _PLATFORM:
        if any(_copies(old, one) for one in world.resources.of_type("Microsoft.Compute/snapshots")):
            raise Refused(409, "OperationNotAllowed", f"'{old['name']}' has incremental snapshots.")
        return merged(new, {"properties": {"encryption": {"diskEncryptionSetId": None}}})
    id_ = str(at(new, f"{_ENCRYPTION}.diskEncryptionSetId") or "")
    found = world.resources.get(id_)
    if found is None:
        raise Refused(404, "NotFound", f"The disk encryption set '{id_}' could not be found.")
    alike = subscription_of(id_) == subscription_of(str(old["id"])) and found.get("location") == old.get("location")
    if not alike:
        raise refuse(SETS, "The disk encryption set must be in the subscription and region of the resource.")
    return new


def _copies(disk: Json, snapshot: Json) -> bool:
    source = str(at(snapshot, "properties.creationData.sourceResourceId") or "").lower()
    return source == str(disk["id"]).lower() and at(snapshot, "properties.incremental") is True
