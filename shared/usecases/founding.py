"""The vault that a rule has made where there is none: where it would be, and what has its name now.

Resource Graph shows a new vault minutes later. Until then the rule itself says where it is, and Azure Resource Manager
confirms that the host belongs to it: no other vault becomes known this way.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct

from shared.domain.key_template import key_of
from shared.domain.new_vault import NewVault, fits, place, planned
from shared.domain.policy import Mode, Rule
from shared.domain.preparation import CreateVault, RecoverVault
from shared.domain.providers import Registration
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Address, Json, fold, parse_arm_id
from shared.domain.service import May
from shared.domain.vault import Vault
from shared.errors import Refusal
from shared.usecases.context import Context
from shared.usecases.placing import site_of
from shared.usecases.registered import VAULTS


class Founded(Struct, frozen=True):
    """A vault, and what brings it about; None: it is there."""

    vault: Vault
    step: CreateVault | RecoverVault | None = None


async def founded(
    context: Context, rule: Rule, new: NewVault, address: Address, host: str, location: str
) -> Founded | Blocked:
    """Return the vault of a host that nobody knows, as the rule would have it. Raises AppError."""
    name = host.partition(".")[0]
    if not fits(name):
        return Blocked(Reason.VAULT_NAME, detail=f"{name!r} cannot be the name of a vault")
    id_ = place(new, address.arm.subscription, name)
    if (there := await context.ports.vaults.at(id_)) is not None:
        return Founded(there)
    subscription = parse_arm_id(id_).subscription
    vault = planned(new, id_, host, location, await context.ports.subscriptions.tenant(subscription))
    made = Founded(vault, CreateVault(id_, location, vault.tenant, new.sku))
    if await _unknown(context, rule, subscription):
        return made  # a subscription that knows no vaults cannot be asked about names: it is once it does
    held = await context.ports.vaults.held(id_, location)
    if held.deleted:
        return _recovered(rule, vault, held.deleted)
    if held.taken:
        return Blocked(Reason.VAULT_NAME, detail=held.taken)
    return made


async def _unknown(context: Context, rule: Rule, subscription: str) -> bool:
    sure = May.REGISTER_PROVIDER in rule.may
    state = await context.ports.subscriptions.registration(subscription, VAULTS, sure=sure)
    return state is not Registration.THERE


def _recovered(rule: Rule, vault: Vault, deleted: str) -> Founded | Blocked:
    if fold(deleted) != fold(vault.id):
        return Blocked(Reason.VAULT_DELETED, detail=f"{deleted} has the name; the rule would make {vault.id}")
    if May.RECOVER not in rule.may:
        return Blocked(Reason.VAULT_DELETED, detail=f"{deleted}; the rule would have to say may: [recover]")
    return Founded(vault, RecoverVault(vault.id, vault.location, vault.tenant))


async def acquainted(context: Context, address: Address, body: Json, rule: Rule | None) -> None:
    """Get to know the vault that a rule has made, before its keys are read: another instance may have made it."""
    if rule is None or rule.create_vault is None or rule.encryption is not Mode.FIX or address.parent:
        return
    key = key_of(rule.key, site_of(address, body))
    if isinstance(key, Blocked) or await context.ports.vaults.by_host(key.host) is not None:
        return
    name = key.host.partition(".")[0]
    if not fits(name):
        return
    with suppress(Refusal):  # whoever begins with its key is told; who uses another one has nothing to do with it
        await context.ports.vaults.at(place(rule.create_vault, address.arm.subscription, name))
