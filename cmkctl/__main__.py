"""`python -m cmkctl`: one verb a subcommand."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cmkctl.app import WrongUrl, checked_url
from cmkctl.replay import replay
from cmkctl.schedule import Disorder, duplicates

_DUPLICATE = "send so many events, or N%% of them, a second time"


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    root = argparse.ArgumentParser(prog="cmkctl", description="CMK Autopilot's command line.", allow_abbrev=False)
    verbs = root.add_subparsers(dest="verb", required=True)
    send = verbs.add_parser(
        "replay", help="send recorded events as if Event Grid had just delivered them", allow_abbrev=False
    )
    send.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="files or folders of events, dead letters too"
    )
    send.add_argument("--to", default=os.environ.get("CMK_APP_URL", ""), metavar="URL", help="the app (or CMK_APP_URL)")
    send.add_argument("--dry-run", action="store_true", help="say what each event would lead to, put nothing")
    send.add_argument("--shuffle", action="store_true", help="send the events in another order")
    send.add_argument("--duplicate", type=_count, default="0", metavar="N[%]", help=_DUPLICATE)
    send.add_argument("--seed", type=int, default=0, metavar="S", help="for --shuffle and --duplicate (default 0)")
    send.add_argument("--speed", type=_speed, metavar="X", help="keep the recorded times' spacing, X times faster")
    send.add_argument("--verbose", action="store_true", help="one line for each event")
    return root


def _count(written: str) -> str:
    try:
        duplicates(written, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return written


def _speed(written: str) -> float:
    try:
        found = float(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{written[:50]!r} is no number") from error
    if not (math.isfinite(found) and found > 0):
        raise argparse.ArgumentTypeError("a speed is above 0: 1 as recorded, 60 an hour in a minute")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; exit 0 when all went well, 1 when something was not taken, 2 on a wrong command line."""
    arguments = parser().parse_args(argv)
    if not arguments.to:
        return _wrong("name the app: --to URL, or set CMK_APP_URL")
    how = Disorder(arguments.seed, arguments.shuffle, arguments.duplicate, arguments.speed)
    key = os.environ.get("CMK_FUNCTION_KEY", "")
    try:
        url = checked_url(arguments.to)
        return asyncio.run(replay(arguments.files, url, key, how, dry_run=arguments.dry_run, verbose=arguments.verbose))
    except WrongUrl as error:
        return _wrong(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was sent before stays sent\n")
        return 1


def _wrong(why: str) -> int:
    sys.stderr.write(f"cmkctl: {why}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
