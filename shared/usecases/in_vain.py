"""A change that Azure accepts and that does not show: sent again ever more seldom, looked for as often as before."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.plan import Action, SetKeys
from shared.domain.work import InVain

_SHORTEST = timedelta(seconds=20)
_SLOWER = 3  # times as long as from the first time to the last: within two hours that makes five


def noted(step: Action, before: InVain | None, now: datetime) -> InVain:
    """Return the account of a step that was sent and does not show."""
    what = _what(step)
    return InVain(what, before.first_at if before is not None and before.what == what else now, now)


def rests(step: Action, vain: InVain | None, now: datetime) -> bool:
    """Return whether this very step was sent in vain a short while ago, as it goes with the time spent on it."""
    if vain is None or vain.what != _what(step):
        return False
    return now - vain.last_at < max(_SHORTEST, _SLOWER * (vain.last_at - vain.first_at))


def _what(step: Action) -> str:
    if not isinstance(step, SetKeys):
        return type(step).__name__
    return "; ".join(f"{change.slot} {change.to.url if change.to else ''}" for change in step.changes)
