"""Kills the app's process at given requests: right before or right after what Azure does of it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from sandbox.demo.ledger import Ledger
from sandbox.up import Sandbox
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import Hooks
from tools.kill.applog import in_flight

_ARM = "management.azure.com"
_FIRST, _LAST = 0.1, 2.0  # requests for each user: the first and the last moment that may be drawn


@dataclass
class Kill:
    """One death and what was known of it."""

    number: int
    at: float  # seconds since the rotation
    request: int  # of the app to Resource Manager, counted over all its lives
    moment: str
    verified: int
    in_flight: int = 0  # runs that were begun and not ended
    down: float = 0.0  # seconds until the app answered again


def moments(kills: int, users: int, seed: int) -> list[tuple[int, bool]]:
    """Return (request, whether after its effect) for each kill: one somewhere in each of as many equal parts.

    The same seed gives the same moments.
    """
    chance = random.Random(f"kills {seed}")  # noqa: S311  everything random comes from the seed
    part = users * (_LAST - _FIRST) / max(1, kills)
    requests = [1 + int(users * _FIRST + part * (number + chance.random())) for number in range(kills)]
    return [(request, chance.random() < 0.5) for request in requests]  # noqa: PLR2004


class Killer:
    """Stands at Azure's door, and is told by the keeper of each death and return."""

    def __init__(self) -> None:
        self.kills: list[Kill] = []
        self.others = 0  # deaths that were not ours
        self.requests = 0
        self._wanted: list[tuple[int, bool]] = []
        self._sandbox: Sandbox | None = None
        self._ledger: Ledger | None = None
        self._inner = Hooks()
        self._began = self._died = 0.0
        self._alive = True
        self._life = 0  # where in the log this life begins

    def watch(self, sandbox: Sandbox, ledger: Ledger, wanted: list[tuple[int, bool]]) -> None:
        """Begin: every request to Resource Manager passes here from now on, and `wanted` of them are the last."""
        self._wanted = wanted
        self._sandbox, self._ledger, self._began = sandbox, ledger, time.monotonic()
        self._inner = sandbox.stage.world.hooks
        sandbox.stage.world.hooks = Hooks(self._before, self._after)

    def told(self, _: str) -> None:
        """Note a death, for which the app has no process any more, or its return."""
        app = self._sandbox.app if self._sandbox is not None else None
        if app is None or self._alive:
            self.others += 1
        elif app.pid is None:
            self.kills[-1].in_flight, self._life = in_flight(app.log, self._life)
        else:
            self.kills[-1].down = round(time.monotonic() - self._died, 1)
            self._alive = True

    def _before(self, call: Call) -> Answer | None:
        if call.host == _ARM:
            self.requests += 1
            if self._is_due(after=False):
                self._kill(f"before {call.method}")
                raise Unreachable("the app is dead")
        return self._inner.before(call)

    def _after(self, call: Call, answer: Answer) -> Answer:
        answer = self._inner.after(call, answer)
        if call.host == _ARM and self._is_due(after=True):
            self._kill(f"after {call.method}")
        return answer

    def _is_due(self, *, after: bool) -> bool:
        left = self._wanted[len(self.kills) :]
        return self._alive and bool(left) and left[0][0] <= self.requests and left[0][1] is after

    def _kill(self, moment: str) -> None:
        if self._sandbox is None or self._sandbox.app is None or self._ledger is None:
            return
        self._died, self._alive = time.monotonic(), False
        self._sandbox.app.kill()
        self._ledger.look()
        verified = self._ledger.standings()["verified"]
        at = round(self._died - self._began, 1)
        self.kills.append(Kill(len(self.kills) + 1, at, self.requests, moment, verified))
