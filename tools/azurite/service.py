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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tools.azurite.package import NoAzuriteError, main_of

ACCOUNT: Final = "cmkautopilot"
SERVICES: Final = ("queue", "blob")
# Azurite ends in order when its standard input does: this process wants it so, or is gone, however that came.
_ATTACHED: Final = "data:text/javascript,process.stdin.on('end',()=>process.kill(process.pid)).resume()"
_LISTENS: Final = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05


@contextmanager
def azurite(services: Sequence[str] = SERVICES, ports: Sequence[int] = (0, 0)) -> Iterator[str]:
    """Run services on 127.0.0.1 (port 0: any free one) and yield the connection string to them.

    The account's key is made for this run; what they keep is in a temporary folder. Raises NoAzuriteError.
    """
    key = b64encode(secrets.token_bytes(32)).decode()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azurite-")))
        parts = ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={key}"]
        for service, wanted in zip(services, ports, strict=False):
            port = stack.enter_context(_running(service, wanted, folder, key))
            parts.append(f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}")
        yield ";".join(parts)


@contextmanager
def _running(service: str, port: int, folder: Path, key: str) -> Iterator[int]:
    command = [shutil.which("node") or "node", "--import", _ATTACHED, str(main_of(service))]
    command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port), "--location", str(folder)]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    log = folder / f"{service}.log"
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603  Azurite itself
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
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
