"""`python3.11 -m tools.python311.calls`: load the app, call every function, print one JSON object.

Expects the sandbox's environment. Runs Microsoft's code from `azure-functions-runtime` (see check.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from sandbox.host import FunctionHost, Keys
from sandbox.host.messages import TypedData, moment, text
from sandbox.host.worker import FunctionFailed

_ROOT = Path(__file__).resolve().parents[2]
_GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-data/providers"
VAULT = f"{_GROUP}/Microsoft.KeyVault/vaults/kv-main"
ACCOUNT = f"{_GROUP}/Microsoft.Storage/storageAccounts/stledger"
_KEY = "https://kv-main.vault.azure.net/keys/cmk"
_TIME = "2026-05-01T08:00:00Z"
_KEY_DATA = {"VaultName": "kv-main", "ObjectType": "Key", "ObjectName": "cmk", "Version": "b2" * 16, "Id": _KEY}
_WRITE_DATA = {"resourceUri": ACCOUNT, "operationName": "Microsoft.Storage/storageAccounts/write"}


def _events(type_: str, source: str, subject: str, data: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return one event in both schemas."""
    common = {"id": str(uuid4()), "subject": subject, "data": data}
    return {
        "event grid schema": common
        | {"topic": source, "eventType": type_, "eventTime": _TIME, "dataVersion": "1", "metadataVersion": "1"},
        "cloud events": common | {"source": source, "type": type_, "time": _TIME, "specversion": "1.0"},
    }


class Calls:
    """Calls functions of a host and keeps what came of each."""

    def __init__(self, host: FunctionHost) -> None:
        self.rows: list[dict[str, Any]] = []
        self._host = host

    async def _note(self, function: str, case: str, expected: int | str, call: Callable[[], Awaitable[Any]]) -> Any:
        begun = time.perf_counter()
        got: int | str = "ok"
        answer: Any = None
        try:
            answer = await call()
            got = getattr(answer, "status", "ok")
        except FunctionFailed as failure:
            got = f"failed: {failure}"
        spent = round((time.perf_counter() - begun) * 1000, 1)
        row = {"function": function, "case": case, "expected": expected, "got": got, "milliseconds": spent}
        self.rows.append({**row, "fine": got == expected})
        return answer

    async def http(self, name: str, case: str, expected: int, body: Any = None, **query: str) -> Any:
        """Send a request to a route; return the JSON of the answer."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"x-functions-key": self._host.keys.function}
        method = "GET" if body is None else "POST"
        answer = await self._note(
            name,
            case,
            expected,
            lambda: self._host.http(method, f"/api/{name.replace('_', '-')}", headers, query, content),
        )
        return json.loads(answer.body) if answer.body else None

    async def event(self, name: str, case: str, body: Any) -> None:
        """Deliver events as Event Grid's webhook does."""
        headers = {"aeg-event-type": "Notification"}
        content = json.dumps(body).encode()
        await self._note(name, case, 202, lambda: self._host.event_grid(name, headers, content))

    async def message(self, name: str, case: str, content: str) -> None:
        """Hand a queue message to its function."""
        numbers = {"Id": text(str(uuid4())), "DequeueCount": TypedData(json="1"), "PopReceipt": text("receipt")}
        times = dict.fromkeys(("InsertionTime", "ExpirationTime", "NextVisibleTime"), moment(datetime.now(UTC)))
        await self._note(name, case, "ok", lambda: self._host.run(name, text(content), numbers | times))

    async def timer(self, name: str) -> None:
        """Let a timer function run."""
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        await self._note(name, "due", "ok", lambda: self._host.run(name, TypedData(json=json.dumps(info))))


def _message(answer: dict[str, Any]) -> str:
    """Return the queue message of the item that an answer tells of: the queue's names are the code's own."""
    item = {re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", name): value for name, value in answer["item"].items()}
    item["cause"] = {"id": item["cause"]["id"], "source": item["cause"]["source"]}
    return json.dumps({"v": 1, "item": item})


async def _story(calls: Calls) -> None:
    await calls.http("health", "first call", 200)
    await calls.http("health", "second call", 200)
    planned = await calls.http("converge", "dry run", 200, {"resource": ACCOUNT, "dryRun": True})
    put = await calls.http("converge", "a resource", 202, {"resource": ACCOUNT})
    await calls.http("converge", "nothing named", 400, {})
    await calls.http("enforce", "dry run", 200, {"resource": ACCOUNT, "dryRun": True})
    await calls.http("rotate", "dry run", 200, {"key": _KEY, "dryRun": True})
    await calls.http("rotate", "a key", 202, {"key": _KEY})
    await calls.http("use_key", "dry run", 200, {"resource": ACCOUNT, "version": "follow", "dryRun": True})
    await calls.http("revert", "not confirmed", 400, {"resource": ACCOUNT})
    await calls.http("revoke", "dry run", 200, {"resource": ACCOUNT, "dryRun": True})
    await calls.http("revoke", "not confirmed", 400, {"resource": ACCOUNT})
    await calls.http("audit", "dry run", 200, {"vault": VAULT, "dryRun": True})
    await calls.http("audit", "a vault", 202, {"vault": VAULT})
    key_events = _events("Microsoft.KeyVault.KeyNewVersionCreated", VAULT, "cmk", _KEY_DATA)
    writes = _events("Microsoft.Resources.ResourceWriteSuccess", _GROUP.rpartition("/")[0], ACCOUNT, _WRITE_DATA)
    await calls.http("replay", "dry run", 200, list(key_events.values()), dryRun="true")
    await calls.http("replay", "two events", 202, list(writes.values()))
    for name, events in (("key_events", key_events), ("resource_events", writes)):
        for schema, one in events.items():
            await calls.event(name, schema, one)
        await calls.event(name, "no event", [{"id": "1"}])
    for case, answer in (("a resource that is behind", put), ("a resource, again", planned)):
        await calls.message("work", case, _message(answer))
    await calls.message("poison", "a work item", _message(put))
    await calls.message("poison", "no work item", "?")
    await calls.http("evidence", "the last day", 200)
    await calls.http("evidence", "no number", 400, limit="x")
    await calls.timer("sweep")


async def main() -> int:
    """Run all; 0 even when calls failed: what came of each is in the output."""
    host = FunctionHost(_ROOT, settings=dict(os.environ), ids=lambda: str(uuid4()), keys=Keys())
    await host.start()
    calls = Calls(host)
    try:
        functions = sorted(host.functions)
        await _story(calls)
    finally:
        await host.stop()
    versions = {name: version(name) for name in ("azure-functions", "azure-functions-runtime")}
    found = {"python": platform.python_version(), "versions": versions, "functions": functions, "rows": calls.rows}
    sys.stdout.write(f"RESULT {json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
