"""What to do next, worked out from facts alone."""

from __future__ import annotations

from shared.domain.plan.deciding import plan
from shared.domain.plan.facts import Facts, Own, SetKeys, Step
from shared.domain.plan.rotation import certainty

__all__ = ["Facts", "Own", "SetKeys", "Step", "certainty", "plan"]
