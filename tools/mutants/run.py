"""`make mutants`: in a copy of the project, each rule is taken out in turn; the tests named for it must fail.

With `--soak N`, N seeds of the soak are run instead: a second net, which need not catch all of them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.mutants.rule import Rule
from tools.mutants.rules import RULES
from tools.mutants.soak import complaint

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("shared", "functions", "sandbox", "tests", "pyproject.toml", "function_app.py", "host.json", "policy.yaml")
SIDE_BY_SIDE = 2
FAILED = 1  # pytest's exit code when tests failed; 2 and more: it could not run them


def main() -> int:
    """Try every rule; 0 only if each absence was noticed, or with the soak, if it could be run."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants.run", description=__doc__)
    parser.add_argument("--soak", type=int, metavar="N", help="run N seeds of the soak instead of the tests")
    parser.add_argument("--only", default="", metavar="WORDS", help="the rules whose sentence has these words")
    wanted = parser.parse_args()
    seeds: int | None = wanted.soak
    rules = tuple(rule for rule in RULES if wanted.only in rule.sentence)
    missing = [rule.sentence for rule in rules if (ROOT / rule.file).read_text("utf-8").count(rule.words) < 1]
    if missing:
        sys.stderr.write(f"the code says these rules in other words now: {', '.join(missing)}\n")
        return 1
    if seeds is None:
        said = _all(rules, _by_tests, lambda _: "")  # `make test` has shown that they pass
    else:
        said = _all(rules, partial(_by_soak, seeds=seeds), partial(complaint, seeds=min(seeds, 20)))
    _show(rules, said)
    return 0 if seeds is not None or all(said) else 1


def _all(rules: tuple[Rule, ...], ask: Callable[[Rule, Path], str], whole: Callable[[Path], str]) -> list[str]:
    """Return what was said of each rule's absence, "" for nothing. Raises RuntimeError if something is said of the
    project as it is.
    """
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        task = progress.add_task("rules", total=len(rules))
        benches = [_bench(Path(folder) / str(number)) for number in range(SIDE_BY_SIDE)]
        if said := whole(benches[0]):
            raise RuntimeError(f"even with every rule in its place: {said}")
        lock = Lock()

        def tried(rule: Rule) -> str:
            with lock:
                bench = benches.pop()
            try:
                with _without(rule, bench):
                    said = ask(rule, bench)
                progress.console.print(f"{'noticed' if said else 'NOT noticed'}: {rule.sentence}", highlight=False)
                return said
            finally:
                with lock:
                    benches.append(bench)
                progress.advance(task)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(tried, rules))


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


@contextmanager
def _without(rule: Rule, bench: Path) -> Iterator[None]:
    """Take a rule out, and put it back."""
    path = bench / rule.file
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(rule.words, rule.without, 1), "utf-8")
    try:
        yield
    finally:
        path.write_text(whole, "utf-8")


def _by_tests(rule: Rule, bench: Path) -> str:
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", rule.tests]
    done = subprocess.run(command, cwd=bench, capture_output=True, timeout=600, check=False)  # noqa: S603  our own
    return rule.tests if done.returncode == FAILED else ""


def _by_soak(_: Rule, bench: Path, *, seeds: int) -> str:
    return complaint(bench, seeds)


def _show(rules: tuple[Rule, ...], said: list[str]) -> None:
    table = Table("rule taken out", "noticed", "by")
    for rule, words in zip(rules, said, strict=True):
        table.add_row(rule.sentence, "[green]yes[/]" if words else "[red]NO[/]", words or rule.tests)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
