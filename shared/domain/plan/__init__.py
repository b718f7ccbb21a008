"""What to do next, worked out from facts alone."""

from __future__ import annotations

from shared.domain.plan.deciding import plan
from shared.domain.plan.enforcement import enforces, ignored, key_wanted
from shared.domain.plan.facts import Action, Facts, Ground, Own, SetKeys, Step
from shared.domain.plan.rotation import certainty

__all__ = [
    "Action",
    "Facts",
    "Ground",
    "Own",
    "SetKeys",
    "Step",
    "certainty",
    "enforces",
    "ignored",
    "key_wanted",
    "plan",
]
