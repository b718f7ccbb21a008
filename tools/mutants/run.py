"""`make mutants`: in a copy of the project, each rule is taken out in turn; the tests named for it must fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.mutants.rules import RULES, Rule

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("shared", "functions", "sandbox", "tests", "pyproject.toml", "function_app.py", "host.json", "policy.yaml")
SIDE_BY_SIDE = 2
FAILED, BROKEN = 1, 2  # pytest's exit codes: tests failed; it could not run them


def main() -> int:
    """Try every rule; 0 only if each absence was noticed."""
    missing = [rule.sentence for rule in RULES if (ROOT / rule.file).read_text("utf-8").count(rule.words) < 1]
    if missing:
        sys.stderr.write(f"the code says these rules in other words now: {', '.join(missing)}\n")
        return 1
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        task = progress.add_task("rules", total=len(RULES))
        benches = [_bench(Path(folder) / str(number)) for number in range(SIDE_BY_SIDE)]
        lock = Lock()

        def tried(rule: Rule) -> bool:
            with lock:
                bench = benches.pop()
            try:
                return _is_noticed(rule, bench)
            finally:
                with lock:
                    benches.append(bench)
                progress.advance(task)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            noticed = list(pool.map(tried, RULES))
    _show(noticed)
    return 0 if all(noticed) else 1


def _bench(folder: Path) -> Path:
    """Copy what the tests need."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def _is_noticed(rule: Rule, bench: Path) -> bool:
    """Take the rule out, run its tests, put it back. Return whether a test failed."""
    path = bench / rule.file
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(rule.words, rule.without, 1), "utf-8")
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", rule.tests]
    try:
        done = subprocess.run(command, cwd=bench, capture_output=True, timeout=600, check=False)  # noqa: S603  our own
    finally:
        path.write_text(whole, "utf-8")
    return done.returncode == FAILED


def _show(noticed: list[bool]) -> None:
    table = Table("rule taken out", "tests", "noticed")
    for rule, seen in zip(RULES, noticed, strict=True):
        table.add_row(rule.sentence, rule.tests, "[green]yes[/]" if seen else "[red]NO[/]")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
