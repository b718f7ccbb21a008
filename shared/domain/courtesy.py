"""What a rule says of when, how fast and beside whom its resources are changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from shared.domain.code_marks import DEFAULT_MARKS
from shared.domain.waves import Wave, wave_problems
from shared.domain.windows import Freeze, Window, freeze_problems, window_problems


class Reference(Enum):
    """Whether a change takes a reference to what allows it elsewhere."""

    NONE = "none"
    REQUIRED = "required"


class Owned(Enum):
    """What is done about a resource that infrastructure code owns."""

    REPORT = "report"
    FIX = "fix"


class Courtesy(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The part of a rule that is about others: those who come after, those who watch, and those who write too.

    `stop_at`: percent of the waves before that may be behind. `rewrites_a_day`: how often the same is set again after
    somebody set it back.
    """

    waves: tuple[Wave, ...] = ()
    stop_at: Annotated[int, Meta(ge=0, le=99)] = 10
    windows: tuple[Window, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    change: Reference = Reference.NONE
    owned_by_code: Owned = Owned.REPORT
    code_tags: Mapping[str, tuple[str, ...]] = DEFAULT_MARKS
    rewrites_a_day: Annotated[int, Meta(ge=1, le=100)] = 3


def courtesy_problems(rule: Courtesy) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, each with the name of its field."""
    yield from (("waves", text) for text in wave_problems(rule.waves))
    yield from (("windows", text) for text in window_problems(rule.windows))
    yield from (("freeze", text) for text in freeze_problems(rule.freeze))
    if any(not name.strip() or not patterns for name, patterns in rule.code_tags.items()):
        yield "codeTags", "each tag needs a name and at least one pattern"
