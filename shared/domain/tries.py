"""Changes that found no access to the key, as the evidence tells of them: the work that knew may be lost by now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from shared.domain.patience import PATIENCE
from shared.domain.reasons import Reason, Waited
from shared.domain.resource import Json

_DENIED = Reason.KEY_ACCESS_DENIED
WITHIN = PATIENCE[_DENIED].give_up  # how far back the evidence is read
NOT_SOONER = timedelta(hours=12)  # than this after our last write a failed resource is tried once more


class Tries(Struct, frozen=True):
    """Since when access has been waited for, and when the resource was last written, within a day."""

    denied_since: datetime | None = None
    last: datetime | None = None

    def waited(self, now: datetime, *, in_order: bool) -> Waited | None:
        """Return what the work on a failed resource waits for, None: its failure is for people.

        Access that is still waited for goes on to be. Where that is over, and all that the key stands on is `in_order`,
        one more try has its patience used up beforehand: what fails again is told at once.
        """
        if self.denied_since is not None and now - self.denied_since < WITHIN:
            return Waited(_DENIED, self.denied_since)
        rested = self.last is None or now - self.last >= NOT_SOONER
        return Waited(_DENIED, now - WITHIN) if in_order and rested else None


def tries_in(lines: Iterable[Json], resource: str) -> Tries:
    """Return what these lines, the oldest first, tell of a resource. `resource` is a folded id."""
    since: datetime | None = None
    last: datetime | None = None
    for line in lines:
        if str(line.get("resource", "")).rstrip("/").lower() != resource:
            continue
        waits = line.get("waits") or {}
        if waits.get("reason") == _DENIED.value:
            since = datetime.fromisoformat(str(waits["since"]))
        elif line.get("outcome") == "converged":
            since = None
        for one in line.get("wrote", ()):
            last = datetime.fromisoformat(str(one["at"]))
    return Tries(since, last)
