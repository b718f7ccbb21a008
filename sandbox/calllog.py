"""The call log with a running index and counts, which go on when old lines are dropped."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from sandbox.wire import Json
from sandbox.world import Logged

KEEP = 200_000
TOO_MANY = 429
_ARM = ("read", "write", "childList", "list")
_OTHERS = ("vault", "graph", "identity", "queue", "topic")


class CallLog(deque[Logged]):
    """The world's log: the newest KEEP lines, the number of all lines, and how many there were of each kind."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEEP)
        self.total = 0
        self.kinds: Counter[str] = Counter()
        self.throttled = 0

    def append(self, line: Logged) -> None:
        """Add a line and count it."""
        super().append(line)
        self.total += 1
        self.kinds[line.kind] += 1
        self.throttled += line.status == TOO_MANY

    def since(self, index: int) -> Iterator[tuple[int, Logged]]:
        """Yield (index, line) from that index on, as far as the lines are still there; the first line has index 0."""
        first = self.total - len(self)
        for number in range(max(index, first), self.total):
            yield number, self[number - first]

    def counts(self) -> Json:
        """Return requests by kind, {arm: {read, write, childList, list}, vault, graph, ...}, and throttled."""
        counted: Json = {"arm": {kind: self.kinds[kind] for kind in _ARM}}
        counted |= {kind: self.kinds[kind] for kind in _OTHERS}
        counted["other"] = self.total - sum(self.kinds[kind] for kind in (*_ARM, *_OTHERS))
        return {**counted, "total": self.total, "throttled": self.throttled}
