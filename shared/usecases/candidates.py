"""Which resources of an index are worth a look, and which are there already or being watched."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from shared.domain.keys import KeyHistory, KeyId, KeyVersion, latest_usable, newest_usable
from shared.domain.resource import Address, KeyUse, fold
from shared.domain.service import Service
from shared.errors import NotThere, Refusal
from shared.usecases.context import Context
from shared.usecases.observe import fresh_enough, with_materials


class Scope(Struct, frozen=True):
    """What a look is about: a key, the keys of vaults (`hosts`), or everything (None).

    `history` is None when the key cannot be read or when more than one key is meant. `key_is_gone`: there is no such
    key (any more). `ordered`: somebody ordered more than a look, which those on the queue do not know of.
    """

    key: KeyId | None = None
    hosts: frozenset[str] | None = None
    history: KeyHistory | None = None
    key_is_gone: bool = False
    ordered: bool = False

    def concerns(self, uses: tuple[KeyUse, ...]) -> bool:
        """Return whether any of these uses is meant."""
        if self.key is not None:
            return any(use.configured.key == self.key for use in uses)
        return bool(uses) if self.hosts is None else any(use.configured.key.host in self.hosts for use in uses)


async def scope_of(context: Context, key: KeyId, asked_at: datetime) -> Scope:
    """Return the scope of one key with its history, if that can be read. Raises TryLater.

    The history must not be older than the question: an event tells of a version that a moment ago was not there.
    """
    if await context.ports.vaults.by_host(key.host) is None:
        return Scope(key)
    try:
        history = await context.ports.keys.history(key, not_older_than=max(asked_at, fresh_enough(context)))
    except NotThere:
        return Scope(key, key_is_gone=True)
    except Refusal:
        return Scope(key)  # each user is looked at and reports the same; who they are is what counts now
    return Scope(key, history=history)


async def scope_within(context: Context, above: str) -> Scope:
    """Return the scope of the vaults of a subscription or resource group, by its folded id. Raises TryLater."""
    found = await context.ports.vaults.found()
    return Scope(hosts=frozenset(site.host for site in found if fold(site.id).startswith(f"{above}/")))


async def worth_a_look(
    context: Context,
    scope: Scope,
    service: Service,
    address: Address,
    uses: tuple[KeyUse, ...] | None,
    *,
    reach: bool = False,
) -> bool:
    """Return whether a resource, as an index shows it, should be looked at.

    Not if it is not concerned, not if it is watched (a look is on the queue, and it still points at its keys as it did
    when that was put there), and not if the index shows each use where it should be, by configuration and in effect.
    The index may be minutes behind: who leaves the version in that time raises an event of its own, and the sweep finds
    who does not. Uses that cannot be read are worth a look: the check reports them. `reach`: whether they still reach
    their keys is asked, which no index tells.
    """
    if uses is None:
        return True
    if reach or not scope.concerns(uses):
        return scope.concerns(uses)
    if not scope.ordered and context.recent.is_watched(address, uses, context.ports.clock.now()):
        return False
    return not await _there_already(context, scope, service, uses)


async def all_there(context: Context, service: Service, uses: tuple[KeyUse, ...]) -> bool:
    """Return whether an index shows every use where its key's versions, read just now, say it should be.

    Raises TryLater.
    """
    keys = dict.fromkeys(use.configured.key for use in uses)
    scopes = [await scope_of(context, key, fresh_enough(context)) for key in keys]
    return all([await _there_already(context, scope, service, uses) for scope in scopes])


async def _there_already(context: Context, scope: Scope, service: Service, uses: tuple[KeyUse, ...]) -> bool:
    if scope.history is None:
        return False
    for use in uses:
        if use.configured.key != scope.key:
            continue
        target = await _target(context, scope.history, service, follows=use.follows)
        if target is None or use.effective != target.version:
            return False
        if not use.follows and use.configured.version != target.version:
            return False
    return True


async def _target(context: Context, history: KeyHistory, service: Service, *, follows: bool) -> KeyVersion | None:
    now = context.ports.clock.now()
    try:
        filled = await with_materials(context, history, service.traits.accepts, now, follows=follows)
    except (NotThere, Refusal):
        return None  # nobody can be said to be there; each user reports why
    choose = latest_usable if follows else newest_usable
    target = choose(filled, service.traits.accepts, now)
    return target if isinstance(target, KeyVersion) else None
