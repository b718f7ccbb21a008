"""Brings Event Grid's bodies to their endpoints on this machine, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import aiohttp

from sandbox.eventgrid.delivery import Post, Reply
from sandbox.eventgrid.subscriptions import FUNCTION
from sandbox.host.core import FunctionHost

_NO_ANSWER = Reply(0, {}, b"")


def in_process(host: FunctionHost) -> Post:
    """Return a `post` that hands bodies to a host in this process: for tests and for virtual time."""

    async def post(endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        lower = {name.lower(): value for name, value in headers.items()}
        return (await host.event_grid(endpoint[len(FUNCTION) :], lower, body)).status

    return post


class Postman:
    """Sends to `azurefunction:NAME` or to a URL; `webhook` gives the URL of a function, or None when no app runs."""

    def __init__(self, webhook: Callable[[str], str | None]) -> None:
        self._webhook = webhook
        self._session: aiohttp.ClientSession | None = None

    async def post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        """Return the endpoint's status, or 0 when the connection breaks; a body that stays unanswered is cancelled."""
        return (await self.ask("POST", endpoint, headers, body)).status

    async def ask(self, method: str, endpoint: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the endpoint's whole answer; status 0 when the connection breaks."""
        url = self._webhook(endpoint[len(FUNCTION) :]) if endpoint.lower().startswith(FUNCTION) else endpoint
        if url is None:
            return _NO_ANSWER
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        try:
            async with self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                found = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, found, await answer.read())
        except aiohttp.ClientError:
            return _NO_ANSWER

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
