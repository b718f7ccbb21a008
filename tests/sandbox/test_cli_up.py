import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
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
import json, os
from datetime import UTC, datetime
import azure.functions as func

app = func.FunctionApp()
seen = []

@app.route("seen")
async def show(req: func.HttpRequest) -> func.HttpResponse:
    now = datetime.now(UTC).isoformat()
    found = {"seen": seen, "now": now, "setting": os.environ.get("MINE"), "cwd": os.getcwd()}
    return func.HttpResponse(json.dumps(found))

@app.route("rotate")
async def rotate(req: func.HttpRequest) -> func.HttpResponse:
    from azure.identity.aio import ManagedIdentityCredential
    from azure.keyvault.keys.aio import KeyClient
    async with ManagedIdentityCredential() as own, KeyClient("https://kv-one.vault.azure.net", own) as keys:
        return func.HttpResponse((await keys.rotate_key("k")).properties.version)

@app.route("die")
async def die(req: func.HttpRequest) -> func.HttpResponse:
    os.kill(os.getpid(), 9)

@app.event_grid_trigger("event")
@app.queue_output("out", "work", "AzureWebJobsStorage")
async def key_events(event: str, out: func.Out[str]) -> None:
    out.set(json.loads(event)["data"]["Version"])

@app.queue_trigger("msg", "work", "AzureWebJobsStorage")
async def work(msg: func.QueueMessage) -> None:
    seen.append(msg.get_body().decode())

@app.timer_trigger("timer", "0 0 0 * * *")
async def sweep(timer: func.TimerRequest) -> None:
    seen.append("timer")
"""


class Running:
    """`sandbox up --app` in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", ready: dict[str, Any], told: Path) -> None:
        self.process = process
        self.told = told  # what it wrote to standard error
        self.ready = ready
        self.port = str(ready["port"])

    def app(self, path: str) -> bytes:
        headers = {"x-functions-key": self.ready["app"]["functionKey"]}
        request = urllib.request.Request(self.ready["app"]["url"] + path, headers=headers)  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
            content: bytes = answer.read()
            return content

    def seen(self) -> Any:
        return json.loads(self.app("/api/seen"))

    def until_seen(self, what: str) -> None:
        for _ in range(100):
            if what in self.seen()["seen"]:
                return
            time.sleep(0.1)
        pytest.fail(f"{what} was not seen")


def _command(folder: Path, *more: str) -> list[str]:
    (folder / "estate.yaml").write_text(yaml.safe_dump(ESTATE))
    command = [sys.executable, "-m", "sandbox", "up", "--estate", str(folder / "estate.yaml"), "--json"]
    return [*command, "--folder", str(folder / "made"), *more]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("up")
    app = folder / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(APP)
    values = {"MINE": "yes", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    (app / "local.settings.json").write_text(json.dumps({"Values": values}))
    command = _command(folder, "--port", "0", "--app", str(app), "--app-port", "0")
    told = folder / "told"
    with (
        told.open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("READY "), (folder / "made" / "app.log").read_text()
        yield Running(process, json.loads(line.removeprefix("READY ")), told)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_app_runs_in_its_own_folder_with_its_settings(running: Running) -> None:
    found = running.seen()
    assert found["setting"] == "yes"
    assert found["cwd"].endswith("/app")


def test_a_key_rotated_through_the_vault_comes_back_as_event_and_through_the_queue(running: Running) -> None:
    version = running.app("/api/rotate").decode()
    running.until_seen(version)


def test_the_app_lives_in_the_sandboxs_time_and_everything_goes_on_after_a_shift(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console", "--port", running.port, "clock", '{"shift": "P2D"}']) == 0
    shifted = json.loads(capsys.readouterr().out)
    assert running.seen()["now"][:16] >= shifted["now"][:16]
    running.until_seen("timer")
    version = running.app("/api/rotate").decode()
    running.until_seen(version)


def test_an_app_that_is_killed_runs_again_at_its_port_with_its_settings_and_events_and_queue_go_on(
    running: Running,
) -> None:
    before = running.seen()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        running.app("/api/die")
    new = {"topic": VAULT, "subject": "k", "type": "Microsoft.KeyVault.KeyNewVersionCreated"}
    event = json.dumps({"emit": {**new, "data": {"Version": "while dead"}}})
    assert main(["console", "--port", running.port, "events", event]) == 0
    running.until_seen("while dead")
    after = running.seen()
    assert {name: after[name] for name in ("setting", "cwd")} == {name: before[name] for name in ("setting", "cwd")}
    assert after["now"] > before["now"]
    told = running.told.read_text()
    assert "the app was killed by SIGKILL (death 1); it is started again in 1 s" in told
    assert "the app runs again after" in told


def test_env_prints_exports_for_a_shell(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--port", running.port]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"export HTTPS_PROXY=http://127.0.0.1:{running.port}" in lines
    assert f"export CMK_APP_URL={running.ready['app']['url']}" in lines
    assert all(line.startswith("export ") for line in lines)


def test_console_says_what_is_wrong(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["console", "--port", running.port, "nonsense"]) == 1
    assert "404" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["console", "--port", str(port), "state"]) == 1
    assert f"no sandbox answers on port {port}" in capsys.readouterr().err


def _fails(folder: Path, *more: str) -> str:
    command = _command(folder, *more)
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr.split("the app")[0]
    return done.stderr


@pytest.mark.parametrize("option", ["--port", "--app-port"])
def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        others = [] if option == "--port" else ["--port", "0", "--app", str(tmp_path)]
        said = _fails(tmp_path, option, str(port), *others)
    assert f"port {port} is taken: stop what listens there, or choose another" in said


def test_an_app_that_cannot_start_ends_up_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import nothing_of_this_name\n")
    said = _fails(tmp_path, "--port", "0", "--app-port", "0", "--app", str(tmp_path))
    assert "nothing_of_this_name" in said


def test_the_app_ends_with_the_sandbox_even_when_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(APP)
    command = _command(tmp_path, "--port", "0", "--app", str(tmp_path), "--app-port", "0")
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline().removeprefix("READY "))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert any(not _answers(ready["app"]["url"]) for _ in range(100))


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  loopback
    except (urllib.error.URLError, ConnectionError):
        return False
    time.sleep(0.1)
    return True
