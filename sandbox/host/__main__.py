"""`python -m sandbox.host --app DIR --port Q`: run a function app without Core Tools.

The app's settings are this process's environment. Keys come in SANDBOX_HOST_KEYS (JSON: master, function, event_grid)
or are made and printed. SIGTERM and SIGINT end it; with --attached the end of standard input does as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from uuid import uuid4

import sandbox
from sandbox.host.core import FunctionHost
from sandbox.host.hostjson import HostError
from sandbox.host.keys import Keys
from sandbox.host.queues import LOCK_SECONDS
from sandbox.host.server import HostServer
from sandbox.host.storage import QueueClients

KEYS = "SANDBOX_HOST_KEYS"


def main() -> int:
    """Run until a signal; 1 when the app cannot be loaded or the port is taken."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for name in ("azure", "azure.functions", "msal"):  # one line per request or call otherwise
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return asyncio.run(_serve(arguments))
    except (HostError, OSError) as error:
        sys.stderr.write(f"cannot start {arguments.app}: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.host", description=__doc__)
    parser.add_argument("--app", type=Path, default=Path(), help="the app's folder")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--fd", type=int, help="a bound socket to listen on, instead of --port")
    parser.add_argument("--offset", type=float, default=0.0, help="seconds that the app's clock is ahead")
    parser.add_argument("--max-wait", type=float, default=60.0, help="seconds between two looks into an empty queue")
    parser.add_argument("--nap", type=float, default=60.0, help="seconds after which a timer looks at the clock again")
    parser.add_argument("--lock", type=int, default=LOCK_SECONDS, help="seconds a dead process's messages stay hidden")
    parser.add_argument("--attached", action="store_true", help="end when standard input ends")
    return parser


async def _serve(arguments: argparse.Namespace) -> int:
    given = os.environ.pop(KEYS, None)
    keys = Keys(**json.loads(given)) if given else Keys()
    _leave_path()
    settings = dict(os.environ)
    clients = QueueClients(settings)
    app = arguments.app.resolve()
    os.chdir(app)  # as the worker does
    host = FunctionHost(app, settings=settings, ids=lambda: str(uuid4()), keys=keys, outputs=clients.write)
    server = HostServer(host, clients, max_wait=arguments.max_wait, nap=arguments.nap, lock=arguments.lock)
    server.time.set(arguments.offset)
    with _socket(arguments) as sock:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        if arguments.attached:
            loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written: readable means closed
        await server.start(sock)
        lines = [f"listening on http://127.0.0.1:{sock.getsockname()[1]}"]
        if not given:
            lines += [f"function key {keys.function}", f"master key {keys.master}", f"system key {keys.event_grid}"]
        sys.stdout.write("\n".join([*lines, ""]))
        sys.stdout.flush()
        await ended.wait()
        if arguments.attached:
            loop.remove_reader(sys.stdin.fileno())
        await server.stop()
    return 0


def _socket(arguments: argparse.Namespace) -> socket.socket:
    if arguments.fd is not None:
        return socket.socket(fileno=arguments.fd)
    return socket.create_server(("127.0.0.1", arguments.port))


def _leave_path() -> None:
    """Take the sandbox's own folder from the path: the app's packages come last there and must not be covered."""
    own = Path(sandbox.__file__).resolve().parents[1]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != own]


if __name__ == "__main__":
    sys.exit(main())
