"""`sandbox up`: the HTTPS face, the console, Event Grid and, when asked for, the function app, all on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

from sandbox.appprocess import AppProcess
from sandbox.clock import Clock
from sandbox.console import Console
from sandbox.exports import exports
from sandbox.host.queues import LOCK_SECONDS
from sandbox.https import Authority, Face
from sandbox.https.authority import TrustFiles
from sandbox.identity import identity_header
from sandbox.keeper import AppFailedError, Keeper, Patience, Tell
from sandbox.postman import Postman
from sandbox.stage import Stage
from sandbox.wire import Answer, Call, Json, Refused

APP_PORT = 7071
PORT = 4280


def tell_plainly(text: str) -> None:
    """Put a line on standard error."""
    sys.stderr.write(f"{text}\n")


@dataclass(frozen=True)
class Plan:
    """What to run. Port 0 is any free one; `folder` takes the certificates, az's configuration and the app's log."""

    estate: Json
    port: int = PORT
    app: Path | None = None
    app_port: int = APP_PORT
    seed: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)  # of the app, besides its own
    folder: Path = Path(".sandbox")
    clock: Clock = field(default_factory=Clock)
    lock: int = LOCK_SECONDS  # seconds that messages stay hidden which a dead app had taken
    patience: Patience = field(default_factory=Patience)
    tell: Tell = tell_plainly  # told of the app's deaths and returns


class Sandbox:
    """A running sandbox: `async with Sandbox(plan) as sandbox`.

    Entering raises PortTakenError, AppFailedError, or what a wrong estate raises; leaving ends everything in order.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.app: AppProcess | None = None
        self._postman = Postman(lambda name: self.app.webhook(name) if self.app else None)
        self.stage = Stage(
            plan.estate, post=self._postman.post, ask=self._postman.ask, clock=plan.clock, seed=plan.seed
        )
        self.console = Console(self.stage, exports=self.exports, shifted=self._shifted)
        self._authority = Authority()
        self._trust: TrustFiles | None = None
        self._folder = plan.folder
        self._keeping: asyncio.Task[None] | None = None
        self.face = Face(lambda: self.stage.cloud, self._authority, self._plain)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        await self.face.start(self.plan.port)
        # A folder for each port: two sandboxes side by side must not overwrite each other's certificates.
        self._folder = self.plan.folder / str(self.face.port)
        self._trust = self._authority.write(self._folder)
        if self.plan.app is not None:
            app = AppProcess(self.plan.app, self._folder / "app.log", lock=self.plan.lock)
            mine = {"IDENTITY_HEADER": identity_header(self.stage.world)}
            environment = {**self.exports(), **mine, **self.plan.settings}
            await app.start(self.plan.app_port, environment, self.stage.clock.offset.total_seconds())
            self.app = app
            plan = self.plan
            keeper = Keeper(app.wait, self._again, tell=plan.tell, tail=app.tail, patience=plan.patience)
            self._keeping = asyncio.create_task(keeper.run(), name="keeper")
            self.stage.app_runs(await app.event_functions())
        self.stage.start()

    async def _again(self) -> None:
        if self.app is not None:
            await self.app.start_again(self.stage.clock.offset.total_seconds())

    async def over(self) -> None:
        """Wait until the app has died too often, which raises AppFailedError. Without an app, wait for ever."""
        await asyncio.shield(self._keeping or asyncio.get_running_loop().create_future())

    def check(self) -> None:
        """Raise AppFailedError when the app has died too often."""
        if self._keeping is not None and self._keeping.done():
            self._keeping.result()

    async def stop(self) -> None:
        """End the deliveries, the app and the faces, in this order."""
        await self.stage.stop()
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError, AppFailedError):  # whom that concerns has been told by `over`
                await self._keeping
        if self.app is not None:
            await self.app.stop()
        await self._postman.close()
        await self.face.stop()

    def exports(self) -> dict[str, str]:
        """Return the environment that points clients at this sandbox."""
        if self._trust is None:
            return {}
        app = (self.app.url, self.app.keys) if self.app is not None else None
        return exports(self.stage.world, self.face.port, self._trust, self._folder, app)

    async def _shifted(self) -> None:
        if self.app is not None:
            try:
                await self.app.set_offset(self.stage.clock.offset.total_seconds())
            except aiohttp.ClientError as error:
                raise Refused(
                    502, "AppUnreachable", f"The clock is shifted, but the app was not told: {error}"
                ) from error

    async def _plain(self, call: Call) -> Answer:
        if call.path == "/msi/token":
            return self.stage.managed_identity(call)
        if call.segments[:1] == ("console",):
            return await self.console.answer(call)
        return Answer.of({"error": {"code": "NotFound", "message": "Here are /console/ and /msi/token."}}, 404)
