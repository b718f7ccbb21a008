"""Azure's queue storage: the REST calls that azure-storage-queue makes, with exact visibility and expiry by the clock.

Every account name is served, and created when it is first used. Bearer tokens are verified, access keys and SAS not.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass, field, replace
from html import escape
from itertools import islice
from xml.etree import ElementTree as ET

from sandbox.storagewire import (
    StorageRefused,
    absent,
    authorize,
    common_headers,
    date,
    empty,
    number,
    out_of_range,
    xml,
)
from sandbox.wire import Answer, Call
from sandbox.world import World

NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
LIMIT = 64 * 1024  # bytes of a message's text
WEEK = 7 * 24 * 3600  # seconds: the longest invisibility, and the default time to live
HOLD = 30  # seconds: the default invisibility of what was received
BATCH = 32


@dataclass
class Message:
    """One message; times are seconds since the epoch, expires is None for a message that lives for ever."""

    id: str
    text: str
    inserted: float
    expires: float | None
    visible: float
    receipt: str
    dequeue_count: int = 0


@dataclass
class Queue:
    """A queue: its messages by id, and two heaps that may hold lines of messages which have moved on."""

    name: str
    metadata: dict[str, str]
    messages: dict[str, Message] = field(default_factory=dict)
    waiting: list[tuple[float, int, str, str]] = field(default_factory=list)  # visible, order, id, receipt
    expiring: list[tuple[float, str]] = field(default_factory=list)

    def live(self, now: float) -> dict[str, Message]:
        """Return the messages that have not expired."""
        while self.expiring and self.expiring[0][0] <= now:
            self.messages.pop(heapq.heappop(self.expiring)[1], None)
        return self.messages

    def show_at(self, world: World, message: Message, visible: float) -> None:
        """Set when the message becomes visible, under a new pop receipt."""
        message.visible, message.receipt = visible, world.new_id()
        order: int = world.memory["queues"]["order"]
        world.memory["queues"]["order"] = order + 1
        heapq.heappush(self.waiting, (visible, order, message.id, message.receipt))

    def visible(self, now: float, wanted: int, *, keep: bool) -> list[Message]:
        """Return up to `wanted` visible messages, in order; `keep` leaves them visible."""
        live = self.live(now)
        taken: list[Message] = []
        lines: list[tuple[float, int, str, str]] = []
        while self.waiting and self.waiting[0][0] <= now and len(taken) < wanted:
            line = heapq.heappop(self.waiting)
            message = live.get(line[2])
            if message is not None and message.receipt == line[3]:
                taken.append(message)
                lines.append(line)
        if keep:
            for line in lines:
                heapq.heappush(self.waiting, line)
        return taken


def answer(world: World, call: Call) -> Answer:
    """Answer for an account's queue host; raises StorageRefused with storage's codes, 501 for what is left out."""
    found = _route(world, call)
    return replace(found, headers={**found.headers, **common_headers(world, call)})


def depth(world: World, account: str, queue: str) -> int:
    """Return how many messages a queue holds, invisible ones too; 0 when there is no such queue."""
    return len(messages(world, account, queue))


def messages(world: World, account: str, queue: str) -> list[Message]:
    """Return a queue's messages in order of insertion, invisible ones too; empty when there is no such queue."""
    found = _queues(world, account).get(queue)
    return list(found.live(world.clock.time()).values()) if found else []


def queue_of(world: World, account: str, name: str) -> Queue | None:
    """Return the queue itself, or None: for who plays the host without a client."""
    return _queues(world, account).get(name)


def _route(world: World, call: Call) -> Answer:
    authorize(world, call)
    account = _queues(world, call.host.partition(".")[0])
    match call.segments:
        case () if call.method == "GET" and call.query.get("comp") == "list":
            return _list(account, call)
        case (name,):
            return _queue(account, name, call)
        case (name, "messages"):
            return _messages(world, _find(account, name), call)
        case (name, "messages", id_):
            return _message(world, _find(account, name), id_, call)
    raise absent(call, "queues")


def _queue(account: dict[str, Queue], name: str, call: Call) -> Answer:
    comp = call.query.get("comp", "")
    metadata = {key[len("x-ms-meta-") :]: value for key, value in call.headers.items() if key.startswith("x-ms-meta-")}
    match call.method, comp:
        case "PUT", "":
            if not NAME.fullmatch(name):
                raise StorageRefused(
                    400, "InvalidResourceName", "The specified resource name contains invalid characters."
                )
            if name not in account:
                account[name] = Queue(name, metadata)
                return empty(201)
            if account[name].metadata != metadata:
                raise StorageRefused(409, "QueueAlreadyExists", "The specified queue already exists.")
            return empty(204)
        case "DELETE", "":
            del account[_find(account, name).name]
            return empty(204)
        case (("GET" | "HEAD"), "metadata"):
            queue = _find(account, name)
            headers = {f"x-ms-meta-{key}": value for key, value in queue.metadata.items()}
            return empty(200, {**headers, "x-ms-approximate-messages-count": str(len(queue.messages))})
        case "PUT", "metadata":
            _find(account, name).metadata = metadata
            return empty(204)
        case "GET", "acl":
            _find(account, name)
            return xml("<SignedIdentifiers />")
    raise absent(call, "queues")


