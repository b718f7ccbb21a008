"""What a person asks for over HTTP: checked here, turned into work or into a plan to look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyRef, is_key_name, parse_key_url
from shared.domain.order import Order, is_reference
from shared.domain.plain import one_line
from shared.domain.policy import Version
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Address, BadAddress, address_of
from shared.domain.wish import Wish
from shared.domain.work import (
    AuditVault,
    Cause,
    CheckKey,
    CheckResource,
    CheckVault,
    RevokeAccess,
    RotateKey,
    Sweep,
    WorkItem,
)
from shared.errors import Refusal, TryLater
from shared.usecases.audit_vault import audited
from shared.usecases.context import Context
from shared.usecases.dry_along import plan_along
from shared.usecases.dry_run import plan_for
from shared.usecases.forms import (
    AuditWish,
    ConvergeWish,
    EnforceWish,
    Ordering,
    RevertWish,
    RevokeWish,
    RotateWish,
    UseKeyWish,
)
from shared.usecases.preview import preview
from shared.usecases.revoke import foretold
from shared.usecases.rotate import would_rotate

LONGEST_SLOT = 100
VAULTS = "Microsoft.KeyVault/vaults"


def ordered(wish: Ordering, cause: Cause, *, by_name: bool = False) -> Cause:
    """Return the cause with what the wish says besides. Raises Refusal (BAD_REQUEST)."""
    if wish.change and not is_reference(wish.change):
        raise Refusal(Reason.BAD_REQUEST, "change is up to 64 letters, digits, blanks and . _ : / # -")
    return replace(cause, order=Order(wish.urgent, wish.change, by_name))


def converge_item(wish: ConvergeWish, cause: Cause, now: datetime) -> WorkItem:
    """Return the work a wish to converge asks for. Raises Refusal (BAD_REQUEST)."""
    named = [bool(wish.key), bool(wish.vault), bool(wish.resource), wish.all]
    if sum(named) != 1:
        raise Refusal(Reason.BAD_REQUEST, "name exactly one of key, vault, resource, or all: true")
    cause = ordered(wish, cause, by_name=bool(wish.resource))
    if wish.all and wish.urgent:
        raise Refusal(Reason.BAD_REQUEST, "urgent is for a key, a vault or a resource, not for all")
    if wish.key:
        return CheckKey(_key(wish.key).key, cause, now)
    if wish.resource:
        return CheckResource(_resource(wish.resource), cause, now, now)
    if wish.vault:
        host, vault_id = _vault(wish.vault)
        return CheckVault(cause, now, host, vault_id)
    return Sweep(cause, now)


def _vault(text: str) -> tuple[str, str]:
    """Return the host or the id of the vault that a text names."""
    if text.startswith("/"):
        address = _resource(text)
        if address.type.lower() != VAULTS.lower():
            raise Refusal(Reason.BAD_REQUEST, f"vault is the id of a {address.type}, not of one of {VAULTS}")
        return "", address.url
    host = text.lower().removeprefix("https://").rstrip("/")
    try:
        found = parse_key_url(f"https://{host}/keys/any").key.host
    except BadKeyUrl:
        found = ""
    if "." not in found:
        raise Refusal(Reason.BAD_REQUEST, "vault is a host name such as kv-ledger.vault.azure.net, or a resource id")
    return found, ""


def audit_item(wish: AuditWish, cause: Cause, now: datetime) -> AuditVault:
    """Return the work a wish to audit a vault asks for. Raises Refusal (BAD_REQUEST)."""
    return AuditVault(cause, now, *_vault(wish.vault))


def enforce_item(wish: EnforceWish, cause: Cause, now: datetime) -> WorkItem:
    """Return the work a wish to enforce the policy asks for. Raises Refusal (BAD_REQUEST)."""
    if bool(wish.resource) is wish.all:
        raise Refusal(Reason.BAD_REQUEST, "name a resource, or say all: true")
    if wish.all and wish.urgent:
        raise Refusal(Reason.BAD_REQUEST, "urgent is for a resource, not for all")
    cause = ordered(wish, cause, by_name=not wish.all)
    return Sweep(cause, now) if wish.all else CheckResource(_resource(wish.resource), cause, now, now)


def rotate_item(wish: RotateWish, cause: Cause, now: datetime) -> RotateKey:
    """Return the work a wish to rotate asks for. Raises Refusal (BAD_REQUEST)."""
    if wish.if_latest_is and not is_key_name(wish.if_latest_is):
        raise Refusal(Reason.BAD_REQUEST, "ifLatestIs is no key version")
    return RotateKey(_key(wish.key).key, ordered(wish, cause), now, wish.if_latest_is.lower())


def use_key_item(wish: UseKeyWish, cause: Cause, now: datetime) -> CheckResource:
    """Return the work a wish for another key asks for. Raises Refusal (BAD_REQUEST)."""
    if not wish.key and wish.version is Version.KEEP:
        raise Refusal(Reason.BAD_REQUEST, "name a key, or say version: follow or pin")
    key, identity = _key(wish.key) if wish.key else None, _identity(wish.identity)
    wanted = Wish(key, wish.version, slot=_slot(wish.slot), identity=identity, through=_through(wish))
    return CheckResource(_resource(wish.resource), ordered(wish, cause, by_name=True), now, now, wish=wanted)


def _through(wish: UseKeyWish) -> KeyRef | None:
    if not wish.through:
        return None
    if not wish.key or wish.identity or wish.version is not Version.KEEP:
        raise Refusal(Reason.BAD_REQUEST, "through goes with key, and with neither version nor identity")
    if _key(wish.through).key == _key(wish.key).key:
        raise Refusal(Reason.BAD_REQUEST, "through must be another key than key")
    return _key(wish.through)


def revert_item(wish: RevertWish, cause: Cause, now: datetime) -> CheckResource:
    """Return the work a wish to revert asks for. Raises Refusal (BAD_REQUEST) when it is not confirmed."""
    address = _confirmed(wish)
    wanted = Wish(revert=True, slot=_slot(wish.slot))
    return CheckResource(address, ordered(wish, cause, by_name=True), now, now, wish=wanted)


def revoke_item(wish: RevokeWish, cause: Cause, now: datetime) -> RevokeAccess:
    """Return the work a wish to revoke asks for. Raises Refusal (BAD_REQUEST) when it is not confirmed."""
    address = _confirmed(wish)
    identity = _identity(wish.identity)
    cause = ordered(wish, cause, by_name=True)
    return RevokeAccess(address, cause, now, now, wish.also_affects, identity, _slot(wish.slot))


def _confirmed(wish: RevertWish | RevokeWish) -> Address:
    address = _resource(wish.resource)
    if not wish.dry_run and wish.confirm.lower() != address.arm.name.lower():
        raise Refusal(Reason.BAD_REQUEST, "confirm must repeat the resource's name")
    return address


def _identity(text: str) -> str | None:
    """Return an identity as wishes carry it: its id, "" for the system-assigned one, None for the one there is."""
    if text in {"", "system"}:
        return "" if text else None
    return _resource(text).url


def _slot(text: str) -> str:
    if len(text) > LONGEST_SLOT or not text.isprintable():
        raise Refusal(Reason.BAD_REQUEST, "slot is no slot's name")
    return text


def _key(text: str) -> KeyRef:
    try:
        return parse_key_url(text)
    except BadKeyUrl as error:
        raise Refusal(Reason.BAD_REQUEST, one_line(str(error))) from error


def _resource(text: str) -> Address:
    try:
        return address_of(text)
    except BadAddress as error:
        raise Refusal(Reason.BAD_REQUEST, one_line(str(error))) from error


async def put_or_plan(context: Context, item: WorkItem, *, dry_run: bool) -> dict[str, Any]:
    """Put the item on the queue, or say what handling it would do. Raises AppError.

    The plan for a resource is its steps, that for a rotation whether a version would be made and why not, and that for
    a key, a vault or everything the steps of each resource concerned. Holds structs as they are: the door encodes them.
    """
    told: dict[str, Any] = {"correlationId": item.cause.id, "item": item, "dryRun": dry_run}
    if isinstance(item, RevokeAccess):
        told |= await foretold(context, item, dry_run=dry_run)
    if not dry_run:
        if isinstance(item, CheckResource) and item.wish is not None:
            await _require_possible(context, item)
        await context.ports.queue.put(item)
    elif isinstance(item, RotateKey):
        held = await would_rotate(context, item)
        told["makesVersion"] = held is None
        told["steps"] = [] if held is None else [held]
    elif isinstance(item, CheckKey | CheckVault | Sweep):
        told |= await plan_for(context, item)
    elif isinstance(item, AuditVault):
        told["audit"] = await audited(context, item)
    elif isinstance(item, CheckResource):
        steps = await preview(context, item)
        told["exists"] = steps is not None
        told["steps"] = steps or ()
        told |= await plan_along(context, item)
    return told


async def _require_possible(context: Context, item: CheckResource) -> None:
    """Raise Refusal for what the work would end with at once: the caller is still there to be told. What passes is
    waited for by the work.
    """
    try:
        steps = await preview(context, item)
    except TryLater:
        return
    if steps is None:
        raise Refusal(Reason.BAD_REQUEST, "there is no such resource")
    blocked = [step for step in steps if isinstance(step, Blocked)]
    if blocked and len(blocked) == len(steps):
        raise Refusal(blocked[0].reason, blocked[0].detail)
