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

COLOURS = {"verified": "green", "behind": "yellow", "waiting": "cyan", "blocked": "red", "unheard": "grey42"}
WORDS = {
    "verified": "verified in effect",
    "behind": "moved, a newer one is out",
    "waiting": "will look for itself",
    "blocked": "blocked",
    "unheard": "old version",
}
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
    return Group(_users(story), _numbers(story), _story(story))


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
    return Group(table, Text(cost), _verdict(story, result))


def _verdict(story: Story, result: Result) -> RenderableType:
    newest = story.ledger.newest
    if result.fine:
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
