"""The whole app: function_app.py under Microsoft's worker, its queues, timer and Event Grid, in virtual time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import parse_qsl

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.queue.aio import QueueClient

from sandbox.cloud import Cloud
from sandbox.eventgrid.subscriptions import Subscriptions
from sandbox.eventgrid.topics import received
from sandbox.host import FunctionHost, HttpAnswer, Keys, QueueListener, TimerListener
from sandbox.identity import identity_header, issue
from sandbox.postman import in_process
from sandbox.queues import messages
from sandbox.stage import Stage
from sandbox.transport import IDENTITY_ENDPOINT, InProcessTransport
from sandbox.virtual import VirtualClock, run
from sandbox.wire import Answer, Call
from sandbox.world import Hooks, World
from tests.support.azure import QUEUE_URI, START, TOPIC, body_of, calls_of, version_in_use
from tests.support.watching import Line, Tried, Watched, collecting

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
QUEUE_ACCOUNT = "cmkautopilot"
QUEUE, POISON = "cmk-work", "cmk-work-poison"
KEYS = Keys("master-key", "function-key", "event-grid-key")
GRID, CLOUD = "EventGridSchema", "CloudEventSchemaV1_0"
_CONTENT = {GRID: "application/json; charset=utf-8", CLOUD: "application/cloudevents+json; charset=utf-8"}
_CALM = 3.0  # seconds without anything to do


@dataclass(frozen=True)
class Replied:
    """An HTTP answer of the app."""

    status: int
    kind: str
    body: Any

    def is_problem(self, status: int, reason: str) -> bool:
        """Return whether this is an answer by RFC 9457, with our reason and remedy, of a readable length."""
        told = self.body
        if self.kind != "application/problem+json" or not isinstance(told, dict):
            return False
        named = {"type", "title", "status", "detail", "reason", "remedy"} <= told.keys()
        filled = named and all(told[name] for name in ("type", "title", "remedy"))
        fits = self.status == told["status"] == status and told["reason"] == reason
        return filled and fits and len(json.dumps(told)) < 2000


class WholeApp:
    """One Azure, one Event Grid and one running app with its listeners."""

    def __init__(self, clock: VirtualClock, described: dict[str, Any], environ: dict[str, str]) -> None:
        self.stage: Stage
        self.lines: list[Line] = []
        self.arrived: list[Call] = []  # every request to Azure, the host's own to its queues among them
        self.tried: list[Tried] = []  # every request of the app, wherever it went
        numbers = count()
        self.host = FunctionHost(ROOT, settings=environ, ids=lambda: f"call-{next(numbers)}", keys=KEYS)
        self._carry = in_process(self.host)
        self._carried = 0  # deliveries on their way to the app
        self.stage = Stage(described, post=self._post, clock=clock)
        self._watch_calls()
        self._listeners: list[QueueListener] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def world(self) -> World:
        """Azure's own state."""
        return self.stage.world

    @property
    def events(self) -> Subscriptions:
        """What Event Grid has to deliver."""
        return self.stage.pump.subscriptions

    def _watch_calls(self) -> None:
        """Keep every request as it arrives: headers and bodies too, which the call log leaves out."""
        inner = self.world.hooks

        def before(call: Call) -> Answer | None:
            self.arrived.append(call)
            return inner.before(call)

        self.world.hooks = Hooks(before, inner.after)

    async def start(self) -> None:
        """Load the app, hand it this Azure, and begin to listen."""
        await self.host.start()
        # The host has imported the app's modules anew. The app builds itself at the first call, from the environment;
        # only its way out is ours.
        fresh = sys.modules["shared.bootstrap"]
        way_out = partial(Watched, Cloud(self.world), self.tried)
        own = partial(ManagedIdentityCredential, transport=way_out())
        made = partial(fresh.build, make_transport=way_out, make_credential=own)
        vars(fresh)["build"] = made
        self.stage.app_runs(frozenset(self.host.functions))
        self.stage.start()
        self._listeners = [QueueListener(self.host, name, self.queue) for name in ("work", "poison")]
        running = [one.run() for one in self._listeners]
        if "sweep" in self.host.functions:
            running.append(TimerListener(self.host, "sweep", now=self.world.now).run())
        self._tasks = [asyncio.create_task(one) for one in running]

    async def stop(self) -> None:
        """End the app and Event Grid."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            await listener.drain()
        await self.stage.stop()
        await self.host.stop()

    async def _post(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        self._carried += 1
        try:
            return await self._carry(endpoint, headers, body)
        finally:
            self._carried -= 1

    def queue(self, name: str) -> QueueClient:
        """Return a client of one of the app's queues, as the host has it."""
        transport = InProcessTransport(Cloud(self.world))
        return QueueClient(
            QUEUE_URI, name, credential=ManagedIdentityCredential(transport=transport), transport=transport
        )

    async def run_until_quiet(self, ahead: timedelta = timedelta(0)) -> None:
        """Let time pass until no event is on its way and no message is due, now or within `ahead`."""
        end = self.world.now() + ahead
        calm = 0.0
        while calm < _CALM:
            due = self._next_due()
            if not self._is_busy() and due is not None and due <= end:
                await asyncio.sleep(max(0.5, (due - self.world.now()).total_seconds()))
            else:
                await asyncio.sleep(0.5)
            calm = 0.0 if self._is_busy() else calm + 0.5

    async def pass_time(self, span: timedelta) -> None:
        """Let time pass, whatever happens."""
        await asyncio.sleep(span.total_seconds())

    def _is_busy(self) -> bool:
        due = self._next_due()
        running = self._carried or any(one.running for one in self._listeners)
        return bool(running) or (due is not None and due <= self.world.now())

    def _next_due(self) -> datetime | None:
        due = self.events.due()
        moments = [one.visible for name in (QUEUE, POISON) for one in messages(self.world, QUEUE_ACCOUNT, name)]
        moments += [] if due is None else [due]
        return datetime.fromtimestamp(min(moments), UTC) if moments else None

    def queued(self, name: str = QUEUE) -> int:
        """Return how many messages a queue holds, hidden ones too."""
        return len(messages(self.world, QUEUE_ACCOUNT, name))

    async def get(self, path: str, *, key: str = KEYS.function) -> Replied:
        """Ask the app; the path may have a query."""
        route, _, query = path.partition("?")
        wanted = dict(parse_qsl(query))
        return _replied(await self.host.http("GET", f"/api/{route}", {"x-functions-key": key}, wanted))

    async def post(self, path: str, body: Any, *, key: str = KEYS.function, **headers: str) -> Replied:
        """Post JSON, or bytes as they are; the path may have a query."""
        route, _, query = path.partition("?")
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        wanted = dict(pair.split("=") for pair in query.split("&") if pair)
        sent = {"x-functions-key": key, "content-type": "application/json", **headers}
        return _replied(await self.host.http("POST", f"/api/{route}", sent, wanted, raw))

    async def deliver(
        self, raw: bytes | str | list[Any] | dict[str, Any], schema: str = GRID, *, to: str = "key_events"
    ) -> int:
        """Post a body to the Event Grid webhook and return the host's status."""
        body = raw if isinstance(raw, bytes) else (raw if isinstance(raw, str) else json.dumps(raw)).encode()
        headers = {"aeg-event-type": "Notification", "content-type": _CONTENT[schema]}
        query = {"functionName": to, "code": KEYS.event_grid}
        return (await self.host.http("POST", "/runtime/webhooks/eventgrid", headers, query, body)).status

    def rotate(self, name: str = "cmk", vault: str = "kv-main") -> str:
        """Rotate a key through the vault's own API, as somebody else; return the new version."""
        return str(self.other_hand("POST", f"https://{vault}.vault.azure.net/keys/{name}/rotate?api-version=7.4"))

    def other_hand(self, method: str, url: str, body: Any = None) -> Any:
        """Do something to Azure as somebody who is not the app; for a key, return its version."""
        arm = "management.azure.com" in url
        audience = "https://management.azure.com/" if arm else "https://vault.azure.net"
        token, _ = issue(self.world, "another-hand", audience, self.world.tenant_id)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = Cloud(self.world).answer(Call(method, url, headers, json.dumps(body or {}).encode()))
        assert answer.status < 300, answer.body
        told = answer.json() if answer.body else {}
        return str(told["key"]["kid"]).rpartition("/")[2] if "key" in told else told

    def point_at(self, resource: dict[str, Any], version: str) -> None:
        """Set the version an account names, through Azure Resource Manager, by another hand than the app's."""
        encryption = resource["properties"]["encryption"]
        key = {**encryption["keyvaultproperties"], "keyversion": version}
        body = {"properties": {"encryption": {**encryption, "keyvaultproperties": key}}}
        self.other_hand("PATCH", arm_url(str(resource["id"])), body)

    def body(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return a resource as it is stored now."""
        return body_of(self.world, resource)

    def in_use(self, resource: dict[str, Any]) -> str:
        """Return the version in effect, from the sandbox's own state."""
        return version_in_use(self.world, resource)

    def calls(self, *kinds: str) -> list[str]:
        """Return the calls of these kinds, as "METHOD url"."""
        return calls_of(self.world, *kinds)

    def outcomes(self) -> list[dict[str, Any]]:
        """Return what the outcome topic received."""
        return received(self.world, TOPIC)

    def logged(self, logger: str = "cmk") -> list[str]:
        """Return the lines of one logger."""
        return [line.text for line in self.lines if line.logger == logger]


def break_reads(app: WholeApp, times: float) -> list[str]:
    """Have the next reads of an account end in an error that no SDK has a name for; return them as they happen."""
    inner, broken = app.world.hooks, list[str]()

    def before(call: Call) -> Answer | None:
        if call.method == "GET" and call.path.endswith("/st1") and len(broken) < times:
            broken.append(call.path)
            raise RuntimeError("a bug somewhere")
        return inner.before(call)

    app.world.hooks = Hooks(before, inner.after)
    return broken


def arm_url(id_: str) -> str:
    """Return where a resource is managed."""
    return f"https://management.azure.com{id_}?api-version=2025-06-01"


def _replied(answer: HttpAnswer) -> Replied:
    kind = next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")
    is_json = "json" in kind
    return Replied(answer.status, kind.partition(";")[0], json.loads(answer.body) if is_json else answer.body)


def with_app(
    described: dict[str, Any],
    story: Callable[[WholeApp], Coroutine[Any, Any, T]],
    *,
    environ: dict[str, str] | None = None,
    start: datetime = START,
) -> T:
    """Run a story with the app up, in virtual time."""
    settings = {
        "AzureWebJobsStorage__queueServiceUri": QUEUE_URI,
        "CMK_OUTCOME_TOPIC": f"https://{TOPIC}/api/events",
        **(environ or {}),
    }

    async def main(clock: VirtualClock) -> T:
        app = WholeApp(clock, described, settings)
        identity = {"IDENTITY_ENDPOINT": IDENTITY_ENDPOINT, "IDENTITY_HEADER": identity_header(app.world)}
        with mock.patch.dict(os.environ, {**settings, **identity}), collecting(app.lines):
            await app.start()
            try:
                return await story(app)
            finally:
                await app.stop()

    return run(main, start=start)
