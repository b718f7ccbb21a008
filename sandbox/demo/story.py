"""What happens in the demo, in order. Everything the app does it does by itself: it only gets Event Grid's events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sandbox import identity
from sandbox.appprocess import POLICY, POLICY_SETTING
from sandbox.demo import services
from sandbox.demo.estate import KEY, KEY_VAULT, make
from sandbox.demo.ledger import Ledger
from sandbox.demo.tally import Tally
from sandbox.eventgrid.subscriptions import of_type
from sandbox.queues import messages
from sandbox.stage import Stage
from sandbox.up import Plan, Sandbox
from sandbox.wire import Answer, Call, Json

NEW_VERSION = "Microsoft.KeyVault.KeyNewVersionCreated"
QUEUE, POISON = "cmk-work", "cmk-work-poison"
QUEUE_ACCOUNT = "cmkautopilot"
LOOK_SECONDS = 0.25
# The followers look once a day; the sweep timer stays off, so that events alone have to do it all.
AN_HOUR = timedelta(hours=1)
A_DAY_AND_MORE = timedelta(hours=25, minutes=30)
SETTINGS = {"AzureWebJobs.sweep.Disabled": "true", POLICY_SETTING: str(POLICY)}
# Of the second act: while work is due within a few minutes they pass, else a day does, on which followers look.
A_FEW_MINUTES = timedelta(minutes=15)
_SHIFTS = 12  # at most: what still waits then is told
_LOCK_SECONDS = 10  # not the host's ten minutes: a dead app's work comes again while somebody watches
_OWN_CALLS = 2  # of the vault: the two rotations are made by the story, not by the app


class DemoStuckError(Exception):
    """Nothing moved for a long time; the message says where things stand."""


@dataclass
class Line:
    """One line of the story: seconds since the start, and what happened."""

    at: float
    text: str


@dataclass
class Result:
    """What came of it, as the machine-readable demo prints it."""

    resources: int
    users: int
    repointed: int
    following: int
    verified: int
    blocked: int
    failed: int
    lost: int
    duplicatesDelivered: int  # noqa: N815  the names of the contract
    throttled: int
    seconds: float
    simulatedSeconds: float  # noqa: N815
    requests: Json
    services: Json = field(default_factory=dict)  # the second act, counted apart

    @property
    def first_fine(self) -> bool:
        """Return whether every user of the first act's key is verified at the newest version in effect."""
        return self.verified == self.users and not (self.blocked or self.failed or self.lost)

    @property
    def fine(self) -> bool:
        """Return whether that is so, and every other service ended as it should."""
        return self.first_fine and self.services["wrong"] == 0


def rotate(stage: Stage, vault: str = KEY_VAULT, key: str = KEY) -> str:
    """Rotate a key through the vault's own API; return the new version."""
    world = stage.world
    token, _ = identity.issue(world, "key-officer", "https://vault.azure.net", world.tenant_id)
    url = f"https://{vault}.vault.azure.net/keys/{key}/rotate?api-version=7.4"
    answer = stage.cloud.answer(Call("POST", url, {"authorization": f"Bearer {token}"}, b"{}"))
    return str(answer.json()["key"]["kid"]).rpartition("/")[2]


