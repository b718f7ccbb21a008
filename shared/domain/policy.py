"""The policy: rules in order, the first that matches decides what may be done to a resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType

from msgspec import Struct

from shared.domain.service import May


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


Globs = tuple[str, ...]
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


class Rule(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One rule. What it does not say is reported and nothing more."""

    name: str
    where: Where = Where()
    unless: tuple[Where, ...] = ()
    rotation: Mode = Mode.REPORT
    encryption: Mode = Mode.REPORT
    version: Version = Version.KEEP
    may: frozenset[May] = frozenset()


class Expect(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Subscriptions that must be readable; one that is not is reported by every sweep."""

    subscriptions: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()


class Policy(Struct, frozen=True):
    """The whole policy. `writes` off stops every change."""

    rules: tuple[Rule, ...]
    writes: bool = True
    expect: Expect = Expect()

    @property
    def asks_for_groups(self) -> bool:
        """Return whether any rule hangs on management groups, which cost a query to know."""
        return any(where.management_groups for rule in self.rules for where in (rule.where, *rule.unless))

    def asks_about_parent(self, type_: str) -> bool:
        """Return whether, for a child of this type, a rule hangs on what only its parent can tell."""
        return any(
            _fits(where.types, type_) and (where.kinds or where.locations or where.tags)
            for rule in self.rules
            for where in (rule.where, *rule.unless)
        )


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


def decide(rules: Sequence[Rule], site: Site) -> Rule | None:
    """Return the first rule that is meant for the resource, or None: nothing outside the policy is written."""
    return next((rule for rule in rules if matches(rule, site)), None)


def matches(rule: Rule, site: Site) -> bool:
    """Return whether the rule is meant for the resource."""
    return _within(rule.where, site) and not any(_within(where, site) for where in rule.unless)


def _within(where: Where, site: Site) -> bool:
    return (
        _fits(where.types, site.type)
        and _fits(where.kinds, site.kind)
        and _fits(where.names, site.name)
        and _fits(where.subscriptions, site.subscription)
        and _fits(where.resource_groups, site.resource_group)
        and _fits(where.locations, site.location.replace(" ", ""))
        and (not where.management_groups or any(_fits(where.management_groups, one) for one in site.management_groups))
        and all(_tagged(site.tags, name, pattern) for name, pattern in where.tags.items())
    )


def _fits(patterns: Globs, text: str) -> bool:
    return not patterns or any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def _tagged(tags: Mapping[str, str], name: str, pattern: str) -> bool:
    """Compare a tag; names of tags have no case in Azure, values have, but nobody means them to."""
    return any(key.lower() == name.lower() and _fits((pattern,), value) for key, value in tags.items())
