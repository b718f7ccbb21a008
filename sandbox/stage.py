"""One running sandbox: an estate, the world made of it, the door to it, its faults, and Event Grid's deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sandbox import identity
from sandbox.calllog import CallLog
from sandbox.clock import Clock
from sandbox.cloud import Cloud
from sandbox.estate import build_world
from sandbox.eventgrid.delivery import Ask, Post, Pump
from sandbox.eventgrid.subscriptions import FUNCTION, endpoint_of
from sandbox.faults import Faults
from sandbox.https import LOOPBACK
from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import Logged, World

_KEY_EVENTS = ("KeyNewVersionCreated", "KeyNearExpiry", "KeyExpired", "VaultAccessPolicyChanged")
_RESOURCE_EVENTS = ("ResourceWriteSuccess", "ResourceDeleteSuccess", "ResourceActionSuccess")


class EndpointRefusedError(ValueError):
    """An event subscription of the estate leads somewhere that the sandbox does not deliver to."""


class Stage:
    """Holds what a reset replaces; the faces ask it for `cloud` at every call.

    `post` delivers an event body to an endpoint and returns the status, `ask` carries handshakes.
    """

    def __init__(
        self, estate: Json, *, post: Post, ask: Ask | None = None, clock: Clock | None = None, seed: int = 1
    ) -> None:
        check_endpoints(estate)
        self.clock = clock or Clock()
        self.seed = int(estate.get("seed", seed))
        self.estate = estate
        self.functions: frozenset[str] = frozenset()  # the app's Event Grid functions, once it runs
        self._post = post
        self._ask = ask
        self._pumping: asyncio.Task[None] | None = None
        self._build()

    def _build(self) -> None:
        self.world: World = build_world(deepcopy(self.estate), clock=self.clock, seed=self.seed)
        self.log = CallLog()
        self.world.log = self.log
        self.cloud = Cloud(self.world)
        self.faults = Faults(self._kind, self.seed)
        self.faults.install(self.world)
        self.pump = Pump(self.world, self._post, self._ask)
        rows = self.estate.get("eventSubscriptions")
        self.pump.subscriptions.load(default_subscriptions(self.world, self.functions) if rows is None else rows)

    def _kind(self, call: Call) -> str:
        return next((site.kind(call) for site in self.cloud.sites if site.serves(call.host)), "other")

    def app_runs(self, functions: frozenset[str]) -> None:
        """Tell which Event Grid functions the app has: an estate without eventSubscriptions gets the usual ones."""
        self.functions = functions
        if self.estate.get("eventSubscriptions") is None:
            self.pump.subscriptions.load(default_subscriptions(self.world, functions))

    def start(self) -> None:
        """Begin to deliver events."""
        self._pumping = asyncio.create_task(self.pump.run(), name="Event Grid")

    async def stop(self) -> None:
        """Deliver no more events; an error that ended the delivery is raised."""
        if self._pumping is not None:
            self._pumping.cancel()
            with suppress(asyncio.CancelledError):
                await self._pumping
            self._pumping = None

    async def reset(self, estate: Json | None = None) -> None:
        """Make the world anew, of the same or another estate; the clock goes on. Raises what build_world raises."""
        if estate is not None:
            check_endpoints(estate)
            build_world(deepcopy(estate), clock=self.clock, seed=self.seed)  # a wrong one must not end what runs
            self.estate = estate
        running = self._pumping is not None
        await self.stop()
        self._build()
        if running:
            self.start()

    def shift(self, by: timedelta) -> None:
        """Let time pass at once; a negative span raises Refused 400."""
        try:
            self.clock.shift(by)
        except ValueError as error:
            raise Refused(400, "InvalidShift", f"{error}.") from error

    def managed_identity(self, call: Call) -> Answer:
        """Answer a call of the managed identity endpoint, and log it."""
        answer = identity.managed_identity(self.world, call)
        self.log.append(Logged(self.world.now(), call.method, call.url, answer.status, "identity"))
        return answer

    async def deliver(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        """Post a hand-made event body to an endpoint; one that is not this machine's raises Refused 400."""
        try:
            _check_endpoint(endpoint)
        except EndpointRefusedError as error:
            raise Refused(400, "InvalidEndpoint", str(error)) from error
        return await self._post(endpoint, headers, body)


def check_endpoints(estate: Mapping[str, Any]) -> None:
    """Raise EndpointRefusedError unless every event subscription leads to the app or to a port of this machine."""
    for one in estate.get("eventSubscriptions") or ():
        _check_endpoint(str(one.get("endpoint", "")))


def _check_endpoint(written: str) -> None:
    endpoint = endpoint_of(written)
    if endpoint.startswith(FUNCTION) and len(endpoint) > len(FUNCTION):
        return
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        raise EndpointRefusedError(
            f"event subscription endpoint {endpoint!r}: write azurefunction:NAME or an http URL on 127.0.0.1"
        )


def default_subscriptions(world: World, functions: frozenset[str]) -> list[Json]:
    """Return a subscription of every vault for `key_events` and of every Azure subscription for `resource_events`."""
    found: list[Json] = []
    if "key_events" in functions:
        types = [f"Microsoft.KeyVault.{name}" for name in _KEY_EVENTS]
        sources = [str(vault["id"]) for vault in world.resources.of_type("Microsoft.KeyVault/vaults")]
        found += [_subscription(source, "key_events", types) for source in sources]
    if "resource_events" in functions:
        types = [f"Microsoft.Resources.{name}" for name in _RESOURCE_EVENTS]
        found += [_subscription(f"/subscriptions/{one}", "resource_events", types) for one in world.subscriptions]
    return found


def _subscription(source: str, function: str, types: list[str]) -> Json:
    return {
        "source": source,
        "endpoint": FUNCTION + function,
        "schema": "EventGridSchema",
        "includedEventTypes": types,
    }
