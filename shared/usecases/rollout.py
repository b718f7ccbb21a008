"""How a roll-out fares, by the index: who is in the line, and who is there already.

The index shows no children (such as encryption scopes), and it is minutes behind: children travel in the wave of the
resource at their top and are not counted themselves, and who was just mended counts a little later.
"""

from __future__ import annotations

from msgspec import Struct

from shared.domain.code_marks import mark_of
from shared.domain.courtesy import Owned
from shared.domain.key_template import key_of
from shared.domain.keys import BadKeyUrl, KeyHistory, KeyRef, Material, parse_key_url
from shared.domain.plan import Facts, forbidden, lacks_key
from shared.domain.policy import Rule
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json, KeyUse, fold
from shared.domain.service import Service, Verb
from shared.domain.waves import Member, Rollout, line_of, place_of, rollout_before
from shared.usecases.brought import brought_lately
from shared.usecases.context import Context
from shared.usecases.placing import rule_for, site_of, tags_in


class Line(Struct, frozen=True):
    """What is rolled out: a key version and what it is made of, or a first key, which has no version."""

    rule: Rule
    target: KeyRef | None
    material: Material | None = None

    @property
    def name(self) -> str:
        """Return what tells the line apart."""
        return line_of(self.rule.name, self.target.url if self.target else "")


async def rollout_for(context: Context, facts: Facts, rule: Rule, what: str, wave: int) -> Rollout:
    """Return how the waves before this one fare, as of a minute ago at most. Raises AppError."""
    target = parse_key_url(what) if what else None
    history = facts.keys.get(target.key) if target else None
    version = history.find(target.version) if isinstance(history, KeyHistory) and target and target.version else None
    line = Line(rule, target, version.material if version else None)

    async def ask() -> tuple[Member, ...]:
        return await _members(context, line)

    members = await context.recent.rollouts.get(f"{rule.name}\n{line.name}", context.ports.clock.now, ask)
    return rollout_before(rule.waves, wave, members, facts.address.top.folded)


async def _members(context: Context, line: Line) -> tuple[Member, ...]:
    brought = await brought_lately(context) if line.target is None else None
    types = frozenset(service.type.lower() for service in context.services.values() if service.in_graph)
    found: list[Member] = []
    cursor: str | None = None
    while True:
        page = await context.ports.finder.page(types, cursor)
        for row in page.rows:
            service = context.service(str(row.get("type")))
            member = await _member(context, line, service, row) if service else None
            if member is not None and not (brought is not None and member.there and fold(member.id) not in brought):
                found.append(member)
        if page.cursor is None:
            return tuple(found)
        cursor = page.cursor


async def _member(context: Context, line: Line, service: Service, row: Json) -> Member | None:
    """Return a resource's part in the roll-out; None: it has none, or the app would never move it."""
    address = Address(service.type, str(row["id"]))
    try:
        uses = service.read(row)
    except BadKeyUrl:
        return None
    there = _there(line, uses) if line.target else _begun(line.rule, service, address, row, uses)
    if there is None or not _can(line, service, row, uses) or await _left_alone(context, line, service, address, row):
        return None
    return Member(address.url, place_of(address.folded, line.name), there)


def _there(line: Line, uses: tuple[KeyUse, ...]) -> bool | None:
    """Return whether a resource is where the roll-out brings it; None: it does not concern it. Followers are not ours
    to hold, nor do they hold others.
    """
    target, mine = line.target, _mine(line.target, uses)
    if target is None or not mine:
        return None
    return all(use.configured == target and use.effective in {None, target.version} for use in mine)


def _begun(rule: Rule, service: Service, address: Address, row: Json, uses: tuple[KeyUse, ...]) -> bool | None:
    """Return whether a resource has begun with the key that the rule names; None: it uses another, or can use none."""
    if not service.main_slot:
        return None
    if lacks_key(service, uses):
        return False
    mine = [use for use in uses if use.slot == service.main_slot]
    return True if any(use.configured.key == key_of(rule.key, site_of(address, row)) for use in mine) else None


def _mine(target: KeyRef | None, uses: tuple[KeyUse, ...]) -> list[KeyUse]:
    if target is None:
        return []
    return [u for u in uses if u.configured.key == target.key and not u.follows and not u.tenant_is_foreign]


def _can(line: Line, service: Service, row: Json, uses: tuple[KeyUse, ...]) -> bool:
    """Return whether the service can be brought there and the rule allows it: who never goes must not hold the rest."""
    if line.target is None and service.incapable(row):
        return False
    verb = Verb.ENABLE if line.target is None else Verb.REPOINT
    slots = [use.slot for use in _mine(line.target, uses)] or [service.main_slot]
    for traits in (service.traits_of(row, slot) for slot in slots):
        able = not isinstance(traits.ability(verb), Reason) and not traits.elsewhere
        if not able or not traits.permissions(verb) <= line.rule.may:
            return False
    return line.material is None or service.traits_of(row).accepts.accept(line.material)


async def _left_alone(context: Context, line: Line, service: Service, address: Address, row: Json) -> bool:
    rule = await rule_for(context, address, row)
    if rule is None or rule.name != line.rule.name:
        return True
    if rule.owned_by_code is Owned.REPORT and mark_of(tags_in(row), rule.code_tags):
        return True
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    facts = Facts(service, address, row, (), {}, now, rule, own=context.own, managed_groups=managed)
    return forbidden(facts) is not None
