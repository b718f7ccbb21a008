"""The sandbox's command line: `python -m sandbox up | env | console`."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.demo import command as demo
from sandbox.exports import as_shell
from sandbox.host.queues import LOCK_SECONDS
from sandbox.up import APP_PORT, PORT

_VERBS = "state, reset, estate, clock, calls, counts, faults, resource, keys, outcomes, deliveries, deadletters, events"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, or 1 with one line on standard error."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Azure on your own machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="run the sandbox, and a function app with --app")
    up.add_argument("--estate", type=Path, required=True, help="the estate file, YAML or JSON")
    up.add_argument("--port", type=int, default=PORT, help=f"proxy, identity and console (default {PORT}; 0: any)")
    up.add_argument("--app", type=Path, help="the function app's folder")
    up.add_argument("--app-port", type=int, default=APP_PORT, help=f"the app's port (default {APP_PORT}; 0: any)")
    up.add_argument("--seed", type=int, default=1, help="everything random follows from it")
    up.add_argument("--folder", type=Path, default=Path(".sandbox"), help="certificates, az's configuration, app.log")
    up.add_argument("--queue", metavar="CONNECTION", help="a connection string: the app's queue is there, not here")
    up.add_argument("--policy", type=Path, help="the app's policy (default: CMK_POLICY, or the sandbox's own)")
    up.add_argument("--lock", type=int, default=LOCK_SECONDS, help="seconds a dead app's messages stay hidden")
    up.add_argument("--json", action="store_true", help="print READY and one JSON object when all is up")
    up.add_argument("-v", "--verbose", action="store_true", help="show the app's log")
    up.set_defaults(run=_up)

    env = commands.add_parser("env", help="print the exports that point clients at a running sandbox")
    env.add_argument("--port", type=int, default=PORT)
    env.set_defaults(run=_env)

    console = commands.add_parser("console", help="look at and steer a running sandbox")
    console.add_argument("--port", type=int, default=PORT)
    console.add_argument("-X", "--method", default="", help="HTTP method (default: GET, or POST/PUT with a body)")
    console.add_argument("verb", help=f"{_VERBS}; with a query if need be, as in 'calls?since=10'")
    console.add_argument("body", nargs="?", help="JSON, or @FILE")
    console.set_defaults(run=_console)
    demo.add_to(commands)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    from sandbox.runner import serve  # noqa: PLC0415  `env` and `console` need none of the machinery

    ended = asyncio.Event()

    async def run() -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        return await serve(arguments, ended)

    return asyncio.run(run())


def _env(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments.port, "GET", "env", None)
    if answer is None:
        return 1
    sys.stdout.write(as_shell(answer))
    return 0


def _console(arguments: argparse.Namespace) -> int:
    body = None
    if arguments.body is not None:
        given: str = arguments.body
        body = Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()
    verb = arguments.verb.partition("?")[0]
    bodied = "PUT" if verb == "faults" else "POST"
    method = arguments.method or (bodied if body is not None or verb == "reset" else "GET")
    answer = _ask(arguments.port, method, arguments.verb, body)
    if answer is None:
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


def _ask(port: int, method: str, verb: str, body: bytes | None) -> Any:
    """Return the console's JSON, or None after a line on standard error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://127.0.0.1:{port}/console/{verb}", body, method=method)
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{error.code}: {error.read().decode('utf-8', 'replace')}\n")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"no sandbox answers on port {port} ({error}); start one with `python -m sandbox up`\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
