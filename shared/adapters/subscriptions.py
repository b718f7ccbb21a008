"""What is asked of subscriptions themselves, through Azure Resource Manager."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.adapters.arm import Arm
from shared.domain.jsonpath import lookup, text
from shared.errors import NotThere, Refusal
from shared.ports import Clock

_API = "2022-12-01"  # of subscriptions [azure-mgmt-resource-subscriptions]
_PROVIDERS_API = "2021-04-01"  # of providers [learn rest/api/resources/providers/get]
_FOR = timedelta(hours=1)
_MOST = 5_000


class ArmSubscriptions:
    """Implements ports.Subscriptions."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._tenants: dict[str, str] = {}
        self._registered: dict[tuple[str, str], tuple[bool, datetime]] = {}

    async def tenant(self, subscription: str) -> str:
        """Return the tenant that a subscription belongs to: it never changes while it holds anything."""
        key = subscription.lower()
        if key not in self._tenants:
            body = await self._arm.read(f"/subscriptions/{subscription}", _API)
            self._tenants[key] = text(lookup(body, "tenantId")).lower()
        return self._tenants[key]

    async def has(self, subscription: str, provider: str) -> bool:
        """Return whether a provider is registered, asked once an hour. Who may not ask learns from the refusal that
        comes later.
        """
        key, now = (subscription.lower(), provider.lower()), self._clock.now()
        known, until = self._registered.get(key, (True, now))
        if until <= now:
            known = await self._ask(subscription, provider)
            self._registered[key] = known, now + _FOR
            while len(self._registered) > _MOST:
                del self._registered[next(iter(self._registered))]
        return known

    async def _ask(self, subscription: str, provider: str) -> bool:
        try:
            body = await self._arm.read(f"/subscriptions/{subscription}/providers/{provider}", _PROVIDERS_API)
        except (NotThere, Refusal):
            return True
        return text(lookup(body, "registrationState")).lower() not in {"notregistered", "unregistered"}
