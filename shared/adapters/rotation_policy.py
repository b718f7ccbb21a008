"""A key's rotation policy as azure-keyvault-keys returns it, in the app's own terms."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.domain.life import RotationPolicy, days_of

if TYPE_CHECKING:
    from azure.keyvault.keys import KeyRotationLifetimeAction, KeyRotationPolicy


def policy_of(found: KeyRotationPolicy) -> RotationPolicy:
    """Return the policy. Raises ValueError for a duration that cannot be read."""
    rotates = [one for one in found.lifetime_actions if _is(one, "rotate")]
    notifies = [one for one in found.lifetime_actions if _is(one, "notify")]
    return RotationPolicy(
        _earliest([one.time_after_create for one in rotates]),
        _longest([one.time_before_expiry for one in rotates]),
        _longest([one.time_before_expiry for one in notifies]),
        found.updated_on,
    )


def _is(action: KeyRotationLifetimeAction, kind: str) -> bool:
    return str(getattr(action.action, "value", action.action)).lower() == kind


def _earliest(spans: list[str | None]) -> timedelta | None:
    return min((days_of(one) for one in spans if one), default=None)


def _longest(spans: list[str | None]) -> timedelta | None:
    return max((days_of(one) for one in spans if one), default=None)
