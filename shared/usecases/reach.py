"""Reading whether a resource still reaches the vaults of its keys: their settings, and what its identity may do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct

from shared.domain.acting import Acting
from shared.domain.identity import principal_in
from shared.domain.keys import KeyId
from shared.domain.plan import Facts
from shared.domain.reached import Holder, Reach
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.domain.vault import Grant, Vault
from shared.domain.wish import Wish
from shared.errors import NotThere, Refusal
from shared.usecases.context import Context
from shared.usecases.identities import gone_by, identities_of


class Reached(Struct, frozen=True):
    """What was found: by slot the vault with who reaches it, by host the ids of vaults that were deleted."""

    reach: Mapping[str, Reach]
    deleted: Mapping[str, str]


NOTHING_ASKED = Reached(MappingProxyType({}), MappingProxyType({}))


async def reach_of(
    context: Context, service: Service, address: Address, body: Json, uses: tuple[KeyUse, ...], as_of: datetime
) -> Reached:
    """Return what can be told of the vaults whose keys a resource uses. What the app may not read is left out: nobody
    is told of lost access on no knowledge. Raises TryLater.
    """
    reach: dict[str, Reach] = {}
    deleted: dict[str, str] = {}
    for use in uses:
        host = use.configured.key.host
        if use.tenant_is_foreign or host in deleted:
            continue
        try:
            vault = await _vault(context, host, as_of)
            if vault is not None:
                acts = service.traits_of(body, use.slot).acts
                gone = await gone_by(context, acts, address, body, use, as_of)
                principals = () if gone else await _principals(context, acts, address, body, use.identity)
                holders = [Holder(one, await _grants(context, vault, one, as_of)) for one in principals]
                reach[use.slot] = Reach(vault, tuple(holders), gone)
            elif gone := await context.ports.vaults.deleted(host):
                deleted[host] = gone
        except (Refusal, NotThere):
            continue
    return Reached(reach, deleted)


async def reach_of_wished(
    context: Context, facts: Facts, wish: Wish, slots: frozenset[str], as_of: datetime
) -> Mapping[tuple[str, KeyId], Reach]:
    """Return what can be told of the vaults whose keys a wish names, by slot and key. A role with a condition counts
    here: what it allows cannot be told, so nobody is refused for it. Raises TryLater.
    """
    found: dict[tuple[str, KeyId], Reach] = {}
    uses = {use.slot: use for use in facts.uses} if wish.identity is None else {}
    for slot in slots:
        use, acts = uses.get(slot), facts.service.traits_of(facts.body, slot).acts
        who = wish.identity if use is None else use.identity
        for key in {one.key for one in (wish.key, wish.through) if one is not None}:
            with suppress(Refusal, NotThere):
                vault = await _vault(context, key.host, as_of)
                if vault is None:
                    continue
                gone = "" if use is None else await gone_by(context, acts, facts.address, facts.body, use, as_of)
                principals = await _principals(context, acts, facts.address, facts.body, who)
                holders = [Holder(one, await _grants(context, vault, one, as_of, all_=True)) for one in principals]
                found[slot, key] = Reach(vault, tuple(holders), gone)
    return found


async def _vault(context: Context, host: str, as_of: datetime) -> Vault | None:
    known = context.recent.seen(f"vault {host}", as_of)
    if isinstance(known, Vault):
        return known
    if await context.ports.vaults.by_host(host) is None:
        return None
    at = context.ports.clock.now()
    found = await context.ports.vaults.settings(host)
    if found is not None:
        context.recent.note_seen(f"vault {host}", found, at)
    return found


async def _principals(
    context: Context, acts: Acting, address: Address, body: Json, chosen: str | None = None
) -> tuple[str, ...]:
    """Return whom a resource reaches its key as; () where nobody can tell. `chosen`: the identity that it shall be."""
    if acts.application:
        return tuple(filter(None, [context.first_party.get(acts.application, "")]))
    if acts.shown is not None:
        return tuple(filter(None, [acts.shown(body)]))
    owner, identities = await identities_of(context, acts, address, body, chosen)
    found = [principal_in(owner, one) for one in identities if (acts.user if one else acts.system)]
    return tuple(filter(None, found))


async def _grants(
    context: Context, vault: Vault, principal: str, as_of: datetime, *, all_: bool = False
) -> tuple[Grant, ...]:
    if not vault.rbac:
        return ()
    what = f"grants {principal} {vault.id}{' and conditional ones' if all_ else ''}"
    known = context.recent.seen(what, as_of)
    if isinstance(known, tuple):
        return known
    at = context.ports.clock.now()
    ask = context.ports.grants.assigned if all_ else context.ports.grants.held
    found = await ask(vault.id, principal)
    context.recent.note_seen(what, found, at)
    return found
