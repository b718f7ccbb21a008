"""Work items: what travels on the queue. Names only; every fact is read afresh when the item is handled."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.keys import KeyId
from shared.domain.life import Tally
from shared.domain.order import Order
from shared.domain.reasons import Waited
from shared.domain.resource import Address, Edit
from shared.domain.wish import Wish

WORK_QUEUE = "cmk-work"
POISON_QUEUE = "cmk-work-poison"
LONGEST_MESSAGE = 40 * 1024
MOST_PAGES = 5_000  # of one look through the index: a million resources, then it is a list without an end


class Source(Enum):
    """Where a piece of work came from."""

    EVENT = "event"
    HTTP = "http"
    REPLAY = "replay"
    TIMER = "timer"


class Cause(Struct, frozen=True):
    """Why there is work: kept through every successor, so that each write can be traced to what asked for it."""

    id: str  # the correlation id
    source: Source
    event_id: str = ""
    event_type: str = ""
    revived: bool = False  # it was poisoned and put back: once, and only what stands for many
    order: Order = Order()


class CheckKey(Struct, frozen=True, tag="key"):
    """Look at everything that uses this key. `vault_id` is the vault the event claimed to come from, if any."""

    key: KeyId
    cause: Cause
    asked_at: datetime
    vault_id: str = ""
    waited: Waited | None = None
    cursor: str | None = None
    page: int = 0


class CheckVault(Struct, frozen=True, tag="vault"):
    """Look at everything that uses a key of this vault, or of the vaults `within` a subscription or resource group (its
    folded id). All but one of `host`, `vault_id` and `within` may be empty.
    """

    cause: Cause
    asked_at: datetime
    host: str = ""
    vault_id: str = ""
    waited: Waited | None = None
    cursor: str | None = None
    page: int = 0
    within: str = ""


class Going(Struct, frozen=True):
    """A change that Azure is carrying out: the operation's URL, how many of the change's requests are sent, and what
    it was, so that the rest is sent only if the same is still wanted. `before`: what was waited for when it began, so
    that one that fails like the one before uses up the same patience.
    """

    url: str
    sent: int
    changes: tuple[Edit, ...] = ()
    before: Waited | None = None


class InVain(Struct, frozen=True):
    """A step that Azure accepted and that did not show: which, and when that was noted first and last."""

    what: str
    first_at: datetime
    last_at: datetime


class CheckResource(Struct, frozen=True, tag="resource"):
    """Look at one resource.

    `asked_at`: an observation made after this moment answers the question. `first_at`: when it was asked first; work
    that waits for one thing after the other ends some day. `going`: a change of ours that had not ended. `vain`: one
    that ended and did not show.
    """

    address: Address
    cause: Cause
    asked_at: datetime
    first_at: datetime
    waited: Waited | None = None
    paced: bool = False  # it waited for its slot already
    going: Going | None = None
    wish: Wish | None = None
    reach: bool = False  # ask also whether it still reaches its keys
    along: bool = False  # another one named it: what it names in turn is left, or two could name each other for ever
    vain: InVain | None = None
    brought: bool = False  # what comes along with it is on the queue already


class CheckChildren(Struct, frozen=True, tag="children"):
    """Look at the members of one collection below a resource that use `key` (or `host`'s keys, or those of the vaults
    `within` a subscription or resource group, or any).
    """

    parent: Address
    child_type: str
    cause: Cause
    asked_at: datetime
    first_at: datetime
    waited: Waited | None = None
    key: KeyId | None = None
    host: str = ""
    paced: bool = False  # it waited for its slot already
    reach: bool = False  # ask also whether they still reach their keys
    within: str = ""


class NamedPlace(Struct, frozen=True):
    """How far lists below a resource have been looked through: which list, which page of it, how many of that; `pages`:
    how many have been read in all.
    """

    list: int = 0
    cursor: str = ""
    skip: int = 0
    pages: int = 0


class CheckNamed(Struct, frozen=True, tag="named"):
    """Look at what lists below a resource name, from `place` on."""

    address: Address
    cause: Cause
    asked_at: datetime
    first_at: datetime
    place: NamedPlace
    waited: Waited | None = None


class RotateKey(Struct, frozen=True, tag="rotate"):
    """Make a new version of a key, if its latest still is the one that was seen, then look at all its users."""

    key: KeyId
    cause: Cause
    asked_at: datetime
    if_latest_is: str = ""
    waited: Waited | None = None


class RevokeAccess(Struct, frozen=True, tag="revoke"):
    """Take away what lets a resource's identity use its keys (those of `slot`, or all).

    `also_affects`: how many other resources the caller knows to lose their keys with it. `identity`: as Wish has it.
    """

    address: Address
    cause: Cause
    asked_at: datetime
    first_at: datetime
    also_affects: int = 0
    identity: str | None = None
    slot: str = ""
    waited: Waited | None = None


class AuditVault(Struct, frozen=True, tag="audit"):
    """Compare a vault and its keys with what the policy expects. One of `host` and `vault_id` may be empty.

    `cursor` and `skip`: the page of keys to go on with, and how many of it are done.
    """

    cause: Cause
    asked_at: datetime
    host: str = ""
    vault_id: str = ""
    waited: Waited | None = None
    cursor: str = ""
    skip: int = 0


class EndingKey(Struct, frozen=True, tag="ending"):
    """Find who uses a key whose newest version ends, page by page; then rotate it if their rules say so, or tell."""

    key: KeyId
    cause: Cause
    asked_at: datetime
    waited: Waited | None = None
    cursor: str | None = None
    tally: Tally = Tally()  # of the pages before this one
    page: int = 0


class Sweep(Struct, frozen=True, tag="sweep"):
    """Look at everything. `slice`: of the collections that the index does not know, list only those of this quarter of
    the day; None lists them all.
    """

    cause: Cause
    asked_at: datetime
    waited: Waited | None = None
    cursor: str | None = None
    slice: int | None = None
    page: int = 0


Expansion = CheckKey | CheckVault | Sweep
WorkItem = (
    CheckKey
    | CheckVault
    | CheckResource
    | CheckChildren
    | CheckNamed
    | RotateKey
    | EndingKey
    | RevokeAccess
    | AuditVault
    | Sweep
)


class _Envelope(Struct, frozen=True):
    v: int
    item: WorkItem


class BadWorkItem(ValueError):
    """The message is not a work item of this version of the app."""


_DECODER = msgspec.json.Decoder(_Envelope)


def encode(item: WorkItem) -> str:
    """Return the item as versioned JSON. Raises BadWorkItem when it would not fit into a message."""
    text = msgspec.json.encode(_Envelope(1, item)).decode()
    if (size := len(text.encode())) > LONGEST_MESSAGE:
        raise BadWorkItem(f"a work item of {size} bytes does not fit into {LONGEST_MESSAGE}")
    return text


def decode(text: str) -> WorkItem:
    """Read a queue message. Raises BadWorkItem with what is wrong and where."""
    try:
        envelope = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise BadWorkItem(f"not a work item: {error}") from error
    if envelope.v != 1:
        raise BadWorkItem(f"a work item of version {envelope.v}; this app knows version 1")
    return envelope.item


def revived(item: WorkItem) -> WorkItem | None:
    """Return the item to put back after it was poisoned; None when that has happened before, or when it stands for one
    resource only, which the next sweep looks at.
    """
    if item.cause.revived or not isinstance(item, Expansion | EndingKey | CheckChildren | CheckNamed):
        return None
    return replace(item, cause=replace(item.cause, revived=True))


def next_page(item: Expansion, cursor: str) -> Expansion:
    """Return the item that goes on where this page ended."""
    return replace(item, cursor=cursor, waited=None, page=item.page + 1)
