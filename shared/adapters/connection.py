"""What all clients share: one session, one credential, one way to retry. Made at first use, inside the running loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import AsyncRedirectPolicy, AsyncRetryPolicy
from azure.core.pipeline.transport import AsyncHttpTransport

from shared.adapters.azure_time import AzureTime
from shared.adapters.clouds import Cloud
from shared.adapters.guard import GuardedTransport, Tokens
from shared.adapters.translate import retry_after

_TOO_MANY_REQUESTS = 429
_READS = {"GET", "HEAD"}
_LONGEST_PAUSE = 3.0  # seconds that an invocation may sleep between two tries; longer waits go back on the queue
MakeTransport = Callable[[], AsyncHttpTransport[Any, Any]]
MakeCredential = Callable[[], AsyncTokenCredential]


class ShortRetry(AsyncRetryPolicy[Any, Any]):
    """Reads are tried again at once after a hiccup. Throttling, and anything Azure wants us to wait longer for, is no
    hiccup. Writes are never sent again unseen: what they rest on may have changed, and a rotation would happen twice.
    """

    def __init__(self) -> None:
        super().__init__(retry_total=2, retry_backoff_factor=0.3, retry_backoff_max=2)

    def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for one request. Which methods count is only taken from here: left alone, azure-core
        sends a PUT or DELETE whose answer got lost once more.
        """
        return {**super().configure_retries(options), "methods": _READS}

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Return whether to try again within this invocation."""
        if response.http_request.method not in _READS:
            return False
        if response.http_response.status_code == _TOO_MANY_REQUESTS:
            return False
        pause = self.get_retry_after(response)
        if pause is not None and pause > _LONGEST_PAUSE:
            return False
        return bool(super().is_retry(settings, response))

    def get_retry_after(self, response: PipelineResponse[Any, Any]) -> float | None:
        """Return what Azure asks for in seconds; nonsense counts as nothing."""
        asked = retry_after(response.http_response.headers)
        return None if asked is None else asked.total_seconds()


class Connection:
    """The shared parts of all clients."""

    def __init__(
        self,
        cloud: Cloud,
        make_transport: MakeTransport,
        make_credential: MakeCredential,
        time: AzureTime | None = None,
    ) -> None:
        self.cloud = cloud
        self._time = time
        self._make_transport = make_transport
        self._make_credential = make_credential
        self._tokens: Tokens | None = None
        self._transport: GuardedTransport | None = None

    @property
    def credential(self) -> Tokens:
        """Return the app's identity."""
        if self._tokens is None:
            self._tokens = Tokens(self._make_credential(), self.cloud)
        return self._tokens

    @property
    def transport(self) -> GuardedTransport:
        """Return the one way out."""
        if self._transport is None:
            self._transport = GuardedTransport(self._make_transport(), self.cloud, self.credential, self._time)
        return self._transport

    def options(self) -> dict[str, Any]:
        """Return what every client of azure-core's own pipeline is made with."""
        return {
            "transport": self.transport,
            "retry_policy": ShortRetry(),
            "redirect_policy": AsyncRedirectPolicy(permit_redirects=False),
        }

    def arm_options(self) -> dict[str, Any]:
        """Return what every management client is made with.

        The policies are given one by one to leave one out: by default management clients register resource providers
        by themselves when a call asks for it, which is a write nobody wished.
        """
        from azure.core.pipeline import policies  # noqa: PLC0415  costs time at cold start
        from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy  # noqa: PLC0415

        chain = [
            policies.RequestIdPolicy(),
            policies.UserAgentPolicy(base_user_agent="cmk-autopilot"),
            policies.CustomHookPolicy(),
            policies.ContentDecodePolicy(),
            ShortRetry(),
            AsyncARMChallengeAuthenticationPolicy(self.credential, self.cloud.arm_scope),
        ]
        return {
            "transport": self.transport,
            "base_url": f"https://{self.cloud.arm}",
            "credential_scopes": [self.cloud.arm_scope],
            "policies": chain,
        }


def aiohttp_transport() -> AsyncHttpTransport[Any, Any]:
    """Return the transport of production: one aiohttp session for all clients. Call inside the running loop."""
    import aiohttp  # noqa: PLC0415  costs time at cold start
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

    session = aiohttp.ClientSession(
        trust_env=False,  # the guarded transport names the proxy
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=64),
    )
    transport: AsyncHttpTransport[Any, Any] = AioHttpTransport(
        session=session, session_owner=False, connection_timeout=10, read_timeout=20
    )
    return transport


def signed_in_user() -> AsyncTokenCredential:
    """Return whoever is signed in with az on this machine: for `func start` on a developer's own machine only."""
    from azure.identity.aio import AzureCliCredential  # noqa: PLC0415  costs time at cold start

    return AzureCliCredential()


def managed_identity(client_id: str, **options: Any) -> AsyncTokenCredential:
    """Return the app's managed identity: the user-assigned one of that client id, or else the system-assigned one.

    Left to itself it sleeps for many seconds where no token is to be had; longer waits go back on the queue.
    """
    from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415  costs time at cold start

    short = {"retry_total": 2, "retry_status": 2, "retry_backoff_factor": 0.3, "retry_backoff_max": 2, **options}
    return ManagedIdentityCredential(client_id=client_id, **short) if client_id else ManagedIdentityCredential(**short)
