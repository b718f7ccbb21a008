"""The forms of what a person may ask for over HTTP, as plain JSON, and reading them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.plain import one_line
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.errors import Refusal, TooLarge

LONGEST_WISH = 64 * 1024


class Ordering(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What every wish may say besides. `urgent`: no wave and no window holds it. `change`: what allows it elsewhere."""

    urgent: bool = False
    change: str = ""


class ConvergeWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST converge. One of key, vault and resource, or `all`: what to look at."""

    key: str = ""
    vault: str = ""
    resource: str = ""
    all: bool = False
    dry_run: bool = False


class EnforceWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST enforce: one resource, or `all`."""

    resource: str = ""
    all: bool = False
    dry_run: bool = False


class RotateWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST rotate. `if_latest_is` names the version you saw; another one being latest stops the rotation."""

    key: str
    if_latest_is: str = ""
    dry_run: bool = False


class UseKeyWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
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


class RevertWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST revert: back to the platform's key. `confirm` repeats the resource's name."""

    resource: str
    confirm: str = ""
    slot: str = ""
    dry_run: bool = False


class RevokeWish(Ordering, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST revoke: take away what lets a resource's identity use its keys. `confirm` repeats the resource's
    name, `also_affects` how many others lose theirs with it. `identity`: an id or "system", where it has several.
    """

    resource: str
    confirm: str = ""
    also_affects: int = 0
    identity: str = ""
    slot: str = ""
    dry_run: bool = False


class AuditWish(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST audit: a vault's host name or resource id, to be compared with what the policy expects."""

    vault: str
    dry_run: bool = False


Form = AuditWish | ConvergeWish | EnforceWish | RotateWish | UseKeyWish | RevertWish | RevokeWish


def read_wish(body: bytes, form: type[Form]) -> Any:
    """Read a request's body. Raises Refusal (BAD_REQUEST) that names the field."""
    if len(body) > LONGEST_WISH:
        raise TooLarge(Reason.BAD_REQUEST, f"a body of {len(body)} bytes; {LONGEST_WISH} are allowed")
    try:
        return msgspec.json.decode(body or b"{}", type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(Reason.BAD_REQUEST, one_line(str(error))) from error
