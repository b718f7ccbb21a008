"""`cmkctl policy check`: what a policy says, or everything that is wrong with it; and which rule decides a resource."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.adapters.yaml_lines import parse_policy
from shared.domain.policy import Policy, Rule, Site, Where, shadowed, why_not
from shared.domain.policy_text import BadPolicy
from shared.domain.resource import BadAddress, parse_arm_id

_UNNAMED = Where()


def check(path: Path, site: Site | None = None, console: Console | None = None) -> int:
    """Print the rules of a file, or its problems; with a site, which rule decides and why those before do not. Returns
    1 when the app would not take the file.
    """
    console = console or Console()
    try:
        policy = parse_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        console.print(f"{escape(str(path))} cannot be read: {escape(str(error))}", soft_wrap=True)
        return 1
    except BadPolicy as error:
        for problem in error.problems:
            console.print(f"{escape(str(path))}: {escape(str(problem))}", soft_wrap=True)
        return 1
    _show(policy, console)
    if site is not None:
        _decide(policy, site, console)
    return 0


def site_of(
    resource: str, *, location: str = "", kind: str = "", tags: Sequence[str] = (), groups: Sequence[str] = ()
) -> Site:
    """Return the site of a resource id and what its body would say. Raises ValueError."""
    try:
        arm = parse_arm_id(resource)
    except BadAddress as error:
        raise ValueError(str(error)) from error
    if wrong := [tag for tag in tags if "=" not in tag]:
        raise ValueError(f"a tag is name=value, not {wrong[0]!r}")
    named = {name: value for name, _, value in (tag.partition("=") for tag in tags)}
    return Site(arm.type, arm.name, arm.subscription, arm.group, kind, location, named, tuple(groups))


def _show(policy: Policy, console: Console) -> None:
    table = Table("#", "rule", "for", "rotation", "encryption", "version", "may", title=_title(policy))
    for at, rule in enumerate(policy.rules, 1):
        may = ", ".join(sorted(one.value for one in rule.may)) or "-"
        modes = (rule.rotation.value, rule.encryption.value, rule.version.value)
        table.add_row(str(at), escape(rule.name), escape(_meant(rule)), *modes, may)
    console.print(table)
    for at, by in shadowed(policy.rules).items():
        names = f"rule {at + 1} ({policy.rules[at].name}) is never asked: rule {by + 1} ({policy.rules[by].name})"
        console.print(f"warning: {escape(names)} takes all that it would", soft_wrap=True)


def _title(policy: Policy) -> str:
    expected = len(policy.expect.subscriptions) + len(policy.expect.management_groups)
    told = f"; {expected} subscriptions or management groups expected" if expected else ""
    audited = "".join(f"; vaults: {rule.name}" for rule in policy.vaults)
    return escape(f"writes {'on' if policy.writes else 'off'}{told}{audited}")


def _meant(rule: Rule) -> str:
    own = "everything" if rule.where == _UNNAMED else _words(rule.where)
    return own + "".join(f"; unless {_words(where)}" for where in rule.unless)


def _words(where: Where) -> str:
    """Return what a filter asks for: "types a or b and tags.x = y"."""
    lists = [(name, getattr(where, name)) for name in Where.__struct_fields__ if name != "tags"]
    said = [f"{name.replace('_', ' ')} {' or '.join(patterns)}" for name, patterns in lists if patterns]
    return " and ".join([*said, *(f"tag {name} = {pattern}" for name, pattern in where.tags.items())])


def _decide(policy: Policy, site: Site, console: Console) -> None:
    for at, rule in enumerate(policy.rules, 1):
        reason = why_not(rule, site)
        told = "decides" if reason is None else f"does not: {reason}"
        console.print(f"rule {at} ({escape(rule.name)}) {escape(told)}", soft_wrap=True)
        if reason is None:
            return
    console.print("no rule is meant for it: it is looked at and reported, never written", soft_wrap=True)
