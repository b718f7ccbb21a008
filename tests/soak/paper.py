"""The policy of a run, which people change, break and lose.

`ban` is told from when on something must not be written.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.adapters.policy_file import LAST_GOOD_FOR, LOOK_AGAIN

SEEN_BY = LOOK_AGAIN + timedelta(seconds=0.1)
EVERYTHING = ""  # what a ban on all writing is for; else the name of a resource
# People here set back more often than anybody should; what is said of that is tested elsewhere.
RULES = "rules:\n{by_hand}  - name: everything else\n    rotation: fix\n    rewritesADay: 100\n{rest}"
MOVES = "    may: [unproven, put]\n"
ENFORCES = "    encryption: fix\n    key: https://kv-main.vault.azure.net/keys/cmk\n    may: [unproven, put, grant]\n"
BY_HAND = "  - name: by hand\n    where: {{names: [{name}]}}\n    rotation: {mode}\n"


class Paper:
    """The text as everybody may read it."""

    def __init__(self, now: Callable[[], datetime], ban: Callable[[str, datetime | None], None]) -> None:
        self.mode = ""  # what is done about the resource that is done by hand
        self.name = ""
        self.enforces = False
        self._now = now
        self._ban = ban
        self._written = 0
        self._text: str | None = ""
        self.say("on")

    async def fetch(self, mark: str) -> tuple[bytes | None, str]:
        """Return the text if it is not the one that is known; OSError while it is lost."""
        if self._text is None:
            raise OSError("trouble: no file")
        new = str(self._written)
        return (None, mark) if mark == new else (self._text.encode(), new)

    def say(self, writes: str) -> None:
        """Write the policy anew. Whoever knew nothing of it before knows of it in twenty seconds."""
        by_hand = BY_HAND.format(name=self.name, mode=self.mode) if self.name else ""
        rest = ENFORCES if self.enforces else MOVES
        self._write(f"version: 1\nwrites: {writes}\n{RULES.format(by_hand=by_hand, rest=rest)}")
        self._ban(EVERYTHING, None if writes == "on" else self._now() + SEEN_BY)

    def break_(self) -> None:
        """Make a mistake: nothing may be written before somebody corrects it."""
        self._write("version: 1\nwrites: on\nruls: []\n")
        self._ban(EVERYTHING, self._now() + SEEN_BY)

    def lose(self) -> None:
        """Lose the file: what was known of it holds for ten minutes."""
        self._text = None
        self._ban(EVERYTHING, self._now() + LAST_GOOD_FOR + SEEN_BY)
        if self.name:
            self._ban(self.name, self._now() + LAST_GOOD_FOR + SEEN_BY)

    def reserve(self, name: str, mode: str) -> None:
        """Say that one resource is done by hand; "" for none."""
        if self.name:
            self._ban(self.name, None)
        self.name, self.mode = name, mode
        self.say("on")
        if name:
            self._ban(name, self._now() + SEEN_BY)

    def change(self, dice: random.Random, names: list[str]) -> str:
        """Let somebody change something; return what."""
        kind = dice.choice(("on", "off", "off", "wrong", "lost", *(["by hand"] if names else [])))
        match kind:
            case "wrong":
                self.break_()
            case "lost":
                self.lose()
            case "by hand":
                self.reserve(dice.choice(names), dice.choice(("report", "ignore")))
                return f"by hand: {self.name} ({self.mode})"
            case _:
                self.say(kind)
        return kind

    def _write(self, text: str) -> None:
        self._written += 1
        self._text = text
