"""The function host without a server: requests and events go in as values, so it also runs under virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from azure.core.exceptions import AzureError

from sandbox.host import webhook
from sandbox.host.functions import Binding, Function
from sandbox.host.hostjson import HostError, HostOptions, read_host_json
from sandbox.host.keys import Keys
from sandbox.host.messages import InvocationResponse, RpcHttp, TypedData
from sandbox.host.outputs import Outputs, wire_texts
from sandbox.host.routes import Routes
from sandbox.host.worker import FunctionFailed, Worker

logger = logging.getLogger("sandbox.host")

HOME = b"Your Functions 4.0 app is up and running (in the sandbox)"


@dataclass(frozen=True)
class HttpAnswer:
    """What the host answers an HTTP request with."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, payload: Any, status: int = 200) -> HttpAnswer:
        """Answer with JSON."""
        return cls(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(payload).encode())

    @classmethod
    def not_here(cls, message: str) -> HttpAnswer:
        """Answer 501 for what this host does not do."""
        return cls.of({"error": {"code": "NotInSandbox", "message": message}}, 501)


class FunctionHost:
    """Loads an app and runs its functions; knows no socket, no queue service and no clock.

    `settings` are the app settings that %NAME% in bindings refers to (the environment is the process's business),
    `ids` gives invocation ids, `outputs` writes a text to a queue for output bindings; without it, an app that has
    some is refused.
    """

    def __init__(
        self,
        app_dir: Path,
        *,
        settings: Mapping[str, str],
        ids: Callable[[], str],
        keys: Keys | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        self.app_dir = app_dir
        self.keys = keys or Keys()
        self.options = HostOptions()
        self.functions: dict[str, Function] = {}
        self._settings = settings
        self._ids = ids
        self._outputs = outputs
        self._worker = Worker(app_dir)
        self._routes = Routes("", ())
        self._by_hand: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Load the app. No functions, an error while indexing or a wrong host.json raises HostError."""
        self.options = read_host_json(self.app_dir)
        found = await self._worker.start(self._settings)
        self.functions = {name: one for name, one in found.items() if not self._is_disabled(name)}
        try:
            self._routes = Routes(self.options.route_prefix, self.functions.values())
            if self._outputs is None:
                self._refuse_outputs()
        except HostError:
            await self.stop()
            raise
        logger.info("Found the following functions: %s", ", ".join(sorted(self.functions)))

    def _is_disabled(self, name: str) -> bool:
        """Return whether an app setting switches the function off, in either spelling that Azure takes."""
        spellings = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs__{name}__Disabled")
        return any(self._settings.get(one, "").lower() in {"1", "true"} for one in spellings)

    def _refuse_outputs(self) -> None:
        for function in self.functions.values():
            for one in function.bindings:
                if one["type"] == "queue":
                    raise HostError(
                        f"function {function.name} writes to queue {one['queueName']}: no client for it here"
                    )

    async def stop(self) -> None:
        """Wait for what was started by hand, then unload the app; another host may start in this process afterwards."""
        while self._by_hand:
            await asyncio.wait(list(self._by_hand.values()))
        self._worker.stop()
        self.functions = {}
        self._routes = Routes("", ())

    async def run(
        self, name: str, value: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> InvocationResponse:
        """Run a function on its trigger's value, then write its outputs; any failure raises FunctionFailed."""
        function = self.functions[name]
        call_id = self._ids()
        logger.info("Executing 'Functions.%s' (Id=%s)", name, call_id)
        try:
            response = await self._worker.invoke(function, call_id, value, metadata)
            for one in response.output_data:
                await self._write(function.output(one.name), one.data)
        except FunctionFailed as failure:
            logger.warning("Executed 'Functions.%s' (Failed, Id=%s)\n%s", name, call_id, failure.trace or failure)
            raise
        logger.info("Executed 'Functions.%s' (Succeeded, Id=%s)", name, call_id)
        return response

    async def _write(self, binding: Binding, value: TypedData) -> None:
        if self._outputs is not None and binding["type"] == "queue":
            try:
                for text in wire_texts(value, base64=self.options.queues.base64):
                    await self._outputs(binding, text)
            except AzureError as error:
                raise FunctionFailed(f"output {binding['name']}: {error}") from error

    async def http(
        self, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """Answer a request; `path` is percent-encoded and without a query, `query` is decoded."""
        headers = {name.lower(): value for name, value in headers.items()}
        method = method.upper()
        match path.lower().strip("/").split("/"):
            case [""]:
                return HttpAnswer(200, {"Content-Type": "text/plain"}, HOME)
            case ["runtime", "webhooks", "eventgrid"]:
                return await self._webhook(method, headers, query, body)
            case ["admin", *_]:
                allowed = self.keys.opens("admin", headers, query)
                return self._admin(method, path.strip("/").split("/")[1:], body) if allowed else HttpAnswer(401)
        found = self._routes.find(method, path)
        if found is None:
            return HttpAnswer(404)
        function, params = found
        if not self.keys.opens(str(function.trigger.get("authLevel") or "function").lower(), headers, query):
            return HttpAnswer(401)
        url = f"http://{headers.get('host', 'localhost')}{path}" + (f"?{urlencode(query)}" if query else "")
        content = TypedData(bytes=body)
        return await self._call(
            function, RpcHttp(method=method, url=url, headers=headers, params=params, query=query, body=content)
        )

    async def _call(self, function: Function, request: RpcHttp) -> HttpAnswer:
        try:
            response = await self.run(function.name, TypedData(http=request))
        except FunctionFailed:
            return HttpAnswer(500)
        value = response.return_value
        kind = value.WhichOneof("data") if value is not None else None
        if value is None or kind is None:
            return HttpAnswer(204)
        if kind != "http":  # a plain str was returned
            return HttpAnswer(200, {"Content-Type": "text/plain; charset=utf-8"}, str(getattr(value, kind)).encode())
        if value.http.cookies:
            return HttpAnswer.not_here("Cookies are not passed on.")
        return HttpAnswer(int(value.http.status_code), dict(value.http.headers), value.http.body.bytes)

    async def _webhook(
        self, method: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        if not self.keys.opens("event_grid", headers, query):
            return HttpAnswer(401)
        if method != "POST":
            return HttpAnswer(400)
        return await self.event_grid(query.get("functionName", ""), headers, body)

    async def event_grid(self, function_name: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Answer a delivery of Event Grid (lower-case header names) whose key was checked already."""
        function = self.functions.get(function_name)
        if function is None or function.kind != "eventGridTrigger":
            return HttpAnswer(404)

        async def deliver(event: Any) -> None:
            await self.run(function_name, TypedData(json=json.dumps(event, ensure_ascii=False)))

        status, payload = await webhook.receive(headers.get("aeg-event-type", ""), body, deliver)
        return HttpAnswer(status) if payload is None else HttpAnswer.of(payload, status)

    def _admin(self, method: str, parts: list[str], body: bytes) -> HttpAnswer:
        match method, parts:
            case "GET", ["host", "status"]:
                return HttpAnswer.of({"id": self.app_dir.name, "state": "Running", "version": "4.0"})
            case "GET", ["functions"]:
                return HttpAnswer.of([{"name": one.name, "bindings": one.bindings} for one in self.functions.values()])
            case "POST", ["functions", name] if name in self.functions:
                return self._start_by_hand(self.functions[name], body)
            case _:
                return HttpAnswer(404)

    def _start_by_hand(self, function: Function, body: bytes) -> HttpAnswer:
        """Start a function with {"input": "..."}: 202 at once, as the real host does."""
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            return HttpAnswer(400)
        text = str(given.get("input") or "") if isinstance(given, dict) else ""
        match function.kind:
            case "httpTrigger":
                return HttpAnswer.not_here("Call an HTTP function by its route.")
            case "timerTrigger":
                work = self.fire_timer(function.name)
            case "queueTrigger":
                work = self._quietly(function.name, TypedData(string=text))
            case _:
                work = self._quietly(function.name, TypedData(json=text))
        call_id = self._ids()
        task = asyncio.create_task(work)
        self._by_hand[call_id] = task
        task.add_done_callback(lambda _task: self._by_hand.pop(call_id))
        return HttpAnswer(202)

    async def fire_timer(self, name: str, *, past_due: bool = False, status: Mapping[str, Any] | None = None) -> None:
        """Run a timer function now; a failure is logged and nothing else, as the real host does."""
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status or None, "IsPastDue": past_due}
        await self._quietly(name, TypedData(json=json.dumps(info)))

    async def _quietly(self, name: str, value: TypedData) -> None:
        try:
            await self.run(name, value)
        except FunctionFailed as failure:
            logger.info("%s failed: %s", name, failure)
