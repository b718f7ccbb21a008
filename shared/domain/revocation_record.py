"""What a revocation that was cut short had taken, as its evidence tells."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.domain.report import Done
from shared.domain.resource import Json
from shared.domain.revocation import Taking, place_taken


def taken_untold(lines: Iterable[Json], resource: str, cause: str) -> tuple[Done, ...]:
    """Return what one cause announced that it takes, and of which no later line tells: who took it died before.

    All of it is gone by now; whether every request was answered, nobody knows. `resource` is a folded id.
    """
    announced: dict[tuple[str, str], tuple[Taking, datetime]] = {}
    told: set[tuple[str, str]] = set()
    for line in lines:
        if str(line.get("resource", "")).rstrip("/").lower() != resource or line.get("correlationId") != cause:
            continue
        at = datetime.fromisoformat(str(line["at"]))
        announced |= {_whose(step): (step, at) for one in line.get("takes", ()) if (step := _step(one))}
        told |= {_whose(step) for one in line.get("did", ()) if (step := _step(one))}
    left = (one for whose, one in announced.items() if whose not in told)
    return tuple(Done(at, step, place_taken(step), accepted=False) for step, at in left)


def _whose(step: Taking) -> tuple[str, str]:
    return place_taken(step), step.principal


def _step(one: Json) -> Taking | None:
    try:
        step: Taking = msgspec.convert({**one.get("said", {}), "type": one.get("step")}, Taking)
    except msgspec.ValidationError:
        return None
    return step
