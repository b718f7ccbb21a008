"""Reading what a plan is made from: the resource as it is, and the histories of the keys it uses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.keys import BadKeyUrl, KeyHistory, KeyId, KeyRules, NeedMaterial, latest_usable, newest_usable
from shared.domain.order import Order
from shared.domain.plan import Facts, wants_ground
from shared.domain.policy import Rule
from shared.domain.reached import Reach
from shared.domain.reasons import Blocked, Reason, Waited
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.domain.wish import Wish
from shared.errors import NotThere, Refusal, TryLater
from shared.usecases.context import FRESH, Context
from shared.usecases.founding import acquainted
from shared.usecases.reach import NOTHING_ASKED, reach_of, reach_of_wished
from shared.usecases.survey import survey

DELETED_FOR = timedelta(hours=1)  # that it is remembered which vault was deleted


class Seen(Struct, frozen=True):
    """A body and when its reading began."""

    body: Json
    at: datetime


async def see(context: Context, service: Service, address: Address) -> Seen | None:
    """Read the resource. None: there is no such resource."""
    at = context.ports.clock.now()
    body = await context.ports.resources.get(service, address)
    return None if body is None else Seen(body, at)


class Wanted(Struct, frozen=True):
    """What is wanted of a resource: by its rule, by a caller, what the work has been waiting for, and since when it is
    asked whether its keys are within reach.
    """

    rule: Rule | None
    wish: Wish | None = None
    waited: Waited | None = None
    order: Order = Order()
    reach: datetime | None = None


async def gather(
    context: Context, service: Service, address: Address, seen: Seen, wanted: Wanted, *, keys_as_of: datetime
) -> Facts:
    """Return the facts about a resource that was just read, its keys' histories no older than `keys_as_of`.

    Raises Refusal when the body names a key in an unknown form, TryLater when a vault does not answer now.
    """
    uses = read_uses(service, seen.body)
    await acquainted(context, address, seen.body, wanted.rule)
    context.recent.note_uses(address, uses)
    now = context.ports.clock.now()
    keys: dict[KeyId, KeyHistory | Blocked] = {}
    named = (wanted.wish.key, wanted.wish.through) if wanted.wish is not None else ()
    wished = [one.key for one in named if one is not None]
    reached = NOTHING_ASKED
    if wanted.reach is not None:
        since = max(keys_as_of, wanted.reach)
        reached = await reach_of(context, service, address, seen.body, uses, since)
    for key in dict.fromkeys([*wished, *(use.configured.key for use in uses if not use.tenant_is_foreign)]):
        mine = tuple(use for use in uses if use.configured.key == key)
        if key.host in reached.deleted:
            keys[key] = Blocked(Reason.VAULT_DELETED, detail=reached.deleted[key.host])
            continue
        keys[key] = await _history(context, service.traits_of(seen.body).accepts, key, mine, keys_as_of, now)
    # One moment for choosing what to read and for planning: a version that expires in between must not surprise.
    facts = Facts(service, address, seen.body, uses, keys, now, wanted.rule, wanted.waited, context.own, wanted.wish)
    facts = replace(
        facts, order=wanted.order, reach=reached.reach, wished=await _within_reach(context, facts, keys_as_of)
    )
    return await _on_its_ground(context, facts, keys_as_of)


async def _within_reach(context: Context, facts: Facts, as_of: datetime) -> Mapping[tuple[str, KeyId], Reach]:
    """Return who reaches the keys that a wish names, where the resource uses another one so far."""
    wish = facts.wish
    if wish is None or wish.key is None or facts.service.traits_of(facts.body).elsewhere:
        return {}
    uses = [use for use in facts.uses if wish.slot in {"", use.slot} and not use.tenant_is_foreign]
    slots = {
        use.slot for use in uses if use.configured.key != wish.key.key or wish.identity is not None or wish.through
    }
    if not uses:
        slots = {wish.slot or facts.service.main_slot}
    return await reach_of_wished(context, facts, wish, frozenset(slots), as_of)


async def _on_its_ground(context: Context, facts: Facts, keys_as_of: datetime) -> Facts:
    """Add what a first key would stand on, if the rule wants one."""
    if facts.rule is None or not wants_ground(facts):
        return facts
    ground = await survey(context, facts, facts.rule)
    if isinstance(ground, Blocked):
        return replace(facts, ground=ground)
    history: KeyHistory | Blocked = Blocked(Reason.KEY_NOT_FOUND, detail=ground.key.url)
    if ground.founding is None:  # a vault that is not there holds no key
        accepts = facts.service.traits_of(facts.body).accepts
        history = await _history(context, accepts, ground.key, (), keys_as_of, facts.now)
        if isinstance(history, Blocked) and history.reason is Reason.KEY_NOT_FOUND:
            ground = replace(ground, deleted=await _is_deleted(context, ground.key))
    return replace(facts, ground=ground, keys={**facts.keys, ground.key: history})


async def _is_deleted(context: Context, key: KeyId) -> bool:
    """Return whether a deleted key holds the name; where the vault does not say, making one shows it."""
    try:
        return await context.ports.keys.is_deleted(key)
    except Refusal:
        return False


def read_uses(service: Service, body: Json) -> tuple[KeyUse, ...]:
    """Return the keys a body uses. Raises Refusal (KEY_UNREADABLE)."""
    try:
        return service.read(body)
    except BadKeyUrl as error:
        raise Refusal(Reason.KEY_UNREADABLE, str(error)) from error


def fresh_enough(context: Context) -> datetime:
    """Return how old knowledge of a key may be to decide on it."""
    return context.ports.clock.now() - FRESH


async def _history(
    context: Context, accepts: KeyRules, key: KeyId, uses: tuple[KeyUse, ...], as_of: datetime, now: datetime
) -> KeyHistory | Blocked:
    ports = context.ports
    if await ports.vaults.by_host(key.host) is None:
        return await _unknown(context, key.host, used=bool(uses))
    try:
        history = await ports.keys.history(key, not_older_than=as_of)
        named = {use.configured.version for use in uses} | {use.effective for use in uses}
        if any(version and history.find(version) is None for version in named):
            # The resource knows a version that our copy does not: ours is behind, whatever its age.
            history = await ports.keys.history(key, not_older_than=ports.clock.now())
        try:
            for follows in {use.follows for use in uses} or (False, True):
                history = await with_materials(context, history, accepts, now, follows=follows)
        except NotThere as error:  # the key was there a moment ago; if it is gone, the next look says so
            detail = "a version is listed that the vault does not show"
            raise TryLater(Reason.SERVICE_UNAVAILABLE, detail) from error
    except NotThere:
        return Blocked(Reason.KEY_NOT_FOUND, detail=key.url)
    except Refusal as refusal:
        return Blocked(refusal.reason, detail=refusal.detail)
    return history


async def _unknown(context: Context, host: str, *, used: bool) -> Blocked:
    """Return what is known of a vault that nobody has: one whose keys a resource uses may have been deleted."""
    if ".managedhsm." in host:
        return Blocked(Reason.MANAGED_HSM, detail=host)
    deleted = ""
    if used:
        with suppress(TryLater):
            deleted = await _deleted(context, host)
    return Blocked(Reason.VAULT_DELETED, detail=deleted) if deleted else Blocked(Reason.VAULT_NOT_KNOWN, detail=host)


async def _deleted(context: Context, host: str) -> str:
    """Return the id of the deleted vault of a host, or "". It takes a list for each subscription, so the answer holds
    for a while.
    """
    what, now = f"deleted vault {host}", context.ports.clock.now()
    known = context.recent.seen(what, now - DELETED_FOR)
    if isinstance(known, str):
        return known
    found = await context.ports.vaults.deleted(host)
    context.recent.note_seen(what, found, now)
    return found


async def with_materials(
    context: Context, history: KeyHistory, accepts: KeyRules, now: datetime, *, follows: bool
) -> KeyHistory:
    """Return the history with as much material as choosing a version at `now` needs. Raises AppError."""
    choose = latest_usable if follows else newest_usable
    while isinstance(found := choose(history, accepts, now), NeedMaterial):
        material = await context.ports.keys.material(history.key, found.version)
        history = history.with_material(found.version, material)
    return history
