import asyncio
import base64
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from azure.identity.aio import ManagedIdentityCredential
from azure.keyvault.keys.aio import KeyClient
from azure.storage.queue.aio import QueueClient

from sandbox.host import FunctionHost, Keys, QueueListener, TimerListener
from sandbox.host.functions import Binding
from sandbox.host.outputs import send
from sandbox.identity import identity_header
from sandbox.postman import in_process
from sandbox.stage import Stage
from sandbox.transport import IDENTITY_ENDPOINT, InProcessTransport
from sandbox.virtual import VirtualClock
from sandbox.virtual import run as run_virtually

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-one"
ESTATE = {
    "subscriptions": [{"subscriptionId": SUBSCRIPTION, "displayName": "one"}],
    "resources": [
        {"id": VAULT, "location": "westeurope", "properties": {"vaultUri": "https://kv-one.vault.azure.net/"}},
    ],
    "keys": {"kv-one": [{"name": "k", "versions": [{"version": "0" * 32, "created": "2026-01-01T00:00:00Z"}]}]},
}
APP = """
import json
from datetime import UTC, datetime
import azure.functions as func

app = func.FunctionApp()
seen = []

@app.event_grid_trigger("event")
@app.queue_output("out", "work", "Store")
async def key_events(event: str, out: func.Out[str]) -> None:
    out.set(json.loads(event)["data"]["Version"])

@app.queue_trigger("msg", "work", "Store")
async def work(msg: func.QueueMessage) -> None:
    seen.append([msg.get_body().decode(), datetime.now(UTC).isoformat()])

@app.timer_trigger("timer", "0 0 */6 * * *")
async def sweep(timer: func.TimerRequest) -> None:
    seen.append(["timer", datetime.now(UTC).isoformat()])

@app.route("seen", auth_level=func.AuthLevel.ANONYMOUS)
async def show(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(seen))
"""


def _day(app: Path) -> tuple[Any, list[str]]:
    """Rotate a key, let a day pass, and return what the app saw and the request log."""

    async def main(clock: VirtualClock) -> tuple[Any, list[str]]:
        def queue(name: str) -> QueueClient:
            key = {"account_name": "cmk", "account_key": base64.b64encode(b"any").decode()}
            return QueueClient("https://cmk.queue.core.windows.net", name, credential=key, transport=transport)

        async def write(binding: Binding, text: str) -> None:
            await send(queue(binding["queueName"]), text)

        numbers = count()
        host = FunctionHost(app, settings={}, ids=lambda: str(next(numbers)), keys=Keys("m", "f", "e"), outputs=write)
        stage = Stage(ESTATE, post=in_process(host), clock=clock)
        transport = InProcessTransport(stage.cloud)
        await host.start()
        stage.app_runs(frozenset(host.functions))
        stage.start()
        listeners = [QueueListener(host, "work", queue).run(), TimerListener(host, "sweep").run()]
        tasks = [asyncio.create_task(one) for one in listeners]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT)
            patch.setenv("IDENTITY_HEADER", identity_header(stage.world))
            own = ManagedIdentityCredential(transport=transport)
            keys = KeyClient("https://kv-one.vault.azure.net", own, transport=transport)
            await keys.rotate_key("k")
        await asyncio.sleep(24 * 3600)
        seen = json.loads((await host.http("GET", "/api/seen", {}, {})).body)
        for task in tasks:
            task.cancel()
        await stage.stop()
        await host.stop()
        return seen, [f"{line.at} {line.method} {line.url} {line.status}" for line in stage.world.log]

    return run_virtually(main)


def test_a_day_of_the_whole_app_passes_in_a_moment_and_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(APP)
    seen, log = _day(tmp_path)
    assert len(seen[0][0]) == 32
    assert seen[0][1] < "2026-11-02T08:02"
    assert [one[1][:16] for one in seen if one[0] == "timer"] == [
        "2026-11-02T12:00",
        "2026-11-02T18:00",
        "2026-11-03T00:00",
        "2026-11-03T06:00",
    ]
    assert _day(tmp_path) == (seen, log)
