"""The app, over HTTP: one request at a time, and what came of it in plain words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from cmkctl.recorded import Recorded
from cmkctl.schedule import encoded

_FINE = range(200, 300)
_MOVED = range(300, 400)
_UNREADABLE = (400, 413)  # refused whole, so nothing was put
_LONGEST_ANSWER = 16 * 1024 * 1024
_PATIENCE = aiohttp.ClientTimeout(total=240, connect=15)  # Azure cuts a caller off after 230 s


class Result(Struct, frozen=True):
    """What came of one event: put, ignored or failed, and the item's type or the reason."""

    recorded: Recorded
    event_id: str
    came: str
    what: str


class NoAnswer(Exception):
    """The app does not answer; the message says why."""


class WrongUrl(ValueError):
    """The address is not one that the key may be sent to."""


class Post(Protocol):
    """How events reach the app."""

    async def __call__(self, body: bytes, *, dry_run: bool) -> tuple[int, Any]:
        """Send a body to `replay`; return the status and the JSON of the answer. Raises NoAnswer."""
        ...


def checked_url(url: str) -> str:
    """Return the app's address. Raises WrongUrl: the function key travels in clear text over http, so that is for this
    machine only.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise WrongUrl(f"not an address: {url[:100]!r}") from error
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.query or parts.fragment:
        raise WrongUrl(f"not an address such as https://my-app.azurewebsites.net: {url[:100]!r}")
    if parts.scheme == "http" and not _is_here(host):
        raise WrongUrl("plain http would show the function key to everybody on the way; use https")
    return url.strip().rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Http:
    """Implements Post over HTTP. A redirect is not followed: it would take the function key along."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{checked_url(url)}/api/replay"
        self._session = aiohttp.ClientSession(headers={"x-functions-key": key} if key else {}, timeout=_PATIENCE)

    async def __call__(self, body: bytes, *, dry_run: bool) -> tuple[int, Any]:
        """Send a body. Raises NoAnswer."""
        options: dict[str, Any] = {"params": {"dryRun": "true"} if dry_run else {}, "allow_redirects": False}
        try:
            async with self._session.post(self._url, data=body, **options) as answer:
                raw = await answer.content.read(_LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"no answer: {str(error) or type(error).__name__}") from error
        return answer.status, _json(raw)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._session.close()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"null")
    except (ValueError, RecursionError):
        return None


async def send(post: Post, events: Sequence[Recorded], *, dry_run: bool) -> list[Result]:
    """Send events in one request; one that makes the app refuse them all does not take its neighbours along."""
    try:
        status, told = await post(encoded([one.event for one in events]), dry_run=dry_run)
    except NoAnswer as error:
        return [Result(one, "-", "failed", str(error)) for one in events]
    if status in _UNREADABLE and len(events) > 1:
        alone = [await send(post, [one], dry_run=dry_run) for one in events]
        return [result for (result,) in alone]
    return results(events, status, told)


def results(events: Sequence[Recorded], status: int, told: Any) -> list[Result]:
    """Return what an answer says of each event, whatever the answer is."""
    if status in _MOVED:
        return [
            Result(one, "-", "failed", f"{status}: the address leads elsewhere; name the app's own") for one in events
        ]
    if status not in _FINE:
        return [Result(one, "-", "failed", _problem(told, status)) for one in events]
    if not isinstance(told, list) or len(told) != len(events):
        return [Result(one, "-", "failed", "an answer that is none of the app's") for one in events]
    return [_result(one, said) for one, said in zip(events, told, strict=True)]


def _problem(told: Any, status: int) -> str:
    said = (told.get("detail") or told.get("title") or "") if isinstance(told, dict) else ""
    hint = "the function key (CMK_FUNCTION_KEY) is missing or wrong" if status in {401, 403} else ""
    return f"{status}: {str(said)[:200] or hint or 'refused'}"


def _result(one: Recorded, said: Any) -> Result:
    if isinstance(said, dict):
        id_, item = str(said.get("eventId", "-"))[:64], said.get("item")
        if said.get("result") == "ignored":
            return Result(one, id_, "ignored", str(said.get("why"))[:200])
        if said.get("result") == "put" and isinstance(item, dict):
            return Result(one, id_, "put", str(item.get("type"))[:50])
    return Result(one, "-", "failed", "an answer that is none of the app's")
