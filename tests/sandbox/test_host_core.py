import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sandbox.host import FunctionHost, HostError, Keys

KEYS = Keys("master", "function", "grid")
WITH_KEY = {"x-functions-key": "function"}
HOST_JSON = {"version": "2.0"}
APP = """
from __future__ import annotations
import asyncio, json
import azure.functions as func
from helper import shout

app = func.FunctionApp()
seen = []

@app.route("things/{kind}/{id:int?}", methods=["GET", "POST"])
async def things(req: func.HttpRequest) -> func.HttpResponse:
    body = {"route": dict(req.route_params), "query": dict(req.params), "body": req.get_body().decode(), "url": req.url}
    return func.HttpResponse(json.dumps(body), status_code=201, headers={"X-Made": shout("yes")})

@app.route("things/special", auth_level=func.AuthLevel.ANONYMOUS)
def special(req: func.HttpRequest) -> str:
    return "sync"

@app.route("locked", auth_level=func.AuthLevel.ADMIN)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)

@app.route("broken")
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("no")

@app.event_grid_trigger("event")
async def key_events(event: str) -> None:
    parsed = json.loads(event)
    seen.append(("begin", parsed["id"]))
    await asyncio.sleep(0)
    seen.append(("end", parsed["id"]))
    if parsed["id"] == "bad":
        raise ValueError("cannot")

@app.timer_trigger("timer", "%SWEEP%")
async def sweep(timer: func.TimerRequest) -> None:
    seen.append(("timer", timer.past_due))

@app.route("seen")
async def show(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(seen))
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "host.json").write_text(json.dumps(HOST_JSON))
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "helper.py").write_text("def shout(text):\n    return text.upper()\n")
    return tmp_path


def run(app: Path, work: Callable[[FunctionHost], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        numbers = count()
        settings = {"SWEEP": "0 0 * * * *"}
        host = FunctionHost(app, settings=settings, ids=lambda: f"call-{next(numbers)}", keys=KEYS)
        await host.start()
        try:
            return await work(host)
        finally:
            await host.stop()

    return asyncio.run(main())


def test_a_route_gets_its_parameters_query_and_body(app: Path) -> None:
    async def work(host: FunctionHost) -> None:
        headers = {**WITH_KEY, "Host": "here:7071"}
        answer = await host.http("POST", "/api/things/a%20b/7", headers, {"q": "1 2"}, b"text")
        assert answer.status == 201
        assert answer.headers["X-Made"] == "YES"
        assert json.loads(answer.body) == {
            "route": {"kind": "a b", "id": "7"},
            "query": {"q": "1 2"},
            "body": "text",
            "url": "http://here:7071/api/things/a%20b/7?q=1+2",
        }
        assert (await host.http("GET", "/API/Things/x", WITH_KEY, {})).status == 201

    run(app, work)


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/api/things/x", None, 401),
        ("GET", "/api/things/x", "wrong", 401),
        ("GET", "/api/things/x", "grid", 401),
        ("GET", "/api/things/x", "master", 201),
        ("GET", "/api/things/x/word", "function", 404),
        ("GET", "/api/things/special", None, 200),
        ("PUT", "/api/things/x", "function", 404),
        ("GET", "/api/nothing", "function", 404),
        ("GET", "/things/x", "function", 404),
        ("GET", "/api/locked", "function", 401),
        ("GET", "/api/locked", "master", 204),
        ("GET", "/api/broken", "function", 500),
        ("GET", "/admin/host/status", "master", 200),
        ("GET", "/admin/host/status", "function", 401),
        ("POST", "/admin/functions/nobody", "master", 404),
        ("POST", "/admin/functions/special", "master", 501),
    ],
)
def test_the_host_answers_as_azures_does(app: Path, method: str, path: str, key: str | None, status: int) -> None:
    async def work(host: FunctionHost) -> None:
        assert (await host.http(method, path, {"X-Functions-Key": key} if key else {}, {})).status == status
        assert (await host.http(method, path, {}, {"code": key} if key else {})).status == status

    run(app, work)


GOOD = {"id": "1", "eventType": "x"}
BAD = {"id": "bad"}
VALIDATION = {"data": {"validationCode": "abc"}}


@pytest.mark.parametrize(
    ("kind", "body", "status", "answer"),
    [
        ("SubscriptionValidation", [VALIDATION], 200, {"validationResponse": "abc"}),
        ("SubscriptionValidation", {"data": '{"validationCode": "abc"}'}, 200, {"validationResponse": "abc"}),
        ("SubscriptionValidation", [], 400, None),
        ("Notification", [GOOD], 202, None),
        ("Notification", GOOD, 202, None),
        ("Notification", [GOOD, BAD], 500, {"error": "ValueError: cannot"}),
        ("Unsubscribe", [], 202, None),
        ("SubscriptionDeletion", [GOOD], 400, None),
        ("", [GOOD], 400, None),
    ],
)
def test_the_event_grid_webhook_answers_by_event_type(
    app: Path, kind: str, body: Any, status: int, answer: Any
) -> None:
    async def work(host: FunctionHost) -> None:
        query = {"functionName": "key_events", "code": "grid"}
        headers = {"aeg-event-type": kind} if kind else {}
        got = await host.http("POST", "/runtime/webhooks/EventGrid", headers, query, json.dumps(body).encode())
        assert got.status == status
        assert answer is None or json.loads(got.body) == answer

    run(app, work)


@pytest.mark.parametrize(
    ("function", "code", "status"),
    [
        ("key_events", "", 401),
        ("key_events", "function", 401),
        ("key_events", "master", 202),
        ("nobody", "grid", 404),
        ("sweep", "grid", 404),
    ],
)
def test_the_event_grid_webhook_wants_its_key_and_a_function_it_knows(
    app: Path, function: str, code: str, status: int
) -> None:
    async def work(host: FunctionHost) -> None:
        query = {"functionName": function, "code": code}
        headers = {"aeg-event-type": "Notification"}
        assert (await host.http("POST", "/runtime/webhooks/eventgrid", headers, query, b"[]")).status == status

    run(app, work)


def test_the_events_of_one_body_run_side_by_side(app: Path) -> None:
    async def work(host: FunctionHost) -> Any:
        body = json.dumps([{"id": "1"}, {"id": "2"}]).encode()
        await host.event_grid("key_events", {"aeg-event-type": "Notification"}, body)
        return json.loads((await host.http("GET", "/api/seen", WITH_KEY, {})).body)

    assert run(app, work) == [["begin", "1"], ["begin", "2"], ["end", "1"], ["end", "2"]]


def test_a_function_is_started_by_hand_with_the_master_key(app: Path) -> None:
    async def work(host: FunctionHost) -> Any:
        master = {"x-functions-key": "master"}
        event = json.dumps({"input": json.dumps({"id": "9"})}).encode()
        assert (await host.http("POST", "/admin/functions/sweep", master, {}, b'{"input": ""}')).status == 202
        assert (await host.http("POST", "/admin/functions/key_events", master, {}, event)).status == 202
        assert (await host.http("POST", "/admin/functions/sweep", WITH_KEY, {})).status == 401
        await asyncio.sleep(0.01)
        return json.loads((await host.http("GET", "/api/seen", WITH_KEY, {})).body)

    assert run(app, work) == [["timer", False], ["begin", "9"], ["end", "9"]]


def test_the_route_prefix_comes_from_host_json(app: Path) -> None:
    (app / "host.json").write_text(json.dumps({**HOST_JSON, "extensions": {"http": {"routePrefix": ""}}}))

    async def work(host: FunctionHost) -> None:
        assert (await host.http("GET", "/things/special", {}, {})).status == 200

    run(app, work)


def test_two_hosts_one_after_the_other_begin_with_a_fresh_app_and_leave_nothing_behind(app: Path) -> None:
    async def work(host: FunctionHost) -> Any:
        await host.event_grid("key_events", {"aeg-event-type": "Notification"}, json.dumps(GOOD).encode())
        return json.loads((await host.http("GET", "/api/seen", WITH_KEY, {})).body)

    before = list(sys.path)
    assert run(app, work) == run(app, work) == [["begin", "1"], ["end", "1"]]
    assert sys.path == before
    assert not {"function_app", "helper"} & set(sys.modules)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import azure.functions as func\napp = func.FunctionApp()\n", "no functions found"),
        ("import nothing_of_this_name\n", "cannot be loaded"),
        (APP.replace("%SWEEP%", "%NOT_SET%"), "%NOT_SET% names an app setting that is not set"),
        (APP.replace("things/special", "a{b}c"), "cannot match the route part"),
        (
            APP.replace('timer_trigger("timer", "%SWEEP%")', 'blob_trigger("timer", "path", "connection")').replace(
                "TimerRequest", "InputStream"
            ),
            "no binding blobTrigger",
        ),
    ],
)
def test_an_app_that_cannot_work_is_refused_with_the_reason(app: Path, code: str, message: str) -> None:
    (app / "function_app.py").write_text(code)

    async def work(_: FunctionHost) -> None: ...

    with pytest.raises(HostError, match=message):
        run(app, work)
    assert "function_app" not in sys.modules


@pytest.mark.parametrize(
    ("host_json", "message"),
    [
        ("{", "host.json"),
        ("{}", "version"),
        ('{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}', "batchSize"),
        ('{"version": "2.0", "extensions": {"queues": {"maxDequeueCount": 0}}}', "maxDequeueCount"),
        ('{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "soon"}}}', "time span"),
        ('{"version": "2.0", "extensions": {"queues": {"messageEncoding": "rot13"}}}', "messageEncoding"),
    ],
)
def test_a_wrong_host_json_is_refused_with_the_reason(app: Path, host_json: str, message: str) -> None:
    (app / "host.json").write_text(host_json)

    async def work(_: FunctionHost) -> None: ...

    with pytest.raises(HostError, match=message):
        run(app, work)
