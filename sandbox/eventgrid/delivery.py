"""The pump: handshakes, deliveries, retries by the clock, dead letters; and it lets the clock's key events happen."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox import vault
from sandbox.eventgrid import shapes
from sandbox.eventgrid.subscriptions import FUNCTION, Delivery, Match, Rule, Subscription, Subscriptions
from sandbox.virtual import VirtualLoop
from sandbox.wire import Json, Unreachable
from sandbox.world import World

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Sends (endpoint, headers, body) and returns the status; 0, OSError or TimeoutError for a connection that broke."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, which the handshake needs; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Reply]]
"""Sends (method, endpoint, headers, body) and returns the whole answer."""

LOG = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds for an answer
SCHEDULE = (10, 30, 60, 300, 600, 1800, 3600)  # seconds until the next attempt; hourly after that
AT_LEAST = {408: 120, 404: 300, 503: 30}  # seconds
ATTEMPTS = 30
LIFETIME = 1440 * 60  # seconds
BURIAL = 300  # seconds between the last attempt and the dead letter
JITTER = 0.1
FINAL_WEBHOOK = frozenset({400, 401, 403, 413})
FINAL_FUNCTION = frozenset({400, 403, 413})
TOGETHER = 64  # requests on their way at once
SLICE = 0.25  # real seconds between two looks at the clock, which may have been shifted
OUTCOMES = {0: "SocketError", 400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}
OUTCOMES |= {408: "TimedOut", 413: "PayloadTooLarge", 503: "Busy"}


@dataclass
class Counts:
    """What was done: deliveries that were accepted (copies among them), attempts that failed, dead letters."""

    delivered: int = 0
    duplicates: int = 0
    failed: int = 0
    dead: int = 0


class Pump:
    """Event Grid's delivery for one world: `post` carries notifications, `ask` (when given) the handshake."""

    def __init__(self, world: World, post: Post, ask: Ask | None = None) -> None:
        self.world = world
        self.subscriptions = Subscriptions.of(world)
        self.totals = Counts()
        self._post = post
        self._ask = ask
        self._flying: dict[asyncio.Task[None], list[Delivery]] = {}
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_handshake = 0.0
        self.subscriptions.watchers.append(self._awake)
        vault.watch(world, self._keys_changed)
        self._looked = world.clock.time()
        self._clockwork = vault.due(world)  # from here on the clock's key events count

    def duplicate(self, match: Match, *, apart: float = 0.0, times: int | None = 1) -> None:
        """Deliver twice: the first `times` events to come that match, or one of the past when its id is given."""
        if isinstance(match, str) and self.subscriptions.repeat(match, apart):
            return
        self.subscriptions.rules.append(Rule(match, copies=2, apart=apart, times=times))

    def delay(self, match: Match, seconds: float, *, times: int | None = 1) -> None:
        """Deliver events to come late."""
        self.subscriptions.rules.append(Rule(match, delay=seconds, times=times))

    def drop(self, match: Match, *, times: int | None = 1) -> None:
        """Lose events to come."""
        self.subscriptions.rules.append(Rule(match, drop=True, times=times))

    async def drain(self) -> Counts:
        """Deliver everything due now and what it causes, and return what was done; retries wait for the clock."""
        before = Counts(**vars(self.totals))
        self._revive()
        self._keys_changed()
        while True:
            await self._handshakes()
            self._depart()
            if not self._flying:
                break
            await asyncio.wait(list(self._flying), return_when=asyncio.FIRST_COMPLETED)
        now = vars(self.totals)
        return Counts(**{name: now[name] - earlier for name, earlier in vars(before).items()})

    async def run(self) -> None:
        """Deliver until cancelled; sleeps until something is due, is heard, or the clock has been shifted."""
        self._revive()
        self._wake = wake = asyncio.Event()
        virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
        try:
            while True:
                wake.clear()
                await self._handshakes()
                self._depart()
                pause = self._pause() if len(self._flying) < TOGETHER else None
                if not virtual:
                    pause = SLICE if pause is None else min(pause, SLICE)
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), pause)
        finally:
            flying = list(self._flying)
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    def _depart(self) -> None:
        self._let_keys_age()
        held: list[tuple[Delivery, float]] = []
        while len(self._flying) < TOGETHER and (batch := self.subscriptions.pop()):
            if batch[0].dead:
                self.totals.dead += 1
                self.world.memory.setdefault("deadLetters", []).append(shapes.dead_letter(self.world, batch[0]))
            elif not batch[0].subscription.active:
                held += [(one, self._next_handshake) for one in batch]
            else:
                task = asyncio.get_running_loop().create_task(self._deliver(batch))
                self._flying[task] = batch
                task.add_done_callback(self._landed)
        for delivery, until in held:
            self.subscriptions.push(delivery, until)

    def _let_keys_age(self) -> None:
        # All keys are walked for this: not more often than needed.
        now = self.world.now()
        if (self._clockwork and self._clockwork <= now) or not 0 <= now.timestamp() - self._looked < SLICE:
            vault.advance(self.world)
            self._clockwork, self._looked = vault.due(self.world), now.timestamp()

    def _keys_changed(self) -> None:
        self._looked = float("-inf")
        self._awake()

    def _landed(self, task: asyncio.Task[None]) -> None:
        batch = self._flying.pop(task, [])
        if task.cancelled() or task.exception() is not None:
            for one in batch:  # at least once: what nobody knows the end of goes out again
                self.subscriptions.push(one, self.world.clock.time() + SCHEDULE[0])
        self._awake()

    async def _deliver(self, batch: list[Delivery]) -> None:
        headers, body = shapes.notification(batch)
        status = await self._send(batch[0].subscription.endpoint, headers, body)
        now = self.world.clock.time()
        for one in batch:
            one.attempts += 1
            one.last_attempt = now
            if 200 <= status <= 204:  # noqa: PLR2004  the statuses that Event Grid takes as success
                self.totals.delivered += 1
                self.totals.duplicates += one.copy
            else:
                self.totals.failed += 1
                self._again(one, status, now)

    def _again(self, delivery: Delivery, status: int, now: float) -> None:
        delivery.outcome = OUTCOMES.get(status, "GenericError")
        final = FINAL_FUNCTION if delivery.subscription.endpoint.lower().startswith(FUNCTION) else FINAL_WEBHOOK
        pause = SCHEDULE[min(delivery.attempts, len(SCHEDULE)) - 1]
        at = now + max(pause, AT_LEAST.get(status, 0)) * (1 + JITTER * self.world.random.random())
        if status in final:
            delivery.dead = f"UndeliverableDueToHttp{delivery.outcome}"
        elif delivery.attempts >= ATTEMPTS:
            delivery.dead = "MaxDeliveryAttemptsExceeded"
        elif at > delivery.event.time.timestamp() + LIFETIME:
            delivery.dead = "TimeToLiveExceeded"
        self.subscriptions.push(delivery, now + BURIAL if delivery.dead else at)

    async def _send(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._post(endpoint, headers, body)
        except TimeoutError:
            return 408
        except Exception as error:  # noqa: BLE001  whatever a client library raises, the endpoint has not answered
            LOG.info("no answer from an event subscription's endpoint: %r", error)
            return 0

    async def _handshakes(self) -> None:
        new = [one for one in self.subscriptions.rows if not one.active]
        now = self.world.clock.time()
        if not new or now < self._next_handshake:
            return
        self._next_handshake = now + SCHEDULE[0]
        for one in new:
            one.active = await self._handshake(one)

    async def _handshake(self, subscription: Subscription) -> bool:
        """Return whether the endpoint agrees. Azure would refuse the subscription; here it is asked again later."""
        if subscription.schema == "CloudEventSchemaV1_0":
            if self._ask is None:
                return True
            reply = await self._exchange(
                "OPTIONS", subscription.endpoint, {"WebHook-Request-Origin": shapes.ORIGIN}, b""
            )
            return reply.status == 200 and reply.headers.get("webhook-allowed-origin") in {shapes.ORIGIN, "*"}  # noqa: PLR2004
        code = self.world.new_id()
        headers, body = shapes.validation(self.world, subscription, code)
        if self._ask is None:
            return await self._send(subscription.endpoint, headers, body) == 200  # noqa: PLR2004
        reply = await self._exchange("POST", subscription.endpoint, headers, body)
        return reply.status == 200 and _echo(reply.body) == code  # noqa: PLR2004  202 is not enough

    async def _exchange(self, method: str, endpoint: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if self._ask is None:
            raise ValueError("this pump was made without `ask`")
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(method, endpoint, headers, body)
        except (OSError, TimeoutError, Unreachable):
            return Reply(0, {}, b"")

    def _pause(self) -> float | None:
        moments = [self.subscriptions.due(), self._clockwork.timestamp() if self._clockwork else None]
        if any(not one.active for one in self.subscriptions.rows):
            moments.append(self._next_handshake)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - self.world.clock.time()) if known else None

    def _revive(self) -> None:
        """Take back what was on its way in a loop that has died."""
        here = asyncio.get_running_loop()
        for task in [one for one in self._flying if one.get_loop() is not here]:
            for delivery in self._flying.pop(task):
                self.subscriptions.push(delivery, self.world.clock.time())
        if self._loop is not here:
            self._loop, self._wake = here, None

    def _awake(self) -> None:
        if self._wake is not None:
            self._wake.set()


def _echo(body: bytes) -> Any:
    try:
        found: Json = json.loads(body)
        return found.get("validationResponse")
    except (ValueError, AttributeError):
        return None
