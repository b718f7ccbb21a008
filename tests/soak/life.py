"""An instance of the app, and its death.

Death is freezing, not cancelling: a cancelled task runs its `finally` blocks and may go on sending. A dead instance's
coroutines are left where they are. That is the same as the process dying at any await, because an instance changes
the outside in three ways only, and each one asks `breath` first: a request through its transport, a report into its
notes, and what the host does for it with the queue. What lies between two of these touches nothing but the memory of
the dead. So dying before or after the k-th of these steps stands for every moment at which a process can die.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import msgspec
from azure.identity.aio import ManagedIdentityCredential

from sandbox.cloud import Cloud
from sandbox.transport import InProcessTransport
from shared import bootstrap
from shared.adapters.journal import LogSink
from shared.adapters.policy_file import Fetch
from shared.bootstrap import App
from tests.soak.watch import Watch, handling

SKEW = 3.0  # seconds that an instance's clock may be wrong, either way


class Graveyard:
    """Keeps the dead as they were until the run is over."""

    def __init__(self) -> None:
        self.closed = False
        self._frozen: list[asyncio.Future[None] | asyncio.Task[Any]] = []

    async def rest(self) -> None:
        """Never return; once the graveyard is closed, end like a cancelled task."""
        if self.closed:
            raise asyncio.CancelledError
        forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frozen.append(forever)
        await forever

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that nobody waits for any more."""
        self._frozen.append(task)


class Life:
    """One process of the app: it dies before or after its `last` step, if it has one."""

    def __init__(self, number: int, graveyard: Graveyard, *, last: int | None = None, after: bool = False) -> None:
        self.number = number
        self.alive = True
        self.last = last
        self.steps = 0
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._after = after
        self._graveyard = graveyard

    def die(self) -> None:
        """End this process, in the middle of whatever it does."""
        self.alive = False
        if not self.death.done():
            self.death.set_result(None)

    async def breath(self) -> None:
        """Return while the instance lives; never return when it is dead."""
        if not self.alive:
            await self._graveyard.rest()

    async def step(self) -> None:
        """Begin something that others will see. Dying after it means that its effect is the last one."""
        await self.breath()
        self.steps += 1
        if self.steps == self.last:
            self.die()
            if not self._after:
                await self.breath()

    async def outlived(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do some of the instance's work; False: it died meanwhile, and the work stays as it was."""
        task = asyncio.get_running_loop().create_task(work)
        await asyncio.wait((task, self.death), return_when=asyncio.FIRST_COMPLETED)
        if not self.alive:
            self._graveyard.keep(task)
            return False
        await task
        return True


class MortalTransport(InProcessTransport):
    """An instance's way out."""

    def __init__(self, cloud: Cloud, life: Life, watch: Watch) -> None:
        super().__init__(cloud)
        self._life = life
        self._watch = watch

    async def send(self, request: Any, *, stream: bool = False, **config: Any) -> Any:
        """Send, as long as the instance lives; the answer reaches the living only."""
        self._watch.sent(request.url)
        await self._life.step()
        try:
            return await super().send(request, stream=stream, **config)
        finally:
            await self._life.breath()


class SkewedClock:
    """An instance's own clock."""

    def __init__(self, wrong_by: timedelta) -> None:
        self._wrong_by = wrong_by

    def now(self) -> datetime:
        """Return what the instance takes for the time."""
        return datetime.now(UTC) + self._wrong_by


class Notes(LogSink):
    """The app's log, which also keeps each report with the message it came from."""

    def __init__(self, life: Life, watch: Watch) -> None:
        super().__init__()
        self._life = life
        self._watch = watch

    async def write(self, report: Any) -> None:
        """Keep the report as plain values: under the function host its classes are not ours."""
        await self._life.breath()
        await super().write(report)
        plain: dict[str, Any] = msgspec.to_builtins(report)
        if current := handling.get():
            current.reports.append(plain)
        self._watch.reported(plain)


@dataclass(frozen=True)
class Instance:
    """A running app."""

    life: Life
    app: App


def born(
    life: Life, cloud: Cloud, watch: Watch, environ: Mapping[str, str], fetch: Fetch, dice: random.Random
) -> Instance:
    """Return a new instance with a clock of its own."""
    way_out = partial(MortalTransport, cloud, life, watch)
    clock = SkewedClock(timedelta(seconds=dice.choice((0.0, 0.0, dice.uniform(-SKEW, SKEW)))))
    ours: dict[str, Any] = {
        "SystemClock": lambda: clock,
        "LogSink": partial(Notes, life, watch),
        "from_file": lambda _: fetch,
    }
    with mock.patch.multiple(bootstrap, **ours):
        app = bootstrap.build(
            environ,
            make_transport=way_out,
            make_credential=lambda: ManagedIdentityCredential(transport=way_out()),
        )
    return Instance(life, app)
