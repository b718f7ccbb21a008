"""The one way out: every request of every SDK passes here, and no token goes where it does not belong.

A transport and not a pipeline policy, because SDKs build pipelines of their own and follow links and redirects that a
server named; nothing gets past the transport. See docs/decisions/0003-guarded-transport.md.
"""

from __future__ import annotations

from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AsyncHttpTransport

from shared.adapters.azure_time import AzureTime
from shared.adapters.changes import correlation_of
from shared.adapters.clouds import Cloud
from shared.domain.reasons import Reason
from shared.errors import Refusal
from shared.ports import change_reference, correlation

_REMEMBERED = 64
_SECRETS = {"authorization", "proxy-authorization", "cookie", "aeg-sas-key", "aeg-sas-token"}


@cache
def _proxy_for(host: str) -> str | None:
    """Return the proxy that the environment names for a host.

    Asked once for each host: aiohttp's own way (trust_env) looks for the user's .netrc in a thread at every request.
    """
    return None if proxy_bypass(host) else getproxies().get("https")


class Tokens:
    """A credential that remembers for whom each token was made, so that the transport can check where it goes."""

    def __init__(self, inner: AsyncTokenCredential, cloud: Cloud) -> None:
        self._inner = inner
        self._allowed = cloud.scopes
        self._made: dict[str, str] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for one of the cloud's own scopes. Raises Refusal (FOREIGN_HOST) for any other."""
        if len(scopes) != 1 or scopes[0] not in self._allowed:
            raise Refusal(Reason.FOREIGN_HOST, f"a token for {', '.join(scopes)[:200]}")
        try:
            token = await self._inner.get_token(*scopes, **options)
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # azure-identity lets them through
            raise ClientAuthenticationError("an answer to the request for a token cannot be read") from error
        self._made[token.token] = scopes[0]
        while len(self._made) > _REMEMBERED:
            del self._made[next(iter(self._made))]
        return token

    def made_for(self, token: str) -> str | None:
        """Return the scope a token was made for; None: it is not one of ours."""
        return self._made.get(token)

    async def close(self) -> None:
        """Close the credential underneath."""
        await self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


class StaysAt(SansIOHTTPPolicy[Any, Any]):
    """Keeps a client at one host of those that its tokens are good for: a link to the next page may name another."""

    def __init__(self, host: str) -> None:
        self._host = host

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Let the request pass. Raises Refusal (FOREIGN_HOST) when it is for another host."""
        asked = (urlsplit(request.http_request.url).hostname or "").lower()
        if asked != self._host:
            raise Refusal(Reason.FOREIGN_HOST, f"{self._host} leads to {asked[:200]}")


class GuardedTransport(AsyncHttpTransport[Any, Any]):
    """Sends over `inner` what may be sent, with the correlation id of the work going on."""

    def __init__(
        self, inner: AsyncHttpTransport[Any, Any], cloud: Cloud, tokens: Tokens, time: AzureTime | None = None
    ) -> None:
        self._inner = inner
        self._cloud = cloud
        self._tokens = tokens
        self._time = time

    async def send(self, request: Any, **options: Any) -> Any:
        """Send the request. Raises Refusal (FOREIGN_HOST) when the host is not the cloud's or the token not for it."""
        parts = urlsplit(request.url)
        host = (parts.hostname or "").lower()
        scope = self._cloud.scope_of(host)
        bare = scope is None and host in self._cloud.bare_hosts
        if parts.scheme != "https" or parts.port not in {None, 443} or (scope is None and not bare):
            raise Refusal(Reason.FOREIGN_HOST, host[:200])
        if bare and any(name.lower() in _SECRETS for name in request.headers):
            raise Refusal(Reason.FOREIGN_HOST, f"a token for {host[:200]}")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._tokens.made_for(token) != scope:
            raise Refusal(Reason.FOREIGN_HOST, f"a token that was not made for {host[:200]}")
        if proxy := _proxy_for(host):
            options["proxy"] = proxy
        # A shared-key signature covers x-ms headers, so those requests keep the id the SDK signed.
        if (id_ := correlation.get()) and not bare and scheme.lower() != "sharedkey":
            request.headers["x-ms-client-request-id"] = id_
        if host == self._cloud.arm and (change := change_reference.get()):
            request.headers["x-ms-correlation-request-id"] = correlation_of(change)
        if host != self._cloud.arm or self._time is None:  # whose name is in nobody's event; and one clock is enough
            return await self._inner.send(request, **options)
        sent = self._time.here()
        answer = await self._inner.send(request, **options)
        if not answer.headers.get("Age"):  # else somebody on the way kept it, and its Date is as old
            self._time.heard(answer.headers.get("Date") or "", sent, self._time.here())
        return answer

    async def open(self) -> None:
        """Open the transport underneath."""
        await self._inner.open()

    async def close(self) -> None:
        """Leave the shared transport open: one client closing must not close the others."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()
