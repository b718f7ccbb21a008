"""`make soak`: seed after seed on two processes; the figures, and every seed that failed with its story."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import batched
from multiprocessing import get_context

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from tests.soak.tally import Tally, tried

TOGETHER = 10  # seeds handed to a process at a time
AFRESH = 50  # so often each process is handed some: a run under the function host leaves its modules, 10 MiB, behind
STORIES = 5  # printed whole
TELL = 500  # seeds between two lines where nobody sees the bar


def main() -> int:
    """Run the seeds; 0 only if every one of them ended well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stop", action="store_true", help="end with the first seeds that fail")
    wanted = parser.parse_args()
    end = wanted.first + wanted.seeds
    parts = [range(start, min(start + TOGETHER, end)) for start in range(wanted.first, end, TOGETHER)]
    whole, began = Tally(), time.monotonic()
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("seeds", total=wanted.seeds)
        for part in _carried_out(parts, wanted.processes):
            whole.add(part)
            progress.update(task, advance=part.seeds, description=f"seeds, {len(whole.failed)} failed")
            if not progress.console.is_terminal and whole.seeds % TELL == 0:
                progress.console.print(f"{whole.seeds:,} seeds, {len(whole.failed)} failed")
            if whole.failed and wanted.stop:
                break
    _show(whole, time.monotonic() - began)
    return 1 if whole.failed else 0


def _carried_out(parts: list[range], processes: int) -> Iterator[Tally]:
    """Yield what the parts came to, with new processes now and then (the executor's own max_tasks_per_child hangs)."""
    for some in batched(parts, AFRESH * processes):
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            try:
                yield from pool.map(tried, some)
            finally:
                pool.shutdown(cancel_futures=True)


def _show(whole: Tally, seconds: float) -> None:
    console = Console()
    table = Table("what happened", "times", "in seeds")
    for name, count in whole.counts.most_common():
        table.add_row(name, f"{count:,}", f"{whole.seeds_with[name] / whole.seeds:.0%}")
    console.print(table)
    for seed in sorted(whole.failed)[:STORIES]:
        console.print(f"\nseed {seed}", style="bold red")
        console.print(whole.failed[seed], markup=False, highlight=False)
    if whole.failed:
        console.print(f"\nfailed: {', '.join(map(str, sorted(whole.failed)))}", style="red")
        console.print("one again: python -m tests.soak --seeds 1 --first SEED")
    console.print(f"{whole.seeds:,} seeds in {seconds:.0f} s, {whole.seeds / seconds:.1f} a second")


if __name__ == "__main__":
    sys.exit(main())
