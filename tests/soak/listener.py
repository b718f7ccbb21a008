"""The queue triggers of all instances, as sandbox/host/queues.py has them, without a client between host and queue.

Fetch and lock, renew the lock while the function runs, delete what went well, give back what did not, put away what
came too often, and hand that to the poison function. What a client would need many requests for (looking whether
there is something) costs nothing here; what can go wrong between host and queue goes wrong all the same.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sandbox.queues import Message, Queue, queue_of
from sandbox.world import World
from shared.domain.work import POISON_QUEUE, WORK_QUEUE
from shared.usecases.handle import handle, report_poison
from tests.soak.life import Instance, Life
from tests.soak.trouble import Trouble
from tests.soak.watch import Handling, Watch, handling

ACCOUNT = "cmkautopilot"
LOCK = 600.0  # seconds a message stays hidden while somebody works on it
RETRY = 30.0  # seconds until a failed one is tried again [host.json visibilityTimeout]
MOST_DEQUEUES = 5  # [host.json maxDequeueCount]
AT_ONCE = 8  # messages on each instance
LATEST = 2.0  # seconds until somebody looks


class Listener:
    """Hands messages to whoever lives and has a hand free."""

    def __init__(
        self,
        world: World,
        trouble: Trouble,
        watch: Watch,
        instances: Callable[[], list[Instance]],
        dice: random.Random,
    ) -> None:
        self._world = world
        self._trouble = trouble
        self._watch = watch
        self._instances = instances
        self._dice = dice
        self._wake = asyncio.Event()
        self._running: dict[asyncio.Task[None], int] = {}

    def notice(self) -> None:
        """Look again: a message was put, or somebody came to life."""
        self._wake.set()

    async def run(self) -> None:
        """Hand out messages until cancelled."""
        while True:
            self._wake.clear()
            for name in (WORK_QUEUE, POISON_QUEUE):
                self._hand_out(name)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())
                await asyncio.sleep(self._dice.uniform(0.0, LATEST))

    def _pause(self) -> float | None:
        now = self._world.clock.time()
        due = [line[0] for name in (WORK_QUEUE, POISON_QUEUE) if (queue := self._queue(name)) for line in queue.waiting]
        late = [one for one in due if one > now]
        return min(late) - now if late else None

    def _queue(self, name: str) -> Queue | None:
        return queue_of(self._world, ACCOUNT, name)

    def _hand_out(self, name: str) -> None:
        queue = self._queue(name)
        if queue is None:
            return
        free = [one for one in self._instances() if one.life.alive]
        while free:
            instance = self._dice.choice(free)
            number = instance.life.number
            if sum(1 for busy in self._running.values() if busy == number) >= AT_ONCE:
                free.remove(instance)
                continue
            found = queue.visible(self._world.clock.time(), 1, keep=False)
            if not found:
                return
            message = found[0]
            message.dequeue_count += 1
            queue.show_at(self._world, message, self._world.clock.time() + LOCK)
            if self._trouble.queue_fails("the answer to a fetch gets lost"):
                continue
            task = asyncio.get_running_loop().create_task(self._carry(instance, queue, message))
            self._running[task] = number
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()
        if not task.cancelled():
            task.result()

    async def _carry(self, instance: Instance, queue: Queue, message: Message) -> None:
        """Work on a message for as long as the instance lives; who dies leaves it locked."""
        await instance.life.outlived(self._work(instance, queue, message))

    async def _work(self, instance: Instance, queue: Queue, message: Message) -> None:
        held = _Held(self._world, queue, message, instance.life)
        try:
            await instance.life.step()
            if message.dequeue_count > MOST_DEQUEUES and queue.name == WORK_QUEUE:
                await self._put_away(instance, held)
                return
            went_well = await self._run(instance, queue, message)
            await instance.life.step()
            if went_well:
                if not self._trouble.queue_fails("a delete fails"):
                    held.delete()
            elif message.dequeue_count >= MOST_DEQUEUES and queue.name == WORK_QUEUE:
                await self._put_away(instance, held)
            elif not self._trouble.queue_fails("giving a message back fails"):
                held.hide(RETRY)
        finally:
            held.end()

    async def _run(self, instance: Instance, queue: Queue, message: Message) -> bool:
        text = base64.b64decode(message.text).decode()
        function: Callable[..., Awaitable[object]] = handle if queue.name == WORK_QUEUE else report_poison
        current = Handling(text, lambda: instance.life.alive)
        handling.set(current)
        try:
            await function(instance.app.context, text)
        except Exception as error:  # noqa: BLE001  the host tries again, whatever it is
            self._watch.failed(type(error).__name__, str(error))
            return False
        await instance.life.breath()
        self._watch.handled(current)
        return True

    async def _put_away(self, instance: Instance, held: _Held) -> None:
        self._watch.poisoned += 1
        poison = self._queue(POISON_QUEUE)
        if poison is None:
            queues = self._world.memory["queues"]["accounts"][ACCOUNT]
            poison = queues[POISON_QUEUE] = Queue(POISON_QUEUE, {})
        now = self._world.clock.time()
        message = Message(self._world.new_id(), held.message.text, now, None, now, "")
        poison.messages[message.id] = message
        poison.show_at(self._world, message, now)
        self.notice()
        await instance.life.step()
        held.delete()


class _Held:
    """A locked message. Who has lost the lock (a new pop receipt) can do nothing to it any more."""

    def __init__(self, world: World, queue: Queue, message: Message, life: Life) -> None:
        self.message = message
        self._life = life
        self._world = world
        self._queue = queue
        self._receipt = message.receipt
        self._timer = asyncio.get_running_loop().call_later(LOCK / 2, self._renew)

    def _renew(self) -> None:
        if not self._life.alive:
            return
        self.hide(LOCK)
        self._timer = asyncio.get_running_loop().call_later(LOCK / 2, self._renew)

    def hide(self, seconds: float) -> None:
        """Hide the message for so long."""
        if self.message.receipt == self._receipt:
            self._queue.show_at(self._world, self.message, self._world.clock.time() + seconds)
            self._receipt = self.message.receipt

    def delete(self) -> None:
        """Delete the message."""
        if self.message.receipt == self._receipt:
            self._queue.messages.pop(self.message.id, None)

    def end(self) -> None:
        """Renew no more."""
        self._timer.cancel()
