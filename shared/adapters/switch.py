"""The kill switch."""

from __future__ import annotations

from collections.abc import Callable

ON = frozenset({"on", "true", "1", "yes"})
OFF = frozenset({"off", "false", "0", "no"})


class SettingSwitch:
    """Implements ports.WriteSwitch over a setting that is looked up anew each time."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    async def is_on(self) -> bool:
        """Return whether writing is allowed. Only a clear yes is one: whoever mistypes `off` meant to stop."""
        return self._read().strip().lower() in ON
