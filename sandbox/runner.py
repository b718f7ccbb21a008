"""The command `up`: load the estate, run the sandbox until it is told to end, and say what can be done with it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console as Terminal
from rich.panel import Panel

from sandbox.appprocess import POLICY_SETTING, QUEUE
from sandbox.estate import load_estate
from sandbox.https import PortTakenError
from sandbox.keeper import AppFailedError
from sandbox.up import Plan, Sandbox

_LOOK_SECONDS = 0.2


async def serve(arguments: argparse.Namespace, ended: asyncio.Event) -> int:
    """Run until `ended` is set; 1 with an explanation when the app cannot start or dies too often."""
    try:
        plan = Plan(
            estate=load_estate(arguments.estate),
            port=arguments.port,
            app=arguments.app,
            app_port=arguments.app_port,
            seed=arguments.seed,
            settings=_settings(arguments),
            folder=arguments.folder,
            lock=arguments.lock,
        )
        async with Sandbox(plan) as sandbox:
            return await _until(sandbox, arguments, ended)
    except PortTakenError as error:
        sys.stderr.write(f"{error}: stop what listens there, or choose another with --port or --app-port\n")
    except (AppFailedError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the app's settings that the command line names. Raises OSError for a policy that is not there."""
    policy = {POLICY_SETTING: str(arguments.policy.resolve(strict=True))} if arguments.policy else {}
    return {**policy, **({QUEUE: arguments.queue} if arguments.queue else {})}


async def _until(sandbox: Sandbox, arguments: argparse.Namespace, ended: asyncio.Event) -> int:
    if arguments.json:
        sys.stdout.write(f"READY {json.dumps(ready(sandbox))}\n")
        sys.stdout.flush()
    else:
        Terminal().print(Panel(_words(sandbox), title="Azure on your own machine", expand=False))
    over = asyncio.create_task(sandbox.over())
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(ended.wait()), over]
    follower = asyncio.create_task(_follow(sandbox.app.log)) if sandbox.app and arguments.verbose else None
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in [*tasks, *([follower] if follower else [])]:
        task.cancel()
    if not ended.is_set():
        await over
    return 0


def ready(sandbox: Sandbox) -> dict[str, Any]:
    """Return what a program needs: port, console, env, and the app's URL and keys when one runs."""
    base = f"http://127.0.0.1:{sandbox.face.port}"
    found: dict[str, Any] = {"port": sandbox.face.port, "console": f"{base}/console/", "env": sandbox.exports()}
    if sandbox.app is not None:
        keys = sandbox.app.keys
        found["app"] = {
            "url": sandbox.app.url,
            "pid": sandbox.app.pid,
            "functionKey": keys.function,
            "masterKey": keys.master,
            "eventGridKey": keys.event_grid,
        }
    return found


def _words(sandbox: Sandbox) -> str:
    port = sandbox.face.port
    lines = [
        f"proxy and console  http://127.0.0.1:{port}  (console under /console/)",
        f"resources          {len(sandbox.stage.world.resources)}",
    ]
    if sandbox.app is not None:
        lines += [
            f"app                {sandbox.app.url}",
            f"function key       {sandbox.app.keys.function}",
            f"master key         {sandbox.app.keys.master}",
            f"log                {sandbox.app.log}",
            f"policy             {sandbox.app.policy}",
        ]
    lines += [
        "",
        f'eval "$(python -m sandbox env --port {port})"   then az, SDKs, Cloud Custodian',
        f"python -m sandbox console --port {port} state",
        f'python -m sandbox console --port {port} clock \'{{"shift": "PT24H"}}\'',
    ]
    return "\n".join(lines).replace("[", "\\[")


async def _follow(path: Path) -> None:
    """Copy what is added to a file to standard error."""
    with path.open("r", encoding="utf-8", errors="replace") as log:
        while True:
            text = log.read()
            if text:
                sys.stderr.write(text)
            await asyncio.sleep(_LOOK_SECONDS)
