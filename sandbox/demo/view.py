"""The live view: users moving, the story as it unfolds, and what is asked of Azure."""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandbox.demo.ledger import User
from sandbox.demo.story import Result, Story
from sandbox.demo.tally import Fate, Tally

COLOURS = {"verified": "green", "behind": "yellow", "waiting": "cyan", "blocked": "red", "unheard": "grey42"}
WORDS = {
    "verified": "verified in effect",
    "behind": "moved, a newer one is out",
    "waiting": "will look for itself",
    "blocked": "blocked",
    "unheard": "old version",
}
SURE = {"verified": "green", "configured": "green", "unknown": "cyan"}
_WIDTH = 34
_LINES = 9


def bar(counts: Counter[str], width: int = _WIDTH) -> Text:
    """Return a bar in parts: one colour for each standing."""
    total = sum(counts.values()) or 1
    text = Text()
    drawn, so_far = 0, 0
    for standing, colour in COLOURS.items():
        so_far += counts[standing]
        end = round(so_far * width / total)
        text.append("█" * (end - drawn), style=colour)
        drawn = end
    return text


def picture(story: Story) -> RenderableType:
    """Return the whole live view."""
    shown = (_users(story), _numbers(story)) if story.tally is None else (services(story.tally),)
    return Group(*shown, _story(story))


def _users(story: Story) -> RenderableType:
    ledger = story.ledger
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("subscription", no_wrap=True)
    table.add_column("users of the key", ratio=1)
    table.add_column("verified", justify="right")
    table.add_column("users", justify="right")
    for number, (_, users) in enumerate(sorted(_by_subscription(story).items())):
        counts = Counter(ledger.standing(user) for user in users)
        table.add_row(f"team-{number:02}", bar(counts), str(counts["verified"]), str(len(users)))
    whole = ledger.standings()
    table.add_section()
    table.add_row("all", bar(whole), str(whole["verified"]), str(len(ledger.users)), style="bold")
    legend = Text("   ").join(Text(f"█ {WORDS[one]}", style=colour) for one, colour in COLOURS.items())
    title = f"{len(ledger.users)} resources follow their key to version [bold]{ledger.newest[:8]}[/]"
    return Panel(Group(table, legend), title=title, border_style="blue", box=box.ROUNDED)


def _by_subscription(story: Story) -> dict[str, list[User]]:
    found: dict[str, list[User]] = {}
    for user in story.ledger.users.values():
        found.setdefault(user.subscription, []).append(user)
    return found


def _numbers(story: Story) -> RenderableType:
    asked, log = story.requests(), story.sandbox.stage.log
    arm = asked["arm"]
    words = (
        f"requests  reads [bold]{arm['read']}[/]  writes [bold]{arm['write']}[/]  lists [bold]{arm['childList']}[/]"
        f"  vault [bold]{asked['vault']}[/]  graph [bold]{asked['graph']}[/]  throttled [bold]{log.throttled}[/]"
    )
    return Text.from_markup(words, style="grey70")


def _story(story: Story) -> RenderableType:
    lines = [f"[grey50]{line.at:6.1f} s[/]  {line.text}" for line in story.lines[-_LINES:]]
    return Panel(Text.from_markup("\n".join(lines)), title="what happens", border_style="grey50", box=box.ROUNDED)


def services(tally: Tally) -> RenderableType:
    """Return the table of the second act, type by type."""
    table = Table(title="Every other service, by Azure's own state", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("type", "used", "uses now", "how sure, or why not", "writes"):
        table.add_column(name, justify="right" if name == "writes" else "left", no_wrap=True)
    for fate in sorted(tally.fates.values(), key=lambda one: (one.type, one.name)):
        colour = "red" if fate.wrong else SURE.get(fate.said, "grey42" if not fate.said else "yellow")
        type_ = fate.type.removeprefix("Microsoft.")
        said = f"{_sure(fate)}: {fate.wrong}" if fate.wrong else _sure(fate)
        table.add_row(type_, fate.before[:8], fate.now[:8], Text(said, style=colour), str(fate.writes or ""))
    return table


def _sure(fate: Fate) -> str:
    waits = not fate.said or fate.said.startswith("waiting")
    return fate.said if waits or fate.way == "reported" else f"{fate.way}, {fate.said}"


def summary(story: Story, result: Result) -> RenderableType:
    """Return what stays on the screen: the proof by kind of user, the cost, and the verdict."""
    table = Table(title="Every user of the key, by Azure's own state", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("kind", "users", "moved by the app", "verified", "blocked", "failed or lost"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    kinds = sorted({user.kind for user in story.ledger.users.values()}, reverse=True)
    for kind in kinds:
        users = [user for user in story.ledger.users.values() if user.kind == kind]
        stand = Counter(story.ledger.standing(user) for user in users)
        rest = len(users) - stand["verified"] - stand["blocked"]
        moved = sum(1 for user in users if user.writes)
        table.add_row(kind, str(len(users)), str(moved), str(stand["verified"]), str(stand["blocked"]), str(rest))
    arm = result.requests["arm"]
    each = (arm["read"] + arm["write"]) / max(1, result.repointed)
    cost = (
        f"{arm['read']} reads, {arm['write']} writes and {arm['childList']} lists: {each:.2f} reads and writes for each"
        f" re-pointed resource\n{result.duplicatesDelivered} duplicate deliveries, {result.throttled} refusals by"
        f" throttling, {len(story.touched)} of {len(story.ledger.bystanders)} bystanders touched\n"
        f"{result.seconds:.0f} s here, {result.simulatedSeconds / 3600:.0f} h in the simulated Azure"
    )
    return Group(table, Text(cost), _verdict(story, result), _second(story, result))


def _second(story: Story, result: Result) -> RenderableType:
    told = result.services
    reasons = ", ".join(f"{number} {reason}" for reason, number in told["reported"].items())
    words = (
        f"{told['resources']} resources of other types: {told['verified']} verified, {told['configured']} configured"
        f" (the service does not say what is in effect),\n{told['unknown']} unknown (it follows and does not say),"
        f" {sum(told['reported'].values())} reported with the reason ({reasons})"
    )
    fates = story.tally.fates.values() if story.tally is not None else ()
    wrong = [f"{fate.name} ended {fate.said or 'unheard'}: {fate.wrong}" for fate in fates if fate.wrong]
    wrong += [f"{id_} was touched" for id_ in story.others]
    colour = "red" if told["wrong"] else "green"
    return Panel("\n".join([words, *wrong]), border_style=colour, style=colour, box=box.HEAVY, expand=False)


def _verdict(story: Story, result: Result) -> RenderableType:
    newest = story.ledger.newest
    if result.first_fine:
        words = f"{result.verified} of {result.users} users are on version {newest}, in effect and verified"
        return Panel(words, border_style="green", style="green", box=box.HEAVY, expand=False)
    words = (
        f"{result.verified} of {result.users} users are on version {newest}\n"
        f"blocked {result.blocked}, failed {result.failed}, lost {result.lost}; the app's log: {story.folder}"
    )
    return Panel(words, border_style="red", style="red", box=box.HEAVY, expand=False)


def plain(console: Console, story: Story, told: int) -> int:
    """Print the story's new lines, for a terminal that cannot draw; return how many have been told."""
    for line in story.lines[told:]:
        console.print(f"{line.at:6.1f} s  {line.text}", highlight=False)
    return len(story.lines)
