"""One seeded run: an estate, two instances of the app, a while of trouble, then calm. All follows from the seed."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue import QueueMessage

from sandbox.eventgrid.delivery import Pump
from sandbox.identity import identity_header
from sandbox.stage import default_subscriptions
from sandbox.transport import IDENTITY_ENDPOINT
from sandbox.virtual import VirtualClock, run
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.bootstrap import App
from shared.domain.work import Cause, Source, Sweep
from shared.usecases.handle import handle, report_poison
from shared.usecases.intake import take_delivery
from tests.soak.trouble import Trouble
from tests.soak.watch import Watch
from tests.support.azure import MID, OLD, START, Azure, account, estate, scope, vault

TROUBLE = timedelta(minutes=20)
WORKERS = 3  # on each instance
MOST_DEQUEUES = 5
LOCK = 600  # seconds a message stays hidden while somebody works on it, as the host has it
RETRY = 30  # seconds until a failed one is tried again


@dataclass
class Run:
    """What a run needs and what it found."""

    seed: int
    azure: Azure
    story: list[str] = field(default_factory=list)  # what happened, for whoever has to find out why
    poisoned: int = 0
    bugs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"soak {self.seed}")
        self.watch = Watch(self.azure.world)
        self.trouble = Trouble(self.dice, self.azure.world, self.tell)
        self.instances: list[App] = [self.azure.app, self.azure.instance()]
        self.tasks: dict[int, list[asyncio.Task[None]]] = {}
        self.pump = Pump(self.azure.world, self._post)
        functions = frozenset({"key_events", "resource_events"})
        self.pump.subscriptions.load(default_subscriptions(self.azure.world, functions))

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.azure.world.now():%d %H:%M:%S}  {what}")

    async def go(self) -> None:
        """Run from trouble to calm."""
        self.azure.world.hooks = Hooks(before=self._before, after=self._after)
        for number in range(len(self.instances)):
            self._start(number)
        pumping = asyncio.create_task(self.pump.run())
        await self._trouble()
        self.trouble.over = True
        self.tell("the trouble is over")
        await self._sweep()
        await self._calm(timedelta(hours=27))
        await self._sweep()
        await self._calm(timedelta(hours=1))
        self.watch.writes_before_last_sweep = self.watch.writes
        await self._sweep()
        await self._calm(timedelta(hours=1))
        for number in self.tasks:
            self._stop(number)
        pumping.cancel()
        with suppress(asyncio.CancelledError):
            await pumping

    def _before(self, call: Call) -> Answer | None:
        self.watch.before(call)
        return self.trouble.before(call)

    def _after(self, call: Call, answer: Answer) -> Answer:
        self.watch.after(call, answer)
        return self.trouble.after(call, answer)

    async def _post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        del endpoint, headers
        app = self.dice.choice(self.instances)
        try:
            await take_delivery(app.context, body.decode(), app.new_id)
        except Exception as error:  # noqa: BLE001  the host answers 500 and Event Grid comes again
            self.tell(f"a delivery failed: {type(error).__name__}")
            return 500
        return 202

    async def _trouble(self) -> None:
        end = self.azure.world.now() + TROUBLE
        while self.azure.world.now() < end:
            await asyncio.sleep(self.dice.uniform(5, 60))
            what = self.dice.choice((self._somebody, self._somebody, self._death, self._event_trouble))
            what()

    def _somebody(self) -> None:
        self.trouble.somebody()

    def _event_trouble(self) -> None:
        def chosen(_: object) -> bool:
            return True

        kind = self.dice.choice(("duplicate", "delay", "drop"))
        self.tell(f"Event Grid will {kind} an event")
        if kind == "duplicate":
            self.pump.duplicate(chosen, apart=self.dice.uniform(0, 60))
        elif kind == "delay":
            self.pump.delay(chosen, self.dice.uniform(1, 1200))
        else:
            self.pump.drop(chosen)

    def _death(self) -> None:
        """Let an instance die in the middle of whatever it does; another one takes its place."""
        number = self.dice.randrange(len(self.instances))
        self.tell(f"instance {number} dies")
        self._stop(number)
        self.instances[number] = self.azure.instance()
        self._start(number)

    def _start(self, number: int) -> None:
        self.tasks[number] = [asyncio.create_task(self._work(self.instances[number])) for _ in range(WORKERS)]

    def _stop(self, number: int) -> None:
        for task in self.tasks[number]:
            task.cancel()

    async def _work(self, app: App) -> None:
        """Do what the host does with the queue."""
        async with self.azure.queue() as queue:
            while True:
                message = None
                with suppress(AzureError):
                    message = await queue.receive_message(visibility_timeout=LOCK)
                if message is None:
                    await asyncio.sleep(self._pause())
                    continue
                await self._handle(app, queue, message)

    def _pause(self) -> float:
        """Return how long to sleep: till the next message is due, and not long while there is trouble."""
        most = timedelta(hours=2) if self.trouble.over else timedelta(seconds=15)
        coming = self.azure.next_visible()
        until = most if coming is None else min(most, coming - self.azure.world.now())
        return max(1.0, until.total_seconds())

    async def _handle(self, app: App, queue: Any, message: QueueMessage) -> None:
        try:
            if int(message.dequeue_count or 1) > MOST_DEQUEUES:
                self.poisoned += 1
                await report_poison(app.context, str(message.content))
            else:
                await handle(app.context, str(message.content))
            await queue.delete_message(message)
        except HttpResponseError as error:
            self.tell(f"the queue: {error.status_code}")
        except AzureError as error:
            self.tell(f"the queue: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001  the host tries again, whatever it is
            self.tell(f"an item failed: {type(error).__name__}: {error}")
            if not self.trouble.excuses(error):
                self.bugs.append(f"{type(error).__name__}: {error}")
            with suppress(AzureError):
                await queue.update_message(message, visibility_timeout=RETRY)

    async def _sweep(self) -> None:
        now = self.azure.world.now()
        await self.instances[0].context.ports.queue.put(Sweep(Cause(f"sweep-{now:%H%M}", Source.TIMER), now))

    async def _calm(self, least: timedelta) -> None:
        await asyncio.sleep(least.total_seconds())


def soak(seed: int) -> Run:
    """Carry out the run of a seed and return it for judging."""
    dice = random.Random(f"estate {seed}")
    bodies: list[dict[str, Any]] = [vault()]
    for number in range(dice.randint(3, 6)):
        key = dice.choice(("cmk", "cmk", "cmk", ""))
        bodies.append(account(f"st{number}", dice.choice((OLD, MID, OLD, "")) if key else "", key=key))
        bodies += [
            scope(f"st{number}", f"scope{child}", dice.choice((OLD, MID, ""))) for child in range(dice.randint(0, 2))
        ]
    described = estate(*bodies, graphLag=dice.choice((0, 0, 30)))

    async def main(clock: VirtualClock) -> Run:
        azure = Azure(clock, described)
        # The app's clock is the machine's; both are the virtual one here.
        identity = {"IDENTITY_ENDPOINT": IDENTITY_ENDPOINT, "IDENTITY_HEADER": identity_header(azure.world)}
        with mock.patch.dict(os.environ, identity):
            one = Run(seed, azure)
            await one.go()
            return one

    return run(main, seed=seed, start=START)


def newest_usable(azure: Azure, now: datetime) -> str | None:
    """Return the newest version of the key that may be used now, by the sandbox's own rules."""
    key = azure.world.keyring.get("kv-main", "cmk")
    if key is None:
        return None
    fit = [one for one in key.versions if one.enabled and not (one.expires and one.expires <= now)]
    fit = [one for one in fit if not (one.not_before and one.not_before > now)]
    return fit[-1].version if fit else None
