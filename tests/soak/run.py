"""One seeded run: an estate, instances of the app, a while of trouble, then calm. All follows from the seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sandbox.arm.operations import running
from sandbox.cloud import Cloud
from sandbox.eventgrid.delivery import Pump
from sandbox.host.webhook import receive
from sandbox.host.worker import FunctionFailed
from sandbox.stage import default_subscriptions
from sandbox.wire import Answer, Call, Json
from sandbox.world import Hooks, World
from shared.domain.keys import parse_key_url
from shared.domain.work import Cause, RotateKey, Source, Sweep, WorkItem
from shared.usecases.handle import report_poison
from shared.usecases.intake import take_delivery
from tests.soak.estates import OWN_GROUP
from tests.soak.life import Graveyard, Instance, Life, born
from tests.soak.listener import LATEST, Listener
from tests.soak.people import People
from tests.soak.trouble import ARM, Trouble
from tests.soak.watch import ACCEPTED, Watch
from tests.support.azure import QUEUE_URI, TOPIC

KEY = parse_key_url("https://kv-main.vault.azure.net/keys/cmk").key
BY_HAND = 0.15  # of the runs begin with a resource that the policy leaves to people
HAPPENINGS = (5, 12)
TOLD, KEPT, UNCLEAR = 0.06, 0.3, 0.1  # of the runs: with an outcome topic, with evidence, begun with no clear switch
MOST_STEPS = 60  # of a life that ends early
FATE = "operationFate"  # where the sandbox looks for what a fault has in mind for the next operation
DAY, QUIET = 86400.0, 1800.0  # seconds
AFTERMATH = 600.0  # seconds in which requests are answered well and operations may fail
CALM = DAY + 3 * 3600.0  # what storage takes to follow, what a late event takes, and a little more


@dataclass
class Run:
    """What a run needs and what it found."""

    longest_pause: ClassVar[float] = LATEST  # seconds until somebody looks at the queue again
    seed: int
    world: World
    late: list[Json]
    enforces: bool = False  # whether who is on the platform's key shall come under a key
    events_tell: bool = False  # whether nothing happens but what some event tells of, and none is lost
    story: list[str] = field(default_factory=list)  # what happened, for whoever has to find out why
    deaths: int = 0
    events: dict[str, int] = field(default_factory=dict)
    writes_in_last_sweep: int = 0
    untold: list[str] = field(default_factory=list)  # what was wrong before the last sweeps, where events tell of all

    def __post_init__(self) -> None:
        self.dice = random.Random(f"soak {self.seed}")
        self.environ: MutableMapping[str, str] = {
            "AzureWebJobsStorage__queueServiceUri": QUEUE_URI,
            "CMK_OWN_RESOURCE_GROUP": OWN_GROUP,
            "CMK_WRITES": "on",
            # Sinks beside the log cost a request for each report: a part of the runs is enough of them.
            **({"CMK_OUTCOME_TOPIC": f"https://{TOPIC}/api/events"} if self.dice.random() < TOLD else {}),
            **({} if self.dice.random() < KEPT else {"CMK_EVIDENCE": "off"}),
        }
        self.keeps_evidence = "CMK_EVIDENCE" not in self.environ
        self.cloud = Cloud(self.world)
        self.watch = Watch(self.world)
        self.trouble = Trouble(self.dice)
        self.people = People(self.dice, self.world, self.watch, self.environ, self.late, self.tell)
        self.people.only_told = self.events_tell
        self.people.paper.enforces = self.watch.enforces = self.enforces
        self.people.paper.say("on")
        if self.dice.random() < UNCLEAR:
            self.people.write("perhaps")
        if self.dice.random() < BY_HAND:
            self.people.reserve_one()
        self.graveyard = Graveyard()
        self._fate: Json = {}
        self.instances: list[Instance] = []
        self.lives: list[Life] = []
        self._mourning: list[asyncio.Task[None]] = []
        self._open()
        self.world.hooks = Hooks(before=self._before, after=self._after)
        self.pump = Pump(self.world, self._post)
        rows = default_subscriptions(self.world, frozenset({"key_events", "resource_events"}))
        self.pump.subscriptions.load([{**row, "maxEventsPerBatch": self.dice.choice((1, 1, 4))} for row in rows])
        self.listener = Listener(self.world, self.trouble, self.watch, lambda: self.instances, self.dice)

    @property
    def poisoned(self) -> int:
        """Return how many messages were put away."""
        return self.watch.poisoned

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.world.now():%d %H:%M:%S}  {what}")

    async def settle(self) -> None:
        """Run from trouble to calm."""
        await self._begin()
        self._running = [asyncio.create_task(one) for one in (self.listener.run(), self.pump.run())]
        await self._trouble()
        self.trouble.over = True
        self.watch.over_at = self.world.now()
        self.people.mend()
        for life in self.lives:
            life.last = None
        await self._calm_down()
        self.tell("the trouble is over")
        if self.dice.random() < 0.3 and not self.events_tell:
            await self._sweep()
        await self._aftermath()
        await asyncio.sleep(CALM - AFTERMATH)

    async def end(self) -> None:
        """Sweep, and stop everything."""
        for _ in range(2):
            before = self.watch.writes
            await self._sweep()
            await asyncio.sleep(QUIET)
            self.writes_in_last_sweep = self.watch.writes - before
        await self._bring_out_the_evidence()
        self.graveyard.closed = True
        await self._end()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _aftermath(self) -> None:
        """Let operations fail for a while longer, and somebody die in the middle of one."""
        began = self.world.now()
        await asyncio.sleep(self.dice.uniform(0, AFTERMATH / 5))
        if self.dice.random() < 0.5:
            self._death()
        await asyncio.sleep(AFTERMATH - (self.world.now() - began).total_seconds())
        self.trouble.operations_end_well = True
        self.people.repair()

    def _open(self) -> None:
        """Make ready what depends on how the app runs."""

    async def _begin(self) -> None:
        """Start the app."""
        self.instances = [self._birth() for _ in range(self.dice.choice((1, 2, 2, 3)))]

    async def _bring_out_the_evidence(self) -> None:
        """Give every instance something to keep: what its store did not take before goes with it."""
        for one in self.instances:
            await report_poison(one.app.context, "garbage")

    async def _calm_down(self) -> None:
        """Take note that the trouble is over."""

    async def _end(self) -> None:
        """Stop the app."""

    def _before(self, call: Call) -> Answer | None:
        self.watch.before(call)
        answer = self.trouble.before(call)
        if answer is None and (fate := self.trouble.doom(call)):
            self.world.memory[FATE] = self._fate = fate
        return answer

    def _after(self, call: Call, answer: Answer) -> Answer:
        self.watch.after(call, answer)
        self._operations(call, answer)
        if call.method == "POST" and call.host.endswith(".queue.core.windows.net"):
            self.listener.notice()
        spoilt = self.trouble.after(call, answer)
        if self.trouble.lies_about(call, answer):
            self.watch.doomed.add(call.path.lower())
        return spoilt

    def _operations(self, call: Call, answer: Answer) -> None:
        """Take note of the fate of an operation, if one began; a fate that was for none is void."""
        if call.host != ARM or call.method not in {"PATCH", "PUT"}:
            return
        began = running(self.world, call.path) and answer.status in ACCEPTED
        if (fate := self._fate) and began:
            self.trouble.counts[f"LRO: {fate['do']}"] += 1
            self.watch.doomed.add(call.path.lower())
            self.tell(f"the operation on {call.path.rpartition('/providers/')[2]} will {fate['do']}")
        self.trouble.counts["LRO"] += began
        self._fate = {}
        self.world.memory.pop(FATE, None)

    def _new_life(self) -> Life:
        short = not self.trouble.over and self.dice.random() < 0.3
        last = self.dice.randint(1, MOST_STEPS) if short else None
        life = Life(len(self.lives) + 1, self.graveyard, last=last, after=self.dice.random() < 0.5)
        life.death.add_done_callback(lambda _: self._died(life))
        self.lives.append(life)
        return life

    def _birth(self) -> Instance:
        return born(self._new_life(), self.cloud, self.watch, self.environ, self.people.paper.fetch, self.dice)

    def _died(self, life: Life) -> None:
        self.deaths += 1
        self.tell(f"instance {life.number} dies at step {life.steps}")
        self._mourning.append(asyncio.get_running_loop().create_task(self._after_death(life)))

    async def _after_death(self, life: Life) -> None:
        await asyncio.sleep(self.dice.uniform(0, 20))
        await self._replace(life)

    async def _replace(self, life: Life) -> None:
        self.instances = [one for one in self.instances if one.life is not life] + [self._birth()]
        self.listener.notice()

    async def _post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        """Hand a body of Event Grid's to some instance, as the host does: event by event, 500 when one fails."""
        del endpoint
        living = [one for one in self.instances if one.life.alive]
        if not living:
            return 503
        app, life = (chosen := self.dice.choice(living)).app, chosen.life
        answered: list[int] = []

        async def deliver(event: Any) -> None:
            try:
                await take_delivery(app.context, json.dumps(event), app.new_id)
            except Exception as error:  # whatever it is, Event Grid comes again
                raise FunctionFailed(repr(error)) from error

        async def invoked() -> None:
            answered.append((await receive(headers["aeg-event-type"], body, deliver))[0])

        return answered[0] if await life.outlived(invoked()) else 0

    async def _trouble(self) -> None:
        await self._put(Sweep(Cause("first", Source.TIMER), self.world.now()))
        if self.dice.random() < 0.2:
            await self._put(RotateKey(KEY, Cause("rotate", Source.HTTP), self.world.now()))
        for _ in range(self.dice.randint(*HAPPENINGS)):
            await asyncio.sleep(self.dice.choice((0.0, 1.0, self.dice.uniform(0, 10), self.dice.uniform(0, 60))))
            kinds = (*(self.people.act,) * 6, self._event_trouble, self._death, self._outage, self._blobs_outage)
            self.dice.choice(kinds)()

    def _event_trouble(self) -> None:
        kind = self.dice.choice(("duplicate", "delay", "a day's delay", *(() if self.events_tell else ("drop",))))
        self.events[kind] = self.events.get(kind, 0) + 1
        if kind == "duplicate":
            self.pump.duplicate(_any, apart=self.dice.uniform(0, 60))
        elif kind == "drop":
            self.pump.drop(_any)
        else:
            self.pump.delay(_any, DAY if kind == "a day's delay" else self.dice.uniform(1, 300))

    def _outage(self) -> None:
        self.trouble.queue_is_out = True
        self.tell("the queue takes nothing")
        asyncio.get_running_loop().call_later(self.dice.uniform(5, 40), self._queue_is_back)

    def _queue_is_back(self) -> None:
        self.trouble.queue_is_out = False

    def _blobs_outage(self) -> None:
        self.trouble.blobs_are_out = True
        self.tell("the evidence is refused")
        asyncio.get_running_loop().call_later(self.dice.uniform(5, 300), self._blobs_are_back)

    def _blobs_are_back(self) -> None:
        self.trouble.blobs_are_out = False

    def _death(self) -> None:
        """One process dies, or all of them at once."""
        living = [one for one in self.lives if one.alive]
        for life in living if self.dice.random() < 0.3 else living[:1]:
            life.die()

    async def _sweep(self) -> None:
        await self._put(Sweep(Cause(f"sweep-{self.world.now():%d%H%M}", Source.TIMER), self.world.now()))

    async def _put(self, item: WorkItem) -> None:
        """Put an item as the timer or a person does, again and again until the queue has it."""
        for _ in range(20):
            living = [one for one in self.instances if one.life.alive]
            if living:
                with suppress(Exception):
                    if await living[0].life.outlived(living[0].app.context.ports.queue.put(item)):
                        return
            await asyncio.sleep(5)


def _any(_: object) -> bool:
    return True
