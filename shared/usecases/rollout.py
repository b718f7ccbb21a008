"""How a roll-out fares, by the index: who is in the line, and who is there already.

The index shows no children (such as encryption scopes), and it is minutes behind: children wait for the waves before
them and are not counted there, and who was just mended counts a little later.
"""

from __future__ import annotations

from shared.domain.code_marks import mark_of
from shared.domain.courtesy import Owned
from shared.domain.keys import BadKeyUrl, parse_key_url
from shared.domain.plan import Facts, forbidden, lacks_key
from shared.domain.policy import Mode, Rule
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.domain.waves import Member, Rollout, place_of, rollout_before
from shared.usecases.context import Context
from shared.usecases.placing import rule_for, tags_in


async def rollout_for(context: Context, rule: Rule, what: str, wave: int) -> Rollout:
    """Return how the waves before this one fare, as of a minute ago at most. Raises AppError."""

    async def ask() -> tuple[Member, ...]:
        return await _members(context, rule, what)

    members = await context.recent.rollouts.get(f"{rule.name}\n{what}", context.ports.clock.now, ask)
    return rollout_before(rule.waves, wave, members)


async def _members(context: Context, rule: Rule, what: str) -> tuple[Member, ...]:
    types = frozenset(service.type.lower() for service in context.services.values() if service.in_graph)
    found: list[Member] = []
    cursor: str | None = None
    while True:
        page = await context.ports.finder.page(types, cursor)
        for row in page.rows:
            service = context.service(str(row.get("type")))
            member = await _member(context, rule, what, service, row) if service else None
            if member is not None:
                found.append(member)
        if page.cursor is None:
            return tuple(found)
        cursor = page.cursor


async def _member(context: Context, rule: Rule, what: str, service: Service, row: Json) -> Member | None:
    """Return a resource's part in the roll-out; None: it has none, or it is not the app that would move it."""
    address = Address(service.type, str(row["id"]))
    try:
        uses = service.read(row)
    except BadKeyUrl:
        return None
    there = _there(rule, what, service, uses)
    if there is None or await _left_alone(context, rule, service, address, row):
        return None
    return Member(address.url, place_of(address.folded, what), there)


def _there(rule: Rule, what: str, service: Service, uses: tuple[KeyUse, ...]) -> bool | None:
    """Return whether a resource is where the roll-out brings it; None: it does not concern it. Followers are not ours
    to hold, nor do they hold others.
    """
    target = parse_key_url(what)
    if target.version is None:
        return None if rule.encryption is not Mode.FIX else not lacks_key(service, uses)
    mine = [use for use in uses if use.configured.key == target.key and not use.follows]
    if not mine:
        return None
    return all(use.configured == target and use.effective in {None, target.version} for use in mine)


async def _left_alone(context: Context, rule: Rule, service: Service, address: Address, row: Json) -> bool:
    own = await rule_for(context, address, row)
    if own is None or own.name != rule.name:
        return True
    if rule.owned_by_code is Owned.REPORT and mark_of(tags_in(row), rule.code_tags):
        return True
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    return (
        forbidden(Facts(service, address, row, (), {}, now, own, own=context.own, managed_groups=managed)) is not None
    )
