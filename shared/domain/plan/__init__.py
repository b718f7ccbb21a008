"""What to do next, worked out from facts alone."""

from __future__ import annotations

from shared.domain.plan.courtesy import edits_in, wants_rollout
from shared.domain.plan.deciding import has_failed, plan, through_another, wanted
from shared.domain.plan.enforcement import ignored, lacks_key, stands_ready, wants_ground
from shared.domain.plan.facts import Above, Action, Facts, Ground, Own, SetKeys, Step, Top
from shared.domain.plan.groundwork import granted_at
from shared.domain.plan.hard_rules import forbidden
from shared.domain.plan.needs import assigns_roles_in, homes_of, needs_of
from shared.domain.plan.rotation import certainty, doubts

__all__ = [
    "Above",
    "Action",
    "Facts",
    "Ground",
    "Own",
    "SetKeys",
    "Step",
    "Top",
    "assigns_roles_in",
    "certainty",
    "doubts",
    "edits_in",
    "forbidden",
    "granted_at",
    "has_failed",
    "homes_of",
    "ignored",
    "lacks_key",
    "needs_of",
    "plan",
    "stands_ready",
    "through_another",
    "wanted",
    "wants_ground",
    "wants_rollout",
]
