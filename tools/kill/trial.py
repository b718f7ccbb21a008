"""One run of the kill test: an estate, a rotation, deaths, and what Azure's own state and the queue say at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from sandbox.appprocess import QUEUE as CONNECTION
from sandbox.demo.estate import make
from sandbox.demo.ledger import TOPIC, Ledger
from sandbox.demo.story import POISON, QUEUE, SETTINGS, rotate
from sandbox.eventgrid.topics import received
from sandbox.keeper import Patience
from sandbox.up import Plan, Sandbox
from tools.azurite.service import azurite
from tools.kill.applog import dequeues
from tools.kill.killer import Kill, Killer, moments

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".sandbox" / "kill"
# Nobody follows: a follower's next look is a day away, and Azurite's clock cannot be shifted.
MIX = {"pinned account": 34, "pinned scope": 54, "account on Microsoft's key": 8, "account on another key": 4}
LOCK_SECONDS = 5
GARBAGE = "this is no work item"
_DEQUEUES = 5  # host.json: as often a message is tried
_LOOK_SECONDS = 0.25
_PATIENCE = 150.0  # seconds without anything new: the app puts a poisoned page back once, a minute later
_CALM = 5.0  # such seconds after which an empty queue means that nothing more will come
_BASE64: dict[str, Any] = {
    "message_encode_policy": TextBase64EncodePolicy(),
    "message_decode_policy": TextBase64DecodePolicy(),
}
_TOO_MANY = 5  # deaths that were not asked for


class StuckError(Exception):
    """Nothing came of it any more; the message says where things stand."""


@dataclass(frozen=True)
class Result:
    """What came of it."""

    resources: int
    users: int
    wanted: int  # kills
    kills: list[Kill]
    other_deaths: int
    verified: int
    touched: int  # resources that do not use the key and are not as they were
    left: int  # messages in the work queue
    poison_left: int
    garbage_reported: int
    healthy_poisoned: int
    sweeps: int  # that brought back what these were about
    most_dequeues: int  # of a healthy message
    requests: int  # to Resource Manager
    seconds: float  # from the rotation to the last word

    @property
    def fine(self) -> bool:
        """Return whether all that must hold does.

        A healthy message that was poisoned, by five deaths, is no failure of its own: the app puts it back once, and
        the sweep makes up for one that it does not.
        """
        died = len(self.kills) == self.wanted and all(one.in_flight for one in self.kills)
        wrong = self.other_deaths, self.touched, self.left, self.poison_left
        return died and self.verified == self.users and self.garbage_reported > 0 and not any(wrong)


class Trial:
    """A run; `watch` is called several times a second with the trial itself."""

    def __init__(self, resources: int, kills: int, seed: int, watch: Callable[[Trial], None]) -> None:
        self.resources = resources
        self.seed = seed
        self.wanted = kills
        self.killer = Killer()
        self.left = self.poison_left = -1
        self.sweeps = 0
        self.ledger: Ledger
        self._watch = watch

    async def run(self) -> Result:
        """Run from start to end. Raises StuckError, NoAzuriteError, or what starting the sandbox raises."""
        with azurite(("queue",)) as connection:
            work, poison = (QueueClient.from_connection_string(connection, name, **_BASE64) for name in (QUEUE, POISON))
            async with work, poison:
                self._garbage = await _put_garbage(work)
                return await self._run(connection, work, poison)

    async def _run(self, connection: str, work: QueueClient, poison: QueueClient) -> Result:
        sandbox = Sandbox(
            Plan(
                make(self.resources, self.seed, MIX),
                port=0,
                app=ROOT,
                app_port=0,
                seed=self.seed,
                settings={**SETTINGS, CONNECTION: connection},
                folder=FOLDER,
                lock=LOCK_SECONDS,
                patience=Patience(first=0.2, longest=0.2, deaths=self.wanted + _TOO_MANY),
                tell=self.killer.told,
            )
        )
        self.ledger = Ledger.open(sandbox.stage.world)
        async with sandbox:
            self.killer.watch(sandbox, self.ledger, moments(self.wanted, len(self.ledger.users), self.seed))
            began = time.monotonic()
            rotate(sandbox.stage)
            await self._until_done(sandbox, work, poison)
            return self._result(sandbox, time.monotonic() - began)

    async def _until_done(self, sandbox: Sandbox, work: QueueClient, poison: QueueClient) -> None:
        seen: tuple[int, ...] = ()
        since = time.monotonic()
        while True:
            sandbox.check()
            self.ledger.look()
            self.left, self.poison_left = await _depth(work), await _depth(poison)
            self._watch(self)
            verified = self.ledger.standings()["verified"]
            quiet = not (self.left or self.poison_left or sandbox.stage.pump.subscriptions.waiting())
            if quiet and verified == len(self.ledger.users):
                return
            if quiet and time.monotonic() - since > _CALM:
                if self.sweeps >= _poisoned(sandbox)[1]:
                    return
                await self._sweep(sandbox)
            now = (self.killer.requests, self.ledger.reports, self.left, self.poison_left)
            seen, since = (seen, since) if now == seen else (now, time.monotonic())
            if time.monotonic() - since > _PATIENCE:
                where = (
                    f"{verified} of {len(self.ledger.users)} verified, {self.left} and {self.poison_left} messages left"
                )
                raise StuckError(f"nothing moved for {_PATIENCE:.0f} s: {where}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sweep(self, sandbox: Sandbox) -> None:
        """Have the app look at everything, as its timer does every six hours."""
        if sandbox.app is not None:
            self.sweeps += 1
            await sandbox.app.call("POST", "/api/converge", sandbox.app.keys.function, b'{"all": true}')

    def _result(self, sandbox: Sandbox, seconds: float) -> Result:
        ours, healthy = _poisoned(sandbox)
        taken = dequeues(sandbox.app.log) if sandbox.app is not None else {}
        return Result(
            resources=self.resources,
            users=len(self.ledger.users),
            wanted=self.wanted,
            kills=self.killer.kills,
            other_deaths=self.killer.others,
            verified=self.ledger.standings()["verified"],
            touched=len(self.ledger.touched()),
            left=self.left,
            poison_left=self.poison_left,
            garbage_reported=ours,
            healthy_poisoned=healthy,
            sweeps=self.sweeps,
            most_dequeues=max((count for id_, count in taken.items() if id_ != self._garbage), default=0),
            requests=self.killer.requests,
            seconds=round(seconds, 1),
        )


async def _put_garbage(work: QueueClient) -> str:
    """Put a message that nobody can handle, as if it had failed all times but one; return its id.

    The host waits 30 s between two tries, and Azurite's clock cannot be shifted.
    """
    await work.create_queue()
    put = await work.send_message(GARBAGE, time_to_live=-1)
    for _ in range(_DEQUEUES - 1):
        taken = await work.receive_message(visibility_timeout=30)
        if taken is not None:
            await work.update_message(taken, visibility_timeout=0)
    return str(put.id)


async def _depth(queue: QueueClient) -> int:
    """Return how many messages a queue has, hidden ones too."""
    try:
        return int((await queue.get_queue_properties()).approximate_message_count or 0)
    except ResourceNotFoundError:  # nothing was ever put there
        return 0


def _poisoned(sandbox: Sandbox) -> tuple[int, int]:
    """Return how many reports of poisoned messages are about the garbage, and how many about others."""
    outcomes = [one["data"]["outcome"] for one in received(sandbox.stage.world, TOPIC)]
    details = [
        str(blocked["detail"])
        for outcome in outcomes
        for blocked in outcome.get("blocked", ())
        if blocked["reason"] == "poisoned"
    ]
    ours = sum(1 for detail in details if GARBAGE in detail)
    return ours, len(details) - ours
