"""What is asked of subscriptions themselves, through Azure Resource Manager."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.adapters.arm import Arm
from shared.domain.jsonpath import lookup, text
from shared.domain.providers import RegisterProvider, Registration, registration_of
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
        self._registered: dict[tuple[str, str], tuple[Registration, datetime]] = {}

    async def tenant(self, subscription: str) -> str:
        """Return the tenant that a subscription belongs to: it never changes while it holds anything."""
        key = subscription.lower()
        if key not in self._tenants:
            body = await self._arm.read(f"/subscriptions/{subscription}", _API)
            self._tenants[key] = text(lookup(body, "tenantId")).lower()
        return self._tenants[key]

    async def registration(self, subscription: str, provider: str, *, sure: bool) -> Registration:
        """Return how a provider stands, asked once an hour, and again if `sure` while it is missing. Who may not ask
        learns from the refusal that comes later.
        """
        key, now = (subscription.lower(), provider.lower()), self._clock.now()
        known, until = self._registered.get(key, (Registration.GOING, now))
        if until <= now or (sure and known is Registration.MISSING):
            known = await self._ask(subscription, provider)
            self._note(key, known, now + (timedelta(0) if known is Registration.GOING else _FOR))
        return known

    async def register(self, step: RegisterProvider) -> None:
        """Ask for the registration, and for how it stands whenever that is wanted next."""
        await self._arm.post(f"{_place(step.subscription, step.provider)}/register", _PROVIDERS_API)
        self._registered.pop((step.subscription.lower(), step.provider.lower()), None)

    def _note(self, key: tuple[str, str], state: Registration, until: datetime) -> None:
        self._registered[key] = state, until
        while len(self._registered) > _MOST:
            del self._registered[next(iter(self._registered))]

    async def _ask(self, subscription: str, provider: str) -> Registration:
        try:
            body = await self._arm.read(_place(subscription, provider), _PROVIDERS_API)
        except (NotThere, Refusal):
            return Registration.THERE
        return registration_of(text(lookup(body, "registrationState")))


def _place(subscription: str, provider: str) -> str:
    return f"/subscriptions/{subscription}/providers/{provider}"
