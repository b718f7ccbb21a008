"""Azurite's queue and blob services as processes that end with the one that started them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tools.azurite.package import NoAzuriteError, main_of

ACCOUNT: Final = "cmkautopilot"
SERVICES: Final = ("queue", "blob")
WELL_KNOWN: Final = "UseDevelopmentStorage=true"  # what every SDK takes for Azurite at its usual ports
_USUAL_PORTS: Final = {"blob": 10000, "queue": 10001}
# Azurite ends in order when its standard input does: this process wants it so, or is gone, however that came.
_ATTACHED: Final = "data:text/javascript,process.stdin.on('end',()=>process.kill(process.pid)).resume()"
_LISTENS: Final = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05


@contextmanager
def azurite(services: Sequence[str] = SERVICES, *, usual: bool = False) -> Iterator[str]:
    """Run services on 127.0.0.1 and yield the connection string to them. Raises NoAzuriteError.

    They are at free ports, with an account whose key is made for this run; `usual`: at Azurite's own ports with its
    well-known account. What they keep is in a temporary folder.
    """
    key = b64encode(secrets.token_bytes(32)).decode()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azurite-")))
        accounts = {} if usual else {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
        parts = ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={key}"]
        for service in services:
            wanted = _USUAL_PORTS[service] if usual else 0
            port = stack.enter_context(_running(service, wanted, folder, accounts))
            parts.append(f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}")
        yield WELL_KNOWN if usual else ";".join(parts)


@contextmanager
def _running(service: str, port: int, folder: Path, accounts: Mapping[str, str]) -> Iterator[int]:
    command = [shutil.which("node") or "node", "--import", _ATTACHED, str(main_of(service))]
    command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port), "--location", str(folder)]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    log = folder / f"{service}.log"
    others = {name: value for name, value in os.environ.items() if name != "AZURITE_ACCOUNTS"}
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603  Azurite itself
            command, env={**others, **accounts}, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            yield _port(process, log)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if found := _LISTENS.search(log.read_text("utf-8", "replace")):
            return int(found[1])
        time.sleep(_LOOK_SECONDS)
    raise NoAzuriteError(f"Azurite did not start: {log.read_text('utf-8', 'replace').strip()[-500:]}")
