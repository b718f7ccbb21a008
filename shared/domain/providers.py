"""Resource providers: whether a subscription knows one."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Registration(Enum):
    """How a provider stands [learn azure-resource-manager/management/resource-providers-and-types]."""

    MISSING = "not registered"
    GOING = "being registered"
    THERE = "registered"


def registration_of(state: str) -> Registration:
    """Read a `registrationState`. What nobody has heard of bars nothing: the service's own refusal decides then."""
    found = {"notregistered": Registration.MISSING, "unregistered": Registration.MISSING}
    return {**found, "registering": Registration.GOING}.get(state.lower(), Registration.THERE)


class RegisterProvider(Struct, frozen=True, tag=True):
    """Let a subscription know a resource provider."""

    subscription: str
    provider: str
