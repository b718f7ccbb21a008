"""The function app in a process of its own, so that its CPU time and the sandbox's fall on different cores."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

import sandbox
from sandbox.host.__main__ import KEYS
from sandbox.host.keys import Keys
from sandbox.host.queues import LOCK_SECONDS
from sandbox.https import PortTakenError
from sandbox.keeper import AppFailedError

POLICY_SETTING = "CMK_POLICY"
POLICY = Path(sandbox.__file__).resolve().parent / "policy.yaml"  # what the app may do here, if nobody says otherwise
QUEUE = "AzureWebJobsStorage"  # a connection string under this name takes the place of the sandbox's own queue
SETTINGS = {
    "AzureWebJobsStorage__queueServiceUri": "https://cmkautopilot.queue.core.windows.net",
    "AzureWebJobsStorage__blobServiceUri": "https://cmkautopilot.blob.core.windows.net",
    "AzureWebJobsStorage__credential": "managedidentity",
    POLICY_SETTING: str(POLICY),
    "CMK_OUTCOME_TOPIC": "https://cmk-outcomes.westeurope-1.eventgrid.azure.net/api/events",
    "WEBSITE_SITE_NAME": "cmk-autopilot",
    "WEBSITE_OWNER_NAME": "00000000-0000-4000-8000-000000000000+rg-cmk-autopilot-westeuropewebspace-Linux",
    "WEBSITE_RESOURCE_GROUP": "rg-cmk-autopilot",
    "FUNCTIONS_WORKER_RUNTIME": "python",
}
# A clock that was shifted is noticed after this many seconds, by the queue listener and by the timers.
NOTICE = 2.0
_ROOT = Path(sandbox.__file__).resolve().parents[1]  # where the package can be imported from
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_TAIL = 4000


@dataclass
class AppProcess:
    """Runs `python -m sandbox.host` for an app's folder; its output goes to `log`.

    `lock` is how many seconds the messages that it held stay hidden when it dies.
    """

    folder: Path
    log: Path
    keys: Keys = field(default_factory=Keys)
    lock: int = LOCK_SECONDS
    url: str = ""
    _environ: dict[str, str] = field(default_factory=dict)
    _sock: socket.socket | None = None
    _process: asyncio.subprocess.Process | None = None
    _session: aiohttp.ClientSession | None = None

    async def start(self, port: int, environment: Mapping[str, str], offset: float = 0.0) -> None:
        """Start and wait until the app answers; a taken port raises PortTakenError, a broken app AppFailedError."""
        try:
            # It stays open here while the app is dead, so that nobody else takes the port; who connects then waits.
            self._sock = socket.create_server(("127.0.0.1", port), backlog=1024)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(f"port {port} is taken") from error
            raise
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self._environ = self.environment(environment)
        self.log.write_bytes(b"")
        try:
            await self.start_again(offset)
        except BaseException:
            await self.stop()
            raise

    async def start_again(self, offset: float) -> None:
        """Start what has died: same port, same environment, same log. Raises AppFailedError when it does not answer."""
        if self._sock is None:
            raise AppFailedError("the app was never started")
        await self._end()
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "sandbox.host", "--app", str(self.folder.resolve()), "--attached"]
            options = {"fd": self._sock.fileno(), "offset": offset, "max-wait": NOTICE, "nap": 1.0, "lock": self.lock}
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *(f"--{name}={value}" for name, value in options.items()),
                cwd=_ROOT,
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,  # its end tells the child that this process is gone
                stdout=log,
                stderr=log,
                pass_fds=(self._sock.fileno(),),
                start_new_session=True,  # Ctrl-C reaches this process only, which then ends the child in order
            )
        # A listening socket takes connections before the app is ready; they wait, so one request is enough.
        self._session = aiohttp.ClientSession(trust_env=False)
        await self._ready()

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that the app is given: the shell's, local.settings.json's, the sandbox's, and this."""
        local = self.folder / "local.settings.json"
        values: dict[str, Any] = json.loads(local.read_text("utf-8")).get("Values", {}) if local.exists() else {}
        found = {**os.environ, **{name: str(value) for name, value in values.items()}}
        found.pop(QUEUE, None)  # whose queue that is, the sandbox decides
        own = {name: value for name, value in SETTINGS.items() if QUEUE not in environment or QUEUE not in name}
        if found.get(POLICY_SETTING):
            del own[POLICY_SETTING]  # the user's own, from the shell or from local.settings.json
        return {**found, **own, **environment, KEYS: json.dumps(asdict(self.keys))}

    async def _ready(self) -> None:
        asked = asyncio.create_task(self.call("GET", "/admin/host/status", self.keys.master, seconds=_START_SECONDS))
        ended = asyncio.create_task(self.wait())
        await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
        fine = asked.done() and not asked.exception() and asked.result()[0] == 200  # noqa: PLR2004
        for task in (asked, ended):
            task.cancel()
        await asyncio.gather(asked, ended, return_exceptions=True)
        if not fine:
            await self._end()
            raise AppFailedError(f"the app in {self.folder} did not start:\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of the app's log."""
        return self.log.read_text("utf-8", "replace")[-_TAIL:] if self.log.exists() else ""

    async def call(
        self, method: str, path: str, key: str, body: bytes = b"", *, seconds: float = 300.0
    ) -> tuple[int, bytes]:
        """Send a request to the app; return status and body. A connection that breaks raises aiohttp.ClientError."""
        if self._session is None:
            raise AppFailedError("the app does not run")
        limit = aiohttp.ClientTimeout(total=seconds)
        headers = {"x-functions-key": key}
        async with self._session.request(method, self.url + path, headers=headers, data=body, timeout=limit) as answer:
            return answer.status, await answer.read()

    async def event_functions(self) -> frozenset[str]:
        """Return the names of the app's Event Grid functions."""
        _status, body = await self.call("GET", "/admin/functions", self.keys.master)
        return frozenset(
            one["name"] for one in json.loads(body) if any(b["type"] == "eventGridTrigger" for b in one["bindings"])
        )

    async def set_offset(self, seconds: float) -> None:
        """Let the app's clock run that far ahead of the machine's."""
        body = json.dumps({"offset": seconds}).encode()
        await self.call("POST", "/admin/sandbox/clock", self.keys.master, body)

    def webhook(self, function: str) -> str:
        """Return the URL that Event Grid posts to for a function."""
        query = urlencode({"functionName": function, "code": self.keys.event_grid})
        return f"{self.url}/runtime/webhooks/eventgrid?{query}"

    @property
    def policy(self) -> str:
        """Return which policy the app goes by: a file, or a blob's URL."""
        return self._environ.get(POLICY_SETTING, "")

    @property
    def pid(self) -> int | None:
        """Return the number of the app's process; None while there is none."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    def kill(self) -> None:
        """End the app as a crash does: at once, with nothing put away."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until the app's process ends; return its exit code."""
        return await self._process.wait() if self._process is not None else 0

    async def stop(self) -> None:
        """End the app: in order, and by force when that takes too long."""
        await self._end()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _end(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None
