"""What a number of runs came to: plain figures, so that processes can hand them over."""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.soak.judge import judged
from tests.soak.seeds import HOSTED, soak

LAST_LINES = 60  # of a story


@dataclass
class Tally:
    """Counts by name; `seeds_with` counts the seeds in which something happened at all."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    seeds_with: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)  # seed -> what is wrong, and the story

    def add(self, other: Tally) -> None:
        """Take the figures of other runs in."""
        self.seeds += other.seeds
        self.counts += other.counts
        self.seeds_with += other.seeds_with
        self.failed |= other.failed


def tried(seeds: range) -> Tally:
    """Carry out the runs of some seeds."""
    tally = Tally()
    for number, seed in enumerate(seeds):
        tally.seeds += 1
        try:
            _count(tally, seed)
        except Exception:  # noqa: BLE001  whatever a run ends with is told with its seed
            tally.failed[seed] = traceback.format_exc()
        gc.collect()
        if number == 0:
            gc.freeze()  # what the first seed brings along for good, imports above all, is not looked through each time
    return tally


def _count(tally: Tally, seed: int) -> None:
    one = soak(seed)
    found = Counter(one.trouble.counts)
    found.update({f"Event Grid: {kind}": count for kind, count in one.events.items()})
    found.update(one.people.counts)
    found["deaths"] = one.deaths
    found["under the function host"] = int(seed % HOSTED == 0)
    found["stale Graph"] = int(one.world.memory["graph"]["lag"] > 0)
    found["late grants"] = len(one.late)
    found["with evidence"] = int(one.keeps_evidence)
    found["requests"] = len(one.world.log)
    found["writes"] = one.watch.writes
    found["steps towards a first key"] = one.watch.prepared
    found["writes on what had just changed"] = one.watch.races
    found["items that failed and came again"] = one.watch.failures
    found["messages put away as poison"] = one.poisoned
    tally.counts += found
    tally.seeds_with.update(name for name, count in found.items() if count)
    if wrong := judged(one):
        tally.failed[seed] = "\n".join([*wrong, "", *one.story[-LAST_LINES:]])
