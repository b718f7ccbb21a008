"""Azure's blob storage: containers, block blobs in one piece, append blobs, and immutability that lets appends append.

Every account name is served, and created when it is first used. Facts: learn rest/api/storageservices put-blob,
append-block, get-blob, list-blobs; storage/blobs/immutable-container-level-worm-policies (allowProtectedAppendWrites).
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from itertools import islice

from sandbox.storagewire import (
    VERSION,
    StorageRefused,
    absent,
    authorize,
    common_headers,
    date,
    empty,
    number,
    xml,
)
from sandbox.wire import Answer, Call
from sandbox.world import World

NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
MOST_BLOCKS = 50_000
_MIB = 1024 * 1024
_BLOCK, _APPEND = "BlockBlob", "AppendBlob"


@dataclass
class Blob:
    """One blob; its bytes grow in place, for an append must not cost what was written before."""

    name: str
    type: str
    content_type: str
    created: float
    modified: float
    etag: str
    data: bytearray = field(default_factory=bytearray)
    blocks: int = 0

    def headers(self) -> dict[str, str]:
        """Return what an answer tells of the blob."""
        told = {"ETag": self.etag, "Last-Modified": date(self.modified), "x-ms-blob-type": self.type}
        if self.type == _APPEND:
            told["x-ms-blob-committed-block-count"] = str(self.blocks)
        return told


@dataclass
class Container:
    """A container: its blobs by name, and their names in order. Immutable: what is written stays."""

    name: str
    modified: float
    etag: str
    immutable: bool = False
    blobs: dict[str, Blob] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def put(self, blob: Blob) -> None:
        """Store a blob under its name."""
        if blob.name not in self.blobs:
            insort(self.order, blob.name)
        self.blobs[blob.name] = blob

    def protect(self) -> None:
        """Raise StorageRefused 409 where a policy keeps every blob as it is."""
        if self.immutable:
            text = "This operation is not permitted as the blob is immutable due to a policy."
            raise StorageRefused(409, "BlobImmutableDueToPolicy", text)


def answer(world: World, call: Call) -> Answer:
    """Answer for an account's blob host; raises StorageRefused with storage's codes, 501 for what is left out."""
    authorize(world, call)
    found = _route(world, call)
    return replace(found, headers={**found.headers, **common_headers(world, call)})


def containers(world: World, account: str) -> dict[str, Container]:
    """Return an account's containers by name."""
    memory = world.memory.setdefault("blobs", {"etag": 0, "accounts": {}})
    found: dict[str, Container] = memory["accounts"].setdefault(account.lower(), {})
    return found


def keep(world: World, written: str) -> None:
    """Make the container "account/name", with a policy that keeps what is written. Raises ValueError for another form.

    It lets append blobs grow, as a time-based policy with allowProtectedAppendWrites does.
    """
    account, _, name = written.partition("/")
    if not account or not NAME.fullmatch(name):
        raise ValueError("must be account/container")
    containers(world, account)[name] = Container(name, world.clock.time(), _etag(world), immutable=True)


def _route(world: World, call: Call) -> Answer:
    account = containers(world, call.host.partition(".")[0])
    name, _, path = call.path.removeprefix("/").partition("/")
    if not name:
        raise absent(call, "blobs")
    if call.query.get("restype") == "container":
        return _container(world, account, name, call)
    if not path:
        raise absent(call, "blobs")
    container = _find(account, name)
    match call.method, call.query.get("comp", ""):
        case "PUT", "":
            return _put(world, container, path, call)
        case "PUT", "appendblock":
            return _append(world, container, path, call)
        case (("GET" | "HEAD"), ""):
            return _read(container, path, call)
        case "DELETE", "":
            return _delete(container, path, call)
    raise absent(call, "blobs")


def _container(world: World, account: dict[str, Container], name: str, call: Call) -> Answer:
    match call.method, call.query.get("comp", ""):
        case "PUT", "":
            if not NAME.fullmatch(name):
                text = "The specified resource name contains invalid characters."
                raise StorageRefused(400, "InvalidResourceName", text)
            if name in account:
                raise StorageRefused(409, "ContainerAlreadyExists", "The specified container already exists.")
            made = account[name] = Container(name, world.clock.time(), _etag(world))
            return empty(201, {"ETag": made.etag, "Last-Modified": date(made.modified)})
        case (("GET" | "HEAD"), ""):
            found = _find(account, name)
            kept = {"x-ms-has-immutability-policy": str(found.immutable).lower()}
            return empty(200, {"ETag": found.etag, "Last-Modified": date(found.modified), **kept})
        case "GET", "list":
            return _list(_find(account, name), call)
    raise absent(call, "blobs")


def _put(world: World, container: Container, name: str, call: Call) -> Answer:
    type_ = call.headers.get("x-ms-blob-type", "")
    if type_ not in {_BLOCK, _APPEND} or "x-ms-copy-source" in call.headers:
        raise absent(call, "blobs")
    if type_ == _APPEND and call.body:
        raise StorageRefused(400, "InvalidHeaderValue", "An append blob begins without content.")
    before = container.blobs.get(name)
    if before is not None and call.headers.get("if-none-match") == "*":
        raise StorageRefused(409, "BlobAlreadyExists", "The specified blob already exists.")
    _check_match(before, call)
    if before is not None:
        container.protect()
    now = world.clock.time()
    kind = call.headers.get("x-ms-blob-content-type") or "application/octet-stream"
    blob = Blob(name, type_, kind, now, now, _etag(world), bytearray(call.body))
    container.put(blob)
    return empty(201, {**blob.headers(), "x-ms-request-server-encrypted": "true"})


