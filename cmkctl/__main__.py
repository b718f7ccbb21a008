"""`python -m cmkctl`: one verb a subcommand."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from cmkctl.policy import check, site_of
from cmkctl.replay import replay


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    root = argparse.ArgumentParser(prog="cmkctl", description="CMK Autopilot's command line.")
    verbs = root.add_subparsers(dest="verb", required=True)
    send = verbs.add_parser("replay", help="send recorded events as if Event Grid had just delivered them")
    send.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="files or folders of events, dead letters too"
    )
    send.add_argument("--to", default=os.environ.get("CMK_APP_URL", ""), metavar="URL", help="the app (or CMK_APP_URL)")
    send.add_argument("--dry-run", action="store_true", help="say what each event would lead to, put nothing")
    policy = verbs.add_parser("policy", help="look at a policy").add_subparsers(dest="what", required=True)
    look = policy.add_parser("check", help="print its rules, or everything that is wrong with it")
    look.add_argument("file", type=Path, metavar="FILE")
    look.add_argument("--decide", default="", metavar="RESOURCE-ID", help="say which rule decides it, and why")
    look.add_argument("--location", default="", help="where that resource is")
    look.add_argument("--kind", default="", help="its kind")
    look.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="one of its tags; repeatable")
    look.add_argument("--group", action="append", default=[], metavar="NAME", help="a management group above it")
    return root


def main() -> int:
    """Run one verb; exit 0 when all went well, 1 when something was refused, 2 on a wrong command line."""
    arguments = parser().parse_args()
    return _policy(arguments) if arguments.verb == "policy" else _replay(arguments)


def _policy(given: argparse.Namespace) -> int:
    try:
        site = (
            site_of(given.decide, location=given.location, kind=given.kind, tags=given.tag, groups=given.group)
            if given.decide
            else None
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return check(given.file, site)


def _replay(arguments: argparse.Namespace) -> int:
    key = os.environ.get("CMK_FUNCTION_KEY", "")
    if not arguments.to:
        sys.stderr.write("name the app: --to URL, or set CMK_APP_URL\n")
        return 2
    return asyncio.run(replay(arguments.files, arguments.to, key, dry_run=arguments.dry_run))


if __name__ == "__main__":
    sys.exit(main())
