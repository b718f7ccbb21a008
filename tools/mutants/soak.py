"""What the soak says of a rule's absence."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_SEED = re.compile(r"^seed (\d+)\n(.*)$", re.MULTILINE)


def complaint(bench: Path, seeds: int) -> str:
    """Run so many seeds in a copy of the project; return what the first bad one says, "" if all end well.

    Raises RuntimeError when the soak cannot be run.
    """
    command = [sys.executable, "-B", "-m", "tests.soak", "--seeds", str(seeds), "--processes", "1", "--stop"]
    done = subprocess.run(command, cwd=bench, capture_output=True, timeout=1800, check=False, text=True)  # noqa: S603
    if done.returncode == 0:
        return ""
    found = _SEED.search(done.stdout)
    if found is None:
        raise RuntimeError(f"the soak cannot be run: {done.stderr[-2000:]}")
    return f"seed {found[1]}: {found[2]}"
