"""Turns: what only one of all instances does at a time."""

from __future__ import annotations

from datetime import datetime

from shared.ports import Clock


class OwnTurns:
    """Implements ports.Turns within one instance, for where there is no place that all instances share."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: dict[str, tuple[str, datetime]] = {}

    async def take(self, name: str, owner: str, until: datetime) -> bool:
        """Take or keep a turn until then; False: somebody else has it."""
        holder, end = self._taken.get(name, (owner, until))
        if holder != owner and self._clock.now() < end:
            return False
        self._taken[name] = (owner, until)
        return True

    async def give_back(self, name: str, owner: str) -> None:
        """End a turn early."""
        if self._taken.get(name, ("",))[0] == owner:
            del self._taken[name]