def _append(world: World, container: Container, name: str, call: Call) -> Answer:
    blob = _blob(container, name)
    if blob.type != _APPEND:
        raise StorageRefused(409, "InvalidBlobType", "The blob type is invalid for this operation.")
    _check_append(blob, call)
    offset = len(blob.data)
    blob.data += call.body
    blob.blocks += 1
    blob.modified, blob.etag = world.clock.time(), _etag(world)
    told = {"x-ms-blob-append-offset": str(offset), "x-ms-request-server-encrypted": "true"}
    return empty(201, {**blob.headers(), **told})


def _check_append(blob: Blob, call: Call) -> None:
    version = call.headers.get("x-ms-version", VERSION)
    most = 100 * _MIB if version >= "2022-11-02" else 4 * _MIB
    if not call.body:
        raise StorageRefused(400, "InvalidHeaderValue", "The value for Content-Length is not in the correct format.")
    if len(call.body) > most:
        text = "The request body is too large and exceeds the maximum permissible limit."
        raise StorageRefused(413, "RequestBodyTooLarge", text)
    _check_match(blob, call)
    position = call.headers.get("x-ms-blob-condition-appendpos")
    if position is not None and int(position) != len(blob.data):
        text = "The append position condition specified was not met."
        raise StorageRefused(412, "AppendPositionConditionNotMet", text)
    largest = call.headers.get("x-ms-blob-condition-maxsize")
    if largest is not None and len(blob.data) + len(call.body) > int(largest):
        text = "The max blob size condition specified was not met."
        raise StorageRefused(412, "MaxBlobSizeConditionNotMet", text)
    if blob.blocks >= MOST_BLOCKS:
        text = f"The committed block count cannot exceed the maximum limit of {MOST_BLOCKS:,} blocks."
        raise StorageRefused(409, "BlockCountExceedsLimit", text)


def _read(container: Container, name: str, call: Call) -> Answer:
    blob = _blob(container, name)
    _check_match(blob, call)
    told = {**blob.headers(), "Content-Type": blob.content_type, "Accept-Ranges": "bytes"}
    told["x-ms-creation-time"] = date(blob.created)
    if call.headers.get("if-none-match") in {blob.etag, "*"}:
        return empty(304, {"ETag": blob.etag, "x-ms-error-code": "ConditionNotMet"})
    if call.method == "HEAD":
        return empty(200, {**told, "Content-Length": str(len(blob.data))})
    wanted = _range(call.headers, len(blob.data))
    if wanted is None:
        return Answer(200, told, bytes(blob.data))
    first, last = wanted
    told["Content-Range"] = f"bytes {first}-{last}/{len(blob.data)}"
    return Answer(206, told, bytes(blob.data[first : last + 1]))


def _range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    written = headers.get("x-ms-range") or headers.get("range")
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", written or "")
    if match is None:
        return None
    first = int(match.group(1))
    if first >= size:
        text = "The range specified is invalid for the current size of the resource."
        raise StorageRefused(416, "InvalidRange", text, {"Content-Range": f"bytes */{size}"})
    return first, min(int(match.group(2) or size - 1), size - 1)


def _delete(container: Container, name: str, call: Call) -> Answer:
    blob = _blob(container, name)
    _check_match(blob, call)
    container.protect()
    del container.blobs[name]
    container.order.remove(name)
    return empty(202)


def _list(container: Container, call: Call) -> Answer:
    if call.query.get("delimiter") or call.query.get("include"):
        raise absent(call, "blobs")
    size = number(call, "maxresults", 5000, 1, 5000)
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    names = (name for name in container.order if name.startswith(prefix) and name >= marker)
    page = list(islice(names, size + 1))
    lines = "".join(_shown(container.blobs[name]) for name in page[:size])
    following = escape(page[size]) if len(page) > size else ""
    echo = f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker><MaxResults>{size}</MaxResults>"
    inner = f"{echo}<Blobs>{lines}</Blobs><NextMarker>{following}</NextMarker>"
    where = f'ServiceEndpoint="https://{call.host}/" ContainerName="{container.name}"'
    return xml(f"<EnumerationResults {where}>{inner}</EnumerationResults>")


def _shown(blob: Blob) -> str:
    properties = {
        "Creation-Time": date(blob.created),
        "Last-Modified": date(blob.modified),
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(len(blob.data)),
        "Content-Type": escape(blob.content_type),
        "BlobType": blob.type,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in properties.items())
    return f"<Blob><Name>{escape(blob.name)}</Name><Properties>{inner}</Properties></Blob>"


def _check_match(blob: Blob | None, call: Call) -> None:
    wanted = call.headers.get("if-match")
    if wanted is not None and (blob is None or wanted not in {"*", blob.etag}):
        raise StorageRefused(
            412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."
        )


def _find(account: dict[str, Container], name: str) -> Container:
    container = account.get(name)
    if container is None:
        raise StorageRefused(404, "ContainerNotFound", "The specified container does not exist.")
    return container


def _blob(container: Container, name: str) -> Blob:
    blob = container.blobs.get(name)
    if blob is None:
        raise StorageRefused(404, "BlobNotFound", "The specified blob does not exist.")
    return blob


def _etag(world: World) -> str:
    memory = world.memory.setdefault("blobs", {"etag": 0, "accounts": {}})
    memory["etag"] += 1
    return f'"0x8D{memory["etag"]:013X}"'
