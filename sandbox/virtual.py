"""Virtual time: an event loop whose clock jumps to the next timer, so that a month passes in milliseconds.

The loop's *selector* is replaced, not its inner step: when nothing is ready, the time that the loop would have slept is
added to the clock. Whatever the SDKs read from the process (time, uuid, random) is seeded or kept in step, and put back
afterwards: the same seed gives the same request log.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar, TypeVarTuple
from unittest import mock

import time_machine

from sandbox.clock import ManualClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
EXECUTOR_POLL = 0.05  # real seconds between two looks while threads work


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set and no thread works: the program would wait for ever."""


class VirtualClock(ManualClock):
    """A manual clock that takes the process's own time along with it."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.process: time_machine.Traveller | None = None

    def shift(self, by: timedelta) -> None:
        """Let `by` pass at once, for the loop's timers too; a negative span raises ValueError."""
        super().shift(by)
        if self.process is not None:
            self.process.move_to(self.now(), tick=False)


class VirtualSelector(selectors.BaseSelector):
    """A selector that lets virtual time pass instead of sleeping."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.loop: VirtualLoop | None = None
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, or move the clock by `timeout` seconds; raises DeadlockError if neither is possible."""
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop is not None and self.loop.threads:
            return self._real.select(EXECUTOR_POLL)  # virtual time stands still while a thread works
        if timeout is None:
            raise DeadlockError("every task waits for something that no timer and no other task will bring")
        # The loop rounds to the clock's resolution; whole microseconds, upwards, so that the timer is due afterwards.
        self.clock.shift(timedelta(microseconds=int(timeout * 1_000_000) + 1))
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file object (the loop's own wake-up pipe)."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a file object."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return what is watched."""
        return self._real.get_map()

    def close(self) -> None:
        """Give the file descriptors back."""
        self._real.close()


class OrderedTask(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks are walked in the same order in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **kwargs: Any) -> None:
        self._number = number  # before the base class, which puts the task into a set
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self._number

    __eq__ = object.__eq__


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lives in the time of `clock`."""

    def __init__(self, clock: ManualClock) -> None:
        selector = VirtualSelector(clock)
        super().__init__(selector)
        selector.loop = self
        self.clock = clock
        self.threads = 0
        # Microseconds, as the clock moves: asyncio's own nanosecond vanishes in a float of seconds since the epoch.
        self._clock_resolution = 1e-6
        numbers = count(1)
        self.set_task_factory(lambda loop, coro, **kwargs: OrderedTask(coro, next(numbers), loop=loop, **kwargs))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.time()

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run in a thread, as any loop does; virtual time waits for it."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's own
        """Join the threads, in real time."""
        self.threads += 1
        try:
            await super().shutdown_default_executor(timeout)
        finally:
            self.threads -= 1

    def _thread_ended(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1


def run(main: Callable[[VirtualClock], Coroutine[Any, Any, T]], *, seed: int = 1, start: datetime = START) -> T:
    """Run `main(clock)` in virtual time from `start`, return its result; raises what main raises, or DeadlockError."""
    clock = VirtualClock(start)
    with _tamed(clock, seed), asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main(clock))


@contextmanager
def _tamed(clock: VirtualClock, seed: int) -> Iterator[None]:
    """Seed or stop what makes two runs differ, and put everything back afterwards."""
    ids = random.Random(f"{seed}: uuid")
    before = random.getstate()
    _forget_challenges()

    def seeded(*_: Any) -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    class Seeded(random.Random):
        """What azure-storage-queue makes for each of its pauses, without a seed of its own."""

        def __init__(self, x: Any = None) -> None:
            super().__init__(ids.getrandbits(64) if x is None else x)

    try:
        random.seed(seed)
        with (
            mock.patch.object(uuid, "uuid4", seeded),
            mock.patch.object(uuid, "uuid1", seeded),
            mock.patch.object(random, "Random", Seeded),
            time_machine.travel(clock.now(), tick=False) as process,
        ):
            clock.process = process
            yield
    finally:
        clock.process = None
        random.setstate(before)
        _forget_challenges()


def _forget_challenges() -> None:
    # Kept per process by azure-keyvault-keys: a second run would skip its first 401.
    from azure.keyvault.keys._shared import http_challenge_cache  # noqa: PLC0415  costs 100 ms, only needed here

    http_challenge_cache.clear()
