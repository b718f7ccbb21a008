"""First keys as the evidence tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.domain.resource import Json, fold


def begun_in(lines: Iterable[Json]) -> dict[str, datetime]:
    """Return when, by these lines, resources were changed from the platform's key to one of yours; by folded id."""
    return {
        fold(str(line.get("resource", ""))): datetime.fromisoformat(str(one["at"]))
        for line in lines
        for one in line.get("wrote", ())
        if one.get("toKey") and not one.get("fromKey")
    }
