"""The policy: rules in order, the first that matches decides what may be done to a resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from shared.domain.courtesy import Courtesy
from shared.domain.life import AccessLost, NearExpiry
from shared.domain.new_vault import NewVault
from shared.domain.service import May
from shared.domain.vault_rules import VaultExpected


class Mode(Enum):
    """What is done about what a rule is for."""

    FIX = "fix"
    REPORT = "report"
    IGNORE = "ignore"


class Version(Enum):
    """How a resource shall point at its key."""

    KEEP = "keep"  # as it does
    FOLLOW = "follow"
    PIN = "pin"


class Region(Enum):
    """What is done about a key that lies in another region than its resource."""

    REQUIRE = "require"  # no such key
    REPORT = "report"  # it is used, and told of


class Origin(Enum):
    """Where a key's material comes from."""

    VAULT = "vault"
    IMPORTED = "imported"  # from elsewhere: never made and never rotated in the vault


Globs = tuple[str, ...]
SYSTEM = "system"
NO_TAGS: Mapping[str, str] = MappingProxyType({})


class Where(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which resources are meant: every field that is given must fit, and one of its patterns is enough.

    Patterns know `*`, `?` and `[...]`, compare without case, and must fit the whole word. A subscription is an id, a
    location `westeurope`, a resource group its name, a tag pattern is for the tag's value.
    """

    types: Globs = ()
    kinds: Globs = ()
    names: Globs = ()
    subscriptions: Globs = ()
    management_groups: Globs = ()
    resource_groups: Globs = ()
    locations: Globs = ()
    tags: Mapping[str, str] = NO_TAGS


class NewKey(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a key is made like, where there is none. A first version lives as long as those that rotation makes.

    Key Vault rotates no sooner than 7 days after a version was made, and a version that rotation makes lives for 28
    days at least [learn key-vault/keys/how-to-configure-key-rotation].
    """

    type: Literal["RSA", "RSA-HSM"] = "RSA"
    size: Literal[2048, 3072, 4096] = 3072
    not_before: datetime | None = None
    expires_after_days: Annotated[int, Meta(ge=28, le=36_500)] | None = None
    rotate_after_days: Annotated[int, Meta(ge=7, le=36_500)] | None = None
    tags: dict[str, str] = {}  # a dict, since it is reported as it is


class Rule(Courtesy, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One rule. What it does not say is reported and nothing more.

    `key` is the versionless identifier of the key that resources begin to use, with the places that
    shared/domain/key_template.py fills in. `identity`: `system`, or the id of the user-assigned one that reaches it.
    """

    name: str
    where: Where = Where()
    unless: tuple[Where, ...] = ()
    rotation: Mode = Mode.REPORT
    encryption: Mode = Mode.REPORT
    version: Version = Version.KEEP
    may: frozenset[May] = frozenset()
    key: str = ""
    create_key: NewKey | None = None
    create_vault: NewVault | None = None
    origin: Origin = Origin.VAULT
    identity: str = SYSTEM
    same_region: Region = Region.REPORT
    near_expiry: NearExpiry = NearExpiry.NOTIFY
    access_lost: AccessLost = AccessLost.REPORT


class VaultRule(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is expected of the vaults that it is meant for. Only told: hardening is a step of enforcement."""

    name: str
    expect: VaultExpected
    where: Where = Where()
    unless: tuple[Where, ...] = ()


class Expect(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Subscriptions that must be readable; one that is not is reported by every sweep."""

    subscriptions: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()


class Policy(Struct, frozen=True):
    """The whole policy. `writes` off stops every change."""

    rules: tuple[Rule, ...]
    writes: bool = True
    expect: Expect = Expect()
    vaults: tuple[VaultRule, ...] = ()

    @property
    def asks_for_groups(self) -> bool:
        """Return whether any rule hangs on management groups, which cost a query to know."""
        rules: tuple[Rule | VaultRule, ...] = (*self.rules, *self.vaults)
        return any(where.management_groups for rule in rules for where in (rule.where, *rule.unless))

    def asks_about_parent(self, type_: str) -> bool:
        """Return whether, for a child of this type, a rule hangs on what only its parent can tell."""
        return any(
            (not where.types or _fits(where.types, type_)) and (where.kinds or where.locations or where.tags)
            for rule in self.rules
            for where in (rule.where, *rule.unless)
        )


_R = TypeVar("_R", Rule, VaultRule)


class Site(Struct, frozen=True):
    """What a policy may ask about a resource. A child has its parent's kind, location and tags."""

    type: str
    name: str
    subscription: str
    resource_group: str
    kind: str = ""
    location: str = ""
    tags: Mapping[str, str] = NO_TAGS
    management_groups: tuple[str, ...] = ()  # from the subscription's own up to the root


def decide(rules: Sequence[_R], site: Site) -> _R | None:
    """Return the first rule that is meant for the resource, or None: nothing outside the policy is written."""
    return next((rule for rule in rules if matches(rule, site)), None)


def matches(rule: Rule | VaultRule, site: Site) -> bool:
    """Return whether the rule is meant for the resource."""
    return why_not(rule, site) is None


def why_not(rule: Rule | VaultRule, site: Site) -> str | None:
    """Return why the rule is not meant for the resource, in words that name the field; None: it is."""
    if (field := _misfit(rule.where, site)) is not None:
        return f"where.{field}"
    at = next((at for at, where in enumerate(rule.unless) if _misfit(where, site) is None), None)
    return None if at is None else f"unless[{at}] is meant for it"


def _misfit(where: Where, site: Site) -> str | None:
    """Return the first field of `where` that does not fit, with what the resource has there; None: all fit."""
    has = {
        "types": (where.types, (site.type,)),
        "kinds": (where.kinds, (site.kind,)),
        "names": (where.names, (site.name,)),
        "subscriptions": (where.subscriptions, (site.subscription,)),
        "managementGroups": (where.management_groups, site.management_groups),
        "resourceGroups": (where.resource_groups, (site.resource_group,)),
        "locations": (where.locations, (site.location.replace(" ", ""),)),
    }
    for field, (patterns, found) in has.items():
        if patterns and not any(_fits(patterns, one) for one in found):
            return f"{field} does not take {', '.join(found) or 'nothing'}"
    for name, pattern in where.tags.items():
        values = [value for key, value in site.tags.items() if key.lower() == name.lower()]
        if not any(_fits((pattern,), value) for value in values):
            return f"tags.{name} does not take {', '.join(values) or 'its absence'}"
    return None


def _fits(patterns: Globs, text: str) -> bool:
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def shadowed(rules: Sequence[Rule]) -> dict[int, int]:
    """Return the rules that are never asked, each with the rule before it that takes all that it would take.

    Only what is certain: two patterns that mean the same without being written the same are not compared.
    """
    found: dict[int, int] = {}
    for at, rule in enumerate(rules):
        by = next((before for before in range(at) if _takes_all_of(rules[before], rule)), None)
        if by is not None:
            found[at] = by
    return found


def _takes_all_of(first: Rule, later: Rule) -> bool:
    fields = [name for name in Where.__struct_fields__ if name != "tags"]
    wide = all(_wider(getattr(first.where, name), getattr(later.where, name)) for name in fields)
    tags = {name.lower(): pattern for name, pattern in later.where.tags.items()}
    tagged = all(
        name.lower() in tags and _taken((pattern,), tags[name.lower()]) for name, pattern in first.where.tags.items()
    )
    return wide and tagged and all(where in later.unless for where in first.unless)


def _wider(first: Globs, later: Globs) -> bool:
    """Return whether the first patterns surely take all that the later ones take; none take everything."""
    if not first:
        return True
    return bool(later) and all(_taken(first, one) for one in later)


def _taken(first: Globs, one: str) -> bool:
    plain = bool(one) and not set(one) & set("*?[")
    return any(pattern.lower() == one.lower() or (plain and _fits((pattern,), one)) for pattern in first)
