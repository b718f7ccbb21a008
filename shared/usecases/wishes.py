"""What a person asks for over HTTP, as plain JSON: checked here, turned into work or into a plan to look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.keys import BadKeyUrl, KeyRef, is_key_name, parse_key_url
from shared.domain.plain import one_line
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.resource import Address, BadAddress, address_of
from shared.domain.wish import Wish
from shared.domain.work import Cause, CheckKey, CheckResource, CheckVault, RotateKey, Sweep, WorkItem
from shared.errors import Refusal, TooLarge
from shared.usecases.check_resource import preview
from shared.usecases.context import Context
from shared.usecases.dry_run import plan_for
from shared.usecases.rotate import would_rotate

LONGEST_WISH = 64 * 1024
LONGEST_SLOT = 100


class ConvergeWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST converge. One of key, vault and resource, or `all`: what to look at."""

    key: str = ""
    vault: str = ""
    resource: str = ""
    all: bool = False
    dry_run: bool = False


class EnforceWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST enforce: one resource, or `all`."""

    resource: str = ""
    all: bool = False
    dry_run: bool = False


class RotateWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST rotate. `if_latest_is` names the version you saw; another one being latest stops the rotation."""

    key: str
    if_latest_is: str = ""
    dry_run: bool = False


class UseKeyWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST use-key: the key that a resource shall use, whether it shall follow it, or both.

    `identity`: the id of the user-assigned identity that shall reach the key, or "system"; absent: the one that does.
    `through`: a temporary key, where the newest version of `key` is only taken up by moving to another key and back.
    """

    resource: str
    key: str = ""
    version: Version = Version.KEEP
    slot: str = ""
    identity: str = ""
    through: str = ""
    dry_run: bool = False


class RevertWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST revert: back to the platform's key. `confirm` repeats the resource's name."""

    resource: str
    confirm: str = ""
    slot: str = ""
    dry_run: bool = False


Form = ConvergeWish | EnforceWish | RotateWish | UseKeyWish | RevertWish


def read_wish(body: bytes, form: type[Form]) -> Any:
    """Read a request's body. Raises Refusal (BAD_REQUEST) that names the field."""
    if len(body) > LONGEST_WISH:
        raise TooLarge(Reason.BAD_REQUEST, f"a body of {len(body)} bytes; {LONGEST_WISH} are allowed")
    try:
        return msgspec.json.decode(body or b"{}", type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(Reason.BAD_REQUEST, one_line(str(error))) from error


def converge_item(wish: ConvergeWish, cause: Cause, now: datetime) -> WorkItem:
    """Return the work a wish to converge asks for. Raises Refusal (BAD_REQUEST)."""
    named = [bool(wish.key), bool(wish.vault), bool(wish.resource), wish.all]
    if sum(named) != 1:
        raise Refusal(Reason.BAD_REQUEST, "name exactly one of key, vault, resource, or all: true")
    if wish.key:
        return CheckKey(_key(wish.key).key, cause, now)
    if wish.resource:
        return CheckResource(_resource(wish.resource), cause, now, now)
    if wish.vault.startswith("/"):
        return CheckVault(cause, now, vault_id=_resource(wish.vault).url)
    if wish.vault:
        host = wish.vault.lower().removeprefix("https://").rstrip("/")
        return CheckVault(cause, now, host=_key(f"https://{host}/keys/any").key.host)
    return Sweep(cause, now)


def enforce_item(wish: EnforceWish, cause: Cause, now: datetime) -> WorkItem:
    """Return the work a wish to enforce the policy asks for. Raises Refusal (BAD_REQUEST)."""
    if bool(wish.resource) is wish.all:
        raise Refusal(Reason.BAD_REQUEST, "name a resource, or say all: true")
    return Sweep(cause, now) if wish.all else CheckResource(_resource(wish.resource), cause, now, now)


def rotate_item(wish: RotateWish, cause: Cause, now: datetime) -> RotateKey:
    """Return the work a wish to rotate asks for. Raises Refusal (BAD_REQUEST)."""
    if wish.if_latest_is and not is_key_name(wish.if_latest_is):
        raise Refusal(Reason.BAD_REQUEST, "ifLatestIs is no key version")
    return RotateKey(_key(wish.key).key, cause, now, wish.if_latest_is.lower())


def use_key_item(wish: UseKeyWish, cause: Cause, now: datetime) -> CheckResource:
    """Return the work a wish for another key asks for. Raises Refusal (BAD_REQUEST)."""
    if not wish.key and wish.version is Version.KEEP:
        raise Refusal(Reason.BAD_REQUEST, "name a key, or say version: follow or pin")
    through = _through(wish)
    identity = None
    if wish.identity:
        identity = "" if wish.identity == "system" else _resource(wish.identity).url
    wanted = Wish(
        _key(wish.key) if wish.key else None, wish.version, slot=_slot(wish.slot), identity=identity, through=through
    )
    return CheckResource(_resource(wish.resource), cause, now, now, wish=wanted)


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
    address = _resource(wish.resource)
    if not wish.dry_run and wish.confirm.lower() != address.arm.name.lower():
        raise Refusal(Reason.BAD_REQUEST, "confirm must repeat the resource's name")
    return CheckResource(address, cause, now, now, wish=Wish(revert=True, slot=_slot(wish.slot)))


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
    if not dry_run:
        await context.ports.queue.put(item)
    elif isinstance(item, RotateKey):
        held = await would_rotate(context, item)
        told["makesVersion"] = held is None
        told["steps"] = [] if held is None else [held]
    elif isinstance(item, CheckKey | CheckVault | Sweep):
        told |= await plan_for(context, item)
    elif isinstance(item, CheckResource):
        steps = await preview(context, item)
        told["exists"] = steps is not None
        told["steps"] = steps or ()
    return told
