"""KQL's values and functions, as far as the sandbox has them. A row is a dict; null is None."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

Row = dict[str, Any]
Value = Callable[[Row], Any]


def text(value: Any) -> str:
    """Return a value as tostring() does: null is "", objects are JSON, booleans are lower case."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


def truth(value: Any) -> bool:
    """Return whether a condition holds; null does not."""
    return value is True or (value is not None and not isinstance(value, (str, bool)) and bool(value))


def member(value: Any, name: str | int) -> Any:
    """Return a member of an object (names compare by case) or an entry of an array; null when there is none."""
    if isinstance(value, dict):
        return value.get(str(name))
    if isinstance(value, list) and isinstance(name, int) and -len(value) <= name < len(value):
        return value[name]
    return None


def same(left: Any, right: Any) -> bool:
    """Compare as == does: strings by case, numbers by value, null with nothing."""
    if left is None or right is None:
        return False
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def same_folded(left: Any, right: Any) -> bool:
    """Compare as =~ does: strings in any case."""
    return text(left).lower() == text(right).lower()


def has(left: Any, right: Any) -> bool:
    """Return whether the text has the other as a whole run of terms, in any case."""
    wanted = text(right).lower()
    begin, end = wanted[:1].isalnum(), wanted[-1:].isalnum()
    pattern = f"{'(?<![a-z0-9])' if begin else ''}{re.escape(wanted)}{'(?![a-z0-9])' if end else ''}"
    return re.search(pattern, text(left).lower()) is not None


def split(args: list[Any]) -> Any:
    """Split a text at a delimiter; with a third argument only that entry, in an array."""
    parts = text(args[0]).split(text(args[1])) if text(args[1]) else [text(args[0])]
    if len(args) > 2:  # noqa: PLR2004
        return [member(parts, int(args[2]))]
    return parts


def parsed(value: Any) -> Any:
    """Return JSON text as a value; what is none already stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def compared(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1; None where the two cannot be compared."""
    if left is None or right is None:
        return None
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return (left > right) - (left < right)
    return (text(left) > text(right)) - (text(left) < text(right))


def _empty(value: Any) -> bool:
    return value is None or value == ""


# name: (least and most arguments, what it does with their values)
FUNCTIONS: Final[dict[str, tuple[int, int, Callable[[list[Any]], Any]]]] = {
    "tostring": (1, 1, lambda args: text(args[0])),
    "tolower": (1, 1, lambda args: text(args[0]).lower()),
    "toupper": (1, 1, lambda args: text(args[0]).upper()),
    "parse_json": (1, 1, lambda args: parsed(args[0])),
    "todynamic": (1, 1, lambda args: parsed(args[0])),
    "isempty": (1, 1, lambda args: _empty(args[0])),
    "isnotempty": (1, 1, lambda args: not _empty(args[0])),
    "isnull": (1, 1, lambda args: args[0] is None),
    "isnotnull": (1, 1, lambda args: args[0] is not None),
    "not": (1, 1, lambda args: not truth(args[0])),
    "strcat": (1, 64, lambda args: "".join(text(one) for one in args)),
    "split": (2, 3, split),
    "coalesce": (2, 64, lambda args: next((one for one in args if not _empty(one)), None)),
}

Test = Callable[[Any, Any], bool]


def _ordered(wanted: Callable[[int], bool]) -> Test:
    def test(left: Any, right: Any) -> bool:
        found = compared(left, right)
        return found is not None and wanted(found)

    return test


def _negated(test: Test) -> Test:
    return lambda left, right: not test(left, right)


def _contains(left: Any, right: Any) -> bool:
    return text(right).lower() in text(left).lower()


def _starts(left: Any, right: Any) -> bool:
    return text(left).lower().startswith(text(right).lower())


def _ends(left: Any, right: Any) -> bool:
    return text(left).lower().endswith(text(right).lower())


# Operators between two values.
TESTS: Final[dict[str, Test]] = {
    "==": same,
    "!=": _negated(same),
    "<>": _negated(same),
    "=~": same_folded,
    "!~": _negated(same_folded),
    "<": _ordered(lambda found: found < 0),
    "<=": _ordered(lambda found: found <= 0),
    ">": _ordered(lambda found: found > 0),
    ">=": _ordered(lambda found: found >= 0),
    "has": has,
    "!has": _negated(has),
    "contains": _contains,
    "!contains": _negated(_contains),
    "startswith": _starts,
    "!startswith": _negated(_starts),
    "endswith": _ends,
    "!endswith": _negated(_ends),
}
# Operators between a value and a list: the test for one entry, and whether the answer is turned round.
LISTS: Final[dict[str, tuple[Test, bool]]] = {
    "in": (same, False),
    "!in": (same, True),
    "in~": (same_folded, False),
    "!in~": (same_folded, True),
}
