"""The kill switch."""

from __future__ import annotations

from collections.abc import Callable

_OFF = {"off", "false", "0", "no"}


class SettingSwitch:
    """Implements ports.WriteSwitch over a setting that is looked up anew each time."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    async def is_on(self) -> bool:
        """Return whether writing is allowed. Anything but a clear no is a yes: the shipped setting is `on`."""
        return self._read().strip().lower() not in _OFF
