"""Whether subscriptions know the resource providers that a first key takes. Reported, never registered by the app."""

from __future__ import annotations

from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Address, parse_arm_id
from shared.domain.vault import Vault
from shared.usecases.context import Context

_VAULTS, _EVENTS = "Microsoft.KeyVault", "Microsoft.EventGrid"


async def unregistered(context: Context, address: Address, vault: Vault) -> Blocked | None:
    """Return which provider is missing where: that of vaults in the vault's subscription, the resource's own in its."""
    own = address.arm.type.partition("/")[0]
    for subscription, provider in ((parse_arm_id(vault.id).subscription, _VAULTS), (address.arm.subscription, own)):
        if not await context.ports.subscriptions.has(subscription, provider):
            return Blocked(Reason.PROVIDER_NOT_REGISTERED, detail=f"{provider} in subscription {subscription}")
    return None


async def unheard(context: Context, address: Address) -> str:
    """Return what to know of a subscription that sends no events: its resources wait for the sweep."""
    subscription = address.arm.subscription
    if await context.ports.subscriptions.has(subscription, _EVENTS):
        return ""
    return f"{_EVENTS} is not registered in subscription {subscription}: no event tells of new resources there"
