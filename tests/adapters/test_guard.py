"""The one way out: which requests leave, and with which tokens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.rest import HttpRequest
from msgspec.structs import replace

from shared.adapters.azure_time import AzureTime
from shared.adapters.clouds import CLOUDS
from shared.adapters.guard import GuardedTransport, Tokens
from shared.domain.reasons import Reason
from shared.errors import Refusal
from shared.ports import correlation

CLOUD = CLOUDS["AzureCloud"]


class Credential:
    """Gives a token that names its scope."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(f"token for {scopes[0]}", 4_000_000_000)

    async def close(self) -> None:
        """Nothing is held."""


class Outside:
    """Takes down what left."""

    def __init__(self) -> None:
        self.sent: list[HttpRequest] = []

    async def send(self, request: HttpRequest, **_: Any) -> str:
        self.sent.append(request)
        return "sent"


async def leave(url: str, *, scope: str = "", authorization: str = "") -> list[HttpRequest]:
    """Send one request with a token for the scope, or with an Authorization header as given."""
    outside = Outside()
    tokens = Tokens(Credential(), CLOUD)  # type: ignore[arg-type]  # the little of a credential that is asked for
    if scope:
        authorization = f"Bearer {(await tokens.get_token(scope)).token}"
    transport = GuardedTransport(outside, CLOUD, tokens)  # type: ignore[arg-type]  # the little of a transport
    await transport.send(HttpRequest("GET", url, headers={"Authorization": authorization} if authorization else {}))
    return outside.sent


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://management.azure.com/subscriptions", CLOUD.arm_scope),
        ("https://KV.vault.azure.net/keys", CLOUD.vault_scope),
        ("https://st.queue.core.windows.net/cmk-work", CLOUD.storage_scope),
        ("https://t.westeurope-1.eventgrid.azure.net/api/events", CLOUD.events_scope),
        ("https://kv.vault.azure.net/keys", ""),
    ],
)
def test_requests_to_the_clouds_own_hosts_leave_with_the_token_made_for_them(url: str, scope: str) -> None:
    assert len(asyncio.run(leave(url, scope=scope))) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://management.azure.com.evil.example/",
        "https://kv.vault.azure.net.evil.example/",
        "https://st.queue.core.windows.net.evil.example/",
        "https://evilmanagement.azure.com/",
        "https://evil.management.azure.com/",
        "https://evilvault.azure.net/",
        "http://management.azure.com/",
        "https://management.azure.com:8443/",
        "https://management.usgovcloudapi.net/",
    ],
)
def test_no_request_leaves_for_another_host_with_a_token_or_without(url: str) -> None:
    for scope in ("", CLOUD.arm_scope):
        with pytest.raises(Refusal) as refused:
            asyncio.run(leave(url, scope=scope))
        assert refused.value.reason is Reason.FOREIGN_HOST


def test_of_blob_hosts_only_those_that_the_settings_name_are_ours() -> None:
    cloud = replace(CLOUD, blob_hosts=frozenset({"proofs.blob.core.windows.net"}))
    assert cloud.scope_of("proofs.blob.core.windows.net") == cloud.storage_scope
    for host in ("other.blob.core.windows.net", "x.proofs.blob.core.windows.net", ""):
        assert cloud.scope_of(host) is None
    assert CLOUD.scope_of("proofs.blob.core.windows.net") is None


def test_a_token_goes_to_nobody_but_whom_it_was_made_for() -> None:
    for authorization in ("Bearer somebody-elses", "bearer x"):
        with pytest.raises(Refusal):
            asyncio.run(leave("https://management.azure.com/", authorization=authorization))
    with pytest.raises(Refusal):
        asyncio.run(leave("https://kv.vault.azure.net/keys", scope=CLOUD.arm_scope))


def test_no_token_is_made_for_anybody_else() -> None:
    tokens = Tokens(Credential(), CLOUD)  # type: ignore[arg-type]  # the little of a credential that is asked for
    with pytest.raises(Refusal):
        asyncio.run(tokens.get_token("https://evil.example/.default"))


def test_the_correlation_id_goes_along_but_not_where_a_signature_covers_it() -> None:
    token = correlation.set("cause-1")
    (plain,) = asyncio.run(leave("https://kv.vault.azure.net/keys"))
    signed = asyncio.run(leave("https://st.queue.core.windows.net/q", authorization="SharedKey st:signature"))[0]
    correlation.reset(token)
    assert plain.headers["x-ms-client-request-id"] == "cause-1"
    assert "x-ms-client-request-id" not in signed.headers


def test_a_host_that_gets_no_token_learns_no_correlation_id_either() -> None:
    async def post() -> HttpRequest:
        outside, cloud = Outside(), replace(CLOUD, bare_hosts=frozenset({"hooks.example"}))
        tokens = Tokens(Credential(), cloud)  # type: ignore[arg-type]  # the little of a credential that is asked for
        await GuardedTransport(outside, cloud, tokens).send(HttpRequest("POST", "https://hooks.example/x"))  # type: ignore[arg-type]
        return outside.sent[0]

    token = correlation.set("cause-1")
    sent = asyncio.run(post())
    correlation.reset(token)
    assert "x-ms-client-request-id" not in sent.headers


@pytest.mark.parametrize(
    ("host", "more", "counts"),
    [
        (CLOUD.arm, {}, True),
        (CLOUD.arm, {"Age": "1800"}, False),
        ("kv-evil.vault.azure.net", {}, False),
        ("srch.search.windows.net", {}, False),
        ("st.queue.core.windows.net", {}, False),
    ],
)
def test_only_what_resource_manager_itself_says_now_puts_the_clock_right(
    host: str, more: dict[str, str], *, counts: bool
) -> None:
    class Clock:
        seconds = 1_800_000_000

        def now(self) -> datetime:
            return datetime.fromtimestamp(self.seconds, UTC)

    class Late:
        async def send(self, request: HttpRequest, **_: Any) -> SimpleNamespace:
            del request
            return SimpleNamespace(headers={"Date": formatdate(clock.seconds - 600, usegmt=True), **more})

    async def ask() -> None:
        tokens = Tokens(Credential(), CLOUD)  # type: ignore[arg-type]
        transport = GuardedTransport(Late(), CLOUD, tokens, time)  # type: ignore[arg-type]
        for _ in range(3):
            await transport.send(HttpRequest("GET", f"https://{host}/"))
            clock.seconds += 2

    clock = Clock()
    time = AzureTime(clock)
    asyncio.run(ask())
    assert (time.here() - time.now() > timedelta(minutes=9)) is counts
