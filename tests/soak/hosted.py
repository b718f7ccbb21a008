"""A run of function_app.py under the function host: its queue listeners, its poison queue, its timer, its webhook.

One process, which dies as a whole and comes back: the worker's runtime is one for each process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.queue.aio import QueueClient

from sandbox.host import FunctionHost, QueueListener, TimerListener
from sandbox.host.messages import InvocationResponse, TypedData
from sandbox.host.worker import FunctionFailed
from sandbox.postman import in_process
from shared.domain.work import RotateKey, WorkItem
from tests.soak.life import Life, MortalTransport, Notes, SkewedClock
from tests.soak.run import Run
from tests.soak.watch import Handling, Watch, handling
from tests.support.azure import QUEUE_URI
from tests.support.whole_app import KEYS, ROOT

OFTEN, SELDOM = 10.0, 900.0  # seconds between two looks at an empty queue: in trouble, and when all is calm
_OURS = ("SystemClock", "LogSink", "from_file", "build")  # what a run puts into the app's bootstrap


class Host(FunctionHost):
    """The host, with an eye on what each message led to."""

    def __init__(self, life: Life, watch: Watch, settings: Mapping[str, str]) -> None:
        super().__init__(ROOT, settings=settings, ids=watch.world.new_id, keys=KEYS)
        self._life = life
        self._watch = watch

    async def run(
        self, name: str, value: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> InvocationResponse:
        """Run a function, as long as this process lives."""
        await self._life.step()
        current = Handling(value.string, lambda: self._life.alive) if name == "work" else None
        handling.set(current)
        try:
            response = await super().run(name, value, metadata)
        except FunctionFailed as failure:
            await self._life.breath()
            if current:
                kind, _, text = str(failure).partition(":")
                self._watch.failed(kind, text)
            raise
        await self._life.breath()
        if current:
            self._watch.handled(current)
        return response


class Hosted(Run):
    """The whole app in one process at a time."""

    longest_pause = SELDOM
    life: Life
    host: Host

    def _open(self) -> None:
        os.environ.update(self.environ)
        self.environ = os.environ
        self.people.environ = os.environ
        self._tasks: list[asyncio.Task[None]] = []
        self._apps: list[dict[str, Any]] = []

    async def _begin(self) -> None:
        self._risen = asyncio.Event()
        await self._rise()
        self._risen.set()

    async def _rise(self) -> None:
        self.life = self._new_life()
        self.host = Host(self.life, self.watch, dict(os.environ))
        await self.host.start()
        # The host has imported the app's modules anew. The app builds itself at the first call, from the environment;
        # only its way out, its clock and its log are ours.
        fresh = vars(sys.modules["shared.bootstrap"])
        way_out = partial(MortalTransport, self.cloud, self.life, self.watch)
        clock = SkewedClock(timedelta(seconds=self.dice.uniform(-3, 3)))
        fresh["SystemClock"] = lambda: clock
        fresh["LogSink"] = partial(Notes, self.life, self.watch)
        fresh["from_file"] = lambda _: self.people.paper.fetch
        fresh["build"] = partial(
            fresh["build"],
            make_transport=way_out,
            make_credential=lambda: ManagedIdentityCredential(transport=way_out()),
        )
        self._apps.append(fresh)
        self._listen(SELDOM if self.trouble.over else OFTEN)

    def _listen(self, longest: float) -> None:
        listeners = [QueueListener(self.host, name, self._client, max_wait=longest) for name in ("work", "poison")]
        timer = TimerListener(self.host, "sweep", now=self.world.now, nap=3600.0)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(one) for one in (*(listener.run() for listener in listeners), timer.run())]

    def _client(self, name: str) -> QueueClient:
        transport = MortalTransport(self.cloud, self.life, self.watch)
        return QueueClient(
            QUEUE_URI, name, credential=ManagedIdentityCredential(transport=transport), transport=transport
        )

    def _died(self, life: Life) -> None:
        super()._died(life)
        self._risen.clear()
        for task in self._tasks:
            self.graveyard.keep(task)

    async def _replace(self, life: Life) -> None:
        del life  # there is one at a time
        await self.host.stop()
        await self._rise()
        self._risen.set()

    async def _calm_down(self) -> None:
        await self._risen.wait()
        for task in self._tasks:
            task.cancel()
        self._listen(SELDOM)

    async def _bring_out_the_evidence(self) -> None:
        await self.host.run("poison", TypedData(string="garbage"))

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.host.stop()
        for fresh in self._apps:  # a module outlives its run, and would hold the whole world
            fresh["app"].cache_clear()
            for name in _OURS:
                del fresh[name]

    async def _post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        life, answered = self.life, list[int]()
        if not life.alive:
            return 0
        carry = in_process(self.host)

        async def invoked() -> None:
            answered.append(await carry(endpoint, headers, body))

        return answered[0] if await life.outlived(invoked()) else 0

    async def _put(self, item: WorkItem) -> None:
        """Fire the timer, or ask over HTTP."""
        await self._risen.wait()
        work: Any
        if isinstance(item, RotateKey):
            headers = {"x-functions-key": KEYS.function, "content-type": "application/json"}
            work = self.host.http("POST", "/api/rotate", headers, {}, json.dumps({"key": item.key.url}).encode())
        else:
            work = self.host.fire_timer("sweep")
        await self.life.outlived(work)
