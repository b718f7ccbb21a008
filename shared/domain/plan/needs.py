"""What a row of steps takes of the app itself: its own rights, and room."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.beforehand import Need
from shared.domain.plan.facts import Facts, Ground, SetKeys, Step
from shared.domain.preparation import (
    AssignIdentity,
    CreateVault,
    GrantAccess,
    Preparation,
    RecoverKey,
    RecoverVault,
    place_of,
    right_for,
)
from shared.domain.providers import RegisterProvider
from shared.domain.reasons import Blocked, Wait
from shared.domain.resource import Audience, parse_arm_id

_ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
_READ_KEYS = "Microsoft.KeyVault/vaults/keys/read"  # a data action; a new vault has no grants but those above it


def needs_of(steps: tuple[Step, ...], facts: Facts) -> tuple[Need, ...]:
    """Return what each write takes, the first one first."""
    founded = {step.vault for step in steps if isinstance(step, CreateVault | RecoverVault)}
    return tuple(dict.fromkeys(need for step in steps for need in _needs(step, facts, founded)))


def homes_of(steps: tuple[Step, ...]) -> tuple[tuple[str, str], ...]:
    """Return the ids of the resource groups in which a vault is to come about, each with the vault's location."""
    vaults = [step for step in steps if isinstance(step, CreateVault | RecoverVault)]
    return tuple(("/".join(step.vault.split("/")[:5]), step.location) for step in vaults)


def assigns_roles_in(steps: tuple[Step, ...]) -> str:
    """Return the subscription in which a role is to be assigned, "" if none is."""
    grants = (step for step in steps if isinstance(step, GrantAccess) and step.role)
    return next((parse_arm_id(step.vault).subscription for step in grants), "")


def _needs(step: Step, facts: Facts, founded: set[str]) -> Iterator[Need]:
    if isinstance(step, Blocked | Wait | RegisterProvider):
        return
    if isinstance(step, SetKeys):
        write = f"{facts.address.type}/write"
        told = {action.lower() for action in facts.service.traits_of(facts.body).actions}
        if (
            write.lower() in told and facts.service.audience is Audience.ARM
        ):  # else it is no write of Resource Manager's
            yield Need(facts.address.url, write, facts.address.url)
    elif isinstance(step, AssignIdentity):
        place = place_of(step, facts.address.url)
        yield Need(place, right_for(step, parse_arm_id(place).type), place)
        if step.identity:
            yield Need(step.identity, _ASSIGN, step.identity)
    else:
        yield from _at_vault(step, "" if step.vault in founded else step.vault, facts)


def _at_vault(step: Preparation, there: str, facts: Facts) -> Iterator[Need]:
    place, right = place_of(step, ""), right_for(step, "")
    by_roles = isinstance(facts.ground, Ground) and facts.ground.vault.rbac
    if by_roles or not isinstance(step, RecoverKey):  # its access policies are the vault's own, and tell nothing here
        yield Need(place, right, there, data=isinstance(step, RecoverKey))
    if isinstance(step, CreateVault):
        yield Need(place, _READ_KEYS, there, data=True)
