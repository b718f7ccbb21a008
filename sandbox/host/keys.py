"""The host's keys and what each opens.

[Azure Functions: access keys; EventGridExtensionConfigProvider.cs: system key eventgrid_extension]
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field


def _new() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Keys:
    """One master key, one host key for all functions, one system key for the Event Grid webhook."""

    master: str = field(default_factory=_new)
    function: str = field(default_factory=_new)
    event_grid: str = field(default_factory=_new)

    def opens(self, level: str, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Return whether a request (lower-case header names) may pass.

        The level is anonymous, function, admin or event_grid; an unknown one lets only the master key in.
        """
        if level == "anonymous":
            return True
        given = headers.get("x-functions-key") or query.get("code", "")
        fitting = {"function": (self.master, self.function), "event_grid": (self.master, self.event_grid)}
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in fitting.get(level, (self.master,)))
