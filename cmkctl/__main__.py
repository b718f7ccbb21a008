"""`python -m cmkctl`: one verb a subcommand."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

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
    return root


def main() -> int:
    """Run one verb; exit 0 when all went well, 1 when something was refused, 2 on a wrong command line."""
    arguments = parser().parse_args()
    key = os.environ.get("CMK_FUNCTION_KEY", "")
    if not arguments.to:
        sys.stderr.write("name the app: --to URL, or set CMK_APP_URL\n")
        return 2
    return asyncio.run(replay(arguments.files, arguments.to, key, dry_run=arguments.dry_run))


if __name__ == "__main__":
    sys.exit(main())