@dataclass
class Story:
    """One run of the demo. `watch` is called several times a second with the story itself."""

    resources: int
    seed: int
    watch: Callable[[Story], None]
    app: Path = Path()
    folder: Path = Path(".sandbox/demo")
    patience: float = 120.0  # seconds without any progress
    lines: list[Line] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    began: float = 0.0
    first: Result | None = None  # of the first act, once it is over
    tally: Tally | None = None  # of the second act, once it has begun
    others: list[str] = field(default_factory=list)  # what else went wrong in it
    ledger: Ledger = field(init=False)
    sandbox: Sandbox = field(init=False)

    def tell(self, text: str) -> None:
        """Add a line to the story."""
        self.lines.append(Line(time.monotonic() - self.began, text))

    async def run(self) -> Result:
        """Run from start to end. Raises DemoStuckError, or what starting the sandbox raises."""
        estate = make(self.resources, self.seed)
        plan = Plan(estate, 0, self.app, 0, self.seed, SETTINGS, self.folder, lock=_LOCK_SECONDS, tell=self.tell)
        async with Sandbox(plan) as self.sandbox:
            self.began = time.monotonic()
            self.ledger = Ledger.open(self.sandbox.stage.world)
            self.tell(f"{len(self.ledger.users)} of {self.resources} resources use {KEY_VAULT}/{KEY}")
            await self._act()
            self.touched = self.ledger.touched()
            self.first = self._result()
            self.watch(self)
            self.first.services = await self._every_other_service()
            self.watch(self)
            return self.first

    async def _act(self) -> None:
        pump = self.sandbox.stage.pump
        pump.duplicate(of_type(NEW_VERSION), apart=0.5)
        self._rotate_again_after(max(2, len(self.ledger.users) // 50))
        first = rotate(self.sandbox.stage)
        self.tell(f"the key is rotated in the vault: version {first[:8]}; Event Grid tells the app, twice")
        await self._until(self._pinned_are_there)
        self._deliver_late()
        self.tell("all pinned users are verified; now the first event comes once more, late and stale")
        await self._until(lambda: self._quiet(timedelta(minutes=10)))
        self.tell(f"the clock moves on {A_DAY_AND_MORE}: followers have looked for themselves by then")
        await self._shift(A_DAY_AND_MORE)
        await self._until(lambda: self._quiet(timedelta(days=7)))
        self.tell("the work queue is empty")

    async def _every_other_service(self) -> Json:
        """Rotate the keys of the second estate; return what came of it."""
        stage = self.sandbox.stage
        await stage.reset(services.make(self.seed))
        await self._shift(AN_HOUR)  # what the app remembers of the first estate's vaults is old by then
        tally = self.tally = Tally.open(stage.world)
        self.tell(f"every other service: {len(tally.fates)} resources use {services.KEY}, which is rotated now")
        for vault in services.VAULTS:
            rotate(stage, vault, services.KEY)
        await self._until(lambda: tally.reports > 0 and self._idle())
        for _ in range(_SHIFTS):
            if tally.heard() and self._quiet(timedelta(days=7)):
                break
            await self._shift(A_DAY_AND_MORE if self._quiet(A_FEW_MINUTES) else A_FEW_MINUTES)
            await self._until(self._idle)
        self.others = tally.judge()
        result = tally.result(_counted(stage, len(services.VAULTS)), len(self.others) + self.poisoned())
        ends = ", ".join(f"{result[one]} {one}" for one in ("moved", "verified", "configured", "unknown"))
        self.tell(f"of these {ends}, {sum(result['reported'].values())} reported with the reason")
        return result

    def _rotate_again_after(self, few: int) -> None:
        """Have the key rotated once more right after that many users have been moved."""
        hooks = self.sandbox.stage.world.hooks
        before, left = hooks.after, few

        def after(call: Call, answer: Answer) -> Answer:
            nonlocal left
            left -= call.method == "PATCH" and answer.status == 200  # noqa: PLR2004
            if left == 0:
                hooks.after = before
                second = rotate(self.sandbox.stage)
                self.tell(f"when {few} have moved the key is rotated again: version {second[:8]}")
            return before(call, answer)

        hooks.after = after

    def _deliver_late(self) -> None:
        history = self.sandbox.stage.pump.subscriptions.history
        first = next(one for one in history if one.event.type == NEW_VERSION)
        self.sandbox.stage.pump.duplicate(first.event.id)

    def _pinned_are_there(self) -> bool:
        users = self.ledger.users.values()
        return all(self.ledger.standing(user) in {"verified", "blocked"} for user in users if "pinned" in user.kind)

    def _quiet(self, ahead: timedelta) -> bool:
        """Return whether no event is on its way and no work is due within that time."""
        stage = self.sandbox.stage
        limit = stage.clock.time() + ahead.total_seconds()
        due = any(message.visible < limit for message in messages(stage.world, QUEUE_ACCOUNT, QUEUE))
        return not due and not stage.pump.subscriptions.waiting()

    def _idle(self) -> bool:
        """Return whether no event is on its way, and no work is due or being done just now."""
        stage = self.sandbox.stage
        work = messages(stage.world, QUEUE_ACCOUNT, QUEUE)
        now = stage.clock.time()
        busy = any(message.dequeue_count or message.visible <= now for message in work)
        return not busy and not stage.pump.subscriptions.waiting()

    async def _shift(self, by: timedelta) -> None:
        stage = self.sandbox.stage
        stage.shift(by)
        if self.sandbox.app is not None:
            await self.sandbox.app.set_offset(stage.clock.offset.total_seconds())

    async def _until(self, done: Callable[[], bool]) -> None:
        seen, since = -1, time.monotonic()
        while True:
            self.sandbox.check()
            (self.tally or self.ledger).look()
            self.watch(self)
            if done():
                return
            reports = self.tally.reports if self.tally is not None else self.ledger.reports
            if (total := self.sandbox.stage.log.kinds["write"] + reports) != seen:
                seen, since = total, time.monotonic()
            if time.monotonic() - since > self.patience:
                raise DemoStuckError(f"nothing moved for {self.patience:.0f} s: {self._stand()}")
            await asyncio.sleep(LOOK_SECONDS)

    def poisoned(self) -> int:
        """Return how many messages failed for good."""
        return len(messages(self.sandbox.stage.world, QUEUE_ACCOUNT, POISON))

    def requests(self) -> Json:
        """Return the app's requests by kind, in the first act."""
        return self.first.requests if self.first else _counted(self.sandbox.stage, _OWN_CALLS)

    def _stand(self) -> str:
        if self.tally is None:
            return str(dict(self.ledger.standings()))
        return str({fate.name: fate.said for fate in self.tally.fates.values() if fate.said != fate.expected})

    def _result(self) -> Result:
        ledger, stage = self.ledger, self.sandbox.stage
        stand = ledger.standings()
        follow = [user for user in ledger.users.values() if "following" in user.kind and not user.writes]
        return Result(
            resources=self.resources,
            users=len(ledger.users),
            repointed=ledger.moved(),
            following=sum(1 for user in follow if ledger.standing(user) == "verified"),
            verified=stand["verified"],
            blocked=stand["blocked"],
            failed=stand["behind"] + self.poisoned() + len(self.touched),
            lost=stand["unheard"] + stand["waiting"],
            duplicatesDelivered=stage.pump.totals.duplicates,
            throttled=int(stage.log.counts()["throttled"]),
            seconds=round(time.monotonic() - self.began, 1),
            simulatedSeconds=round(time.monotonic() - self.began + stage.clock.offset.total_seconds(), 1),
            requests=self.requests(),
        )


def _counted(stage: Stage, own_calls: int) -> Json:
    """Return the app's requests by kind; `own_calls` of the vault's are the story's."""
    counts = stage.log.counts()
    arm = {kind: counts["arm"][kind] for kind in ("read", "write", "childList")}
    return {"arm": arm, "vault": counts["vault"] - own_calls, "graph": counts["graph"], "identity": counts["identity"]}
