"""The kill switch."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import TryLater
from shared.ports import Policies

ON = frozenset({"on", "true", "1", "yes"})
OFF = frozenset({"off", "false", "0", "no"})


class KillSwitch:
    """Implements ports.WriteSwitch over a setting, which is looked up anew each time, and the policy's `writes`."""

    def __init__(self, read: Callable[[], str], policies: Policies) -> None:
        self._read = read
        self._policies = policies

    async def is_on(self) -> bool:
        """Return whether writing is allowed. Only a clear yes is one: whoever mistypes `off` meant to stop."""
        if self._read().strip().lower() not in ON:
            return False
        try:
            return (await self._policies.current()).writes
        except TryLater:
            return False