def _messages(world: World, queue: Queue, call: Call) -> Answer:
    now = world.clock.time()
    if call.method == "POST":
        hold = number(call, "visibilitytimeout", 0, 0, WEEK)
        ttl = number(call, "messagettl", WEEK, -1, 2**31)
        if ttl == 0 or 0 < ttl <= hold:
            raise out_of_range("messagettl" if ttl == 0 else "visibilitytimeout")
        expires = None if ttl < 0 else now + ttl
        message = Message(world.new_id(), _text(call), now, expires, now, "")
        queue.live(now)[message.id] = message
        queue.show_at(world, message, now + hold)
        if expires is not None:
            heapq.heappush(queue.expiring, (expires, message.id))
        return xml(f"<QueueMessagesList>{_shown(message)}</QueueMessagesList>", 201)
    if call.method == "GET":
        wanted = number(call, "numofmessages", 1, 1, BATCH)
        peek = call.query.get("peekonly", "").lower() == "true"
        hold = number(call, "visibilitytimeout", HOLD, 1, WEEK)
        found = queue.visible(now, wanted, keep=peek)
        if not peek:
            for message in found:
                message.dequeue_count += 1
                queue.show_at(world, message, now + hold)
        lines = "".join(_shown(message, text=True, receipt=not peek) for message in found)
        return xml(f"<QueueMessagesList>{lines}</QueueMessagesList>")
    if call.method == "DELETE":
        queue.messages.clear()
        queue.waiting.clear()
        queue.expiring.clear()
        return empty(204)
    raise absent(call, "queues")


def _message(world: World, queue: Queue, id_: str, call: Call) -> Answer:
    if call.method not in {"PUT", "DELETE"}:
        raise absent(call, "queues")
    now = world.clock.time()
    message = queue.live(now).get(id_)
    if message is None:
        raise StorageRefused(404, "MessageNotFound", "The specified message does not exist.")
    if call.query.get("popreceipt", "") != message.receipt:
        text = "The specified pop receipt did not match the pop receipt for a dequeued message."
        raise StorageRefused(400, "PopReceiptMismatch", text)
    if call.method == "DELETE":
        del queue.messages[id_]
        return empty(204)
    hold = number(call, "visibilitytimeout", None, 0, WEEK)
    if message.expires is not None and now + hold >= message.expires:
        raise out_of_range("visibilitytimeout")
    if call.body:
        message.text = _text(call)
    queue.show_at(world, message, now + hold)
    headers = {"x-ms-popreceipt": message.receipt, "x-ms-time-next-visible": date(message.visible)}
    return empty(204, headers)


def _list(account: dict[str, Queue], call: Call) -> Answer:
    size = number(call, "maxresults", 5000, 1, 5000)
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    names = [name for name in sorted(account) if name.startswith(prefix) and name >= marker]
    lines = []
    for name in islice(names, size):
        metadata = ""
        if "metadata" in call.query.get("include", ""):
            pairs = account[name].metadata.items()
            metadata = f"<Metadata>{''.join(f'<{key}>{escape(value)}</{key}>' for key, value in pairs)}</Metadata>"
        lines.append(f"<Queue><Name>{name}</Name>{metadata}</Queue>")
    following = names[size] if len(names) > size else ""
    echo = f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker><MaxResults>{size}</MaxResults>"
    inner = f"{echo}<Queues>{''.join(lines)}</Queues><NextMarker>{following}</NextMarker>"
    return xml(f'<EnumerationResults ServiceEndpoint="https://{call.host}/">{inner}</EnumerationResults>')


def _queues(world: World, account: str) -> dict[str, Queue]:
    memory = world.memory.setdefault("queues", {"order": 0, "accounts": {}})
    queues: dict[str, Queue] = memory["accounts"].setdefault(account.lower(), {})
    return queues


def _find(account: dict[str, Queue], name: str) -> Queue:
    queue = account.get(name)
    if queue is None:
        raise StorageRefused(404, "QueueNotFound", "The specified queue does not exist.")
    return queue


def _text(call: Call) -> str:
    try:
        # Expat itself refuses entity bombs, and the callers are local.
        root = ET.fromstring(call.body)  # noqa: S314
    except ET.ParseError as error:
        raise StorageRefused(400, "InvalidXmlDocument", "The specified XML is not syntactically valid.") from error
    text = root.findtext("MessageText") or ""
    if len(text.encode()) > LIMIT:
        text = "The request body is too large and exceeds the maximum permissible limit."
        raise StorageRefused(413, "RequestBodyTooLarge", text)
    return text


def _shown(message: Message, *, text: bool = False, receipt: bool = True) -> str:
    parts = [
        f"<MessageId>{message.id}</MessageId>",
        f"<InsertionTime>{date(message.inserted)}</InsertionTime>",
        f"<ExpirationTime>{date(message.expires)}</ExpirationTime>",
    ]
    if receipt:
        parts.append(f"<PopReceipt>{message.receipt}</PopReceipt>")
        parts.append(f"<TimeNextVisible>{date(message.visible)}</TimeNextVisible>")
    if text:
        parts.append(f"<DequeueCount>{message.dequeue_count}</DequeueCount>")
        parts.append(f"<MessageText>{escape(message.text, quote=False)}</MessageText>")
    return f"<QueueMessage>{''.join(parts)}</QueueMessage>"
