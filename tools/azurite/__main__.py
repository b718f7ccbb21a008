"""`python -m tools.azurite install | run | leave-out | tell`.

`install` installs Azurite, `run` runs it as well and prints the connection string to it. Where it is not there,
`leave-out` prints what pytest is told so that it leaves the tests on it out, and `tell` says that they were left out.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tools.azurite.package import NoAzuriteError, install, missing
from tools.azurite.service import azurite

_TESTS: Final = "the tests on a real queue service"
_LEAVE_OUT: Final = "--ignore tests/azurite\n"  # for pytest; asked for without it, these tests fail and say why


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, or 1 with a line that says what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.azurite", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=("install", "run", "leave-out", "tell"))
    command = parser.parse_args(argv).command
    if command in {"leave-out", "tell"}:
        if problem := missing():
            sys.stdout.write(_LEAVE_OUT if command == "leave-out" else f"left out: {_TESTS} ({problem})\n")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        install()
        if command == "run":
            with suppress(KeyboardInterrupt), azurite(usual=True) as connection:
                sys.stdout.write(f"{connection}\n")
                sys.stdout.flush()
                signal.pause()
    except NoAzuriteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
