"""Letting a subscription know a resource provider."""

from __future__ import annotations

from shared.domain.providers import RegisterProvider
from shared.usecases.context import Context


async def register_provider(context: Context, step: RegisterProvider) -> None:
    """Ask for the registration, which takes minutes: the next look tells how it stands."""
    await context.ports.subscriptions.register(step)
