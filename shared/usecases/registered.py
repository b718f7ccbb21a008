"""Whether subscriptions know the resource providers that a first key takes, and what is done about it if not."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.policy import Rule
from shared.domain.providers import RegisterProvider, Registration
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Address, parse_arm_id
from shared.domain.service import May
from shared.usecases.context import Context

VAULTS, _EVENTS = "Microsoft.KeyVault", "Microsoft.EventGrid"


class Providers(Struct, frozen=True):
    """`missing`: what is registered first. `going`: what is being registered and waited for, "" for nothing.

    `remark`: what people should know of the rest.
    """

    missing: tuple[RegisterProvider, ...] = ()
    going: str = ""
    remark: str = ""


async def providers_for(context: Context, rule: Rule, address: Address, vault: str) -> Providers | Blocked:
    """Return how it stands with that of vaults in the vault's subscription, and with the resource's own and Event
    Grid's in its. Without the last no event tells of new resources: it is told, registered, but not waited for.
    """
    own, here = address.arm.type.partition("/")[0], address.arm.subscription
    may = May.REGISTER_PROVIDER in rule.may
    missing: list[RegisterProvider] = []
    going: list[str] = []
    for subscription, provider in ((parse_arm_id(vault).subscription, VAULTS), (here, own)):
        state = await context.ports.subscriptions.registration(subscription, provider, sure=may)
        if state is Registration.GOING:
            going.append(f"{provider} in subscription {subscription}")
        elif state is Registration.MISSING and not may:
            detail = f"{provider} in subscription {subscription}; the rule would have to say may: [register-provider]"
            return Blocked(Reason.PROVIDER_NOT_REGISTERED, detail=detail)
        elif state is Registration.MISSING:
            missing.append(RegisterProvider(subscription, provider))
    if await context.ports.subscriptions.registration(here, _EVENTS, sure=may) is not Registration.MISSING:
        return Providers(tuple(missing), ", ".join(going))
    if may:
        return Providers((*missing, RegisterProvider(here, _EVENTS)), ", ".join(going))
    told = f"{_EVENTS} is not registered in subscription {here}: no event tells of new resources there"
    return Providers(tuple(missing), ", ".join(going), told)
