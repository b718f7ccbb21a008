"""What the fuzz is made of: JSON of any shape, and true documents with a few things changed."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st

from shared.domain.work import LONGEST_MESSAGE, WorkItem, decode, encode

LONG = int(os.environ.get("FUZZ", "0"))
LONGEST_NAME = 2048
T = TypeVar("T")


def examples(few: int, *, cost: int = 1) -> settings:
    """Return how many examples a test makes: a few in `make test`, the same each time; FUZZ of them (fewer where one
    costs more) in `make fuzz`, where the seed is chosen on the command line. What costs more is not made smaller.
    """
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if cost == 1 else [])]
    if not LONG:
        return settings(max_examples=few, phases=phases)
    return settings(max_examples=max(few, LONG // cost), phases=phases, derandomize=False, database=None)


def told(raised: type[Exception], work: Callable[[], T]) -> T | Exception:
    """Return what the work gives, or the one error that it may end in."""
    try:
        return work()
    except raised as error:
        return error


_BLANKS = ("", " ", "\n", "\n/", "\r\n[x] forged", "\x1b[2J", "\x00", "\u202e", "\u2028", "\u00a0", "\ud800")
_LETTERS = (
    "\u00fc",
    "\u212a",
    "\u0130",
    "\u0661",
    "x" * 300,
    "null",
    "{}",
    "[",
)  # odd when lowered, odd as digits
_MARKS = ("/", "//", "/..", "%2e", "?x=1", "#", "\\", ":443", "@evil.example", ".evil.example", "::1]")
ODD = st.sampled_from([*_BLANKS, *_LETTERS, *_MARKS])
TEXTS = st.text(max_size=30) | ODD | st.sampled_from(["y" * 5000, "/" * 3000, "https://" * 50])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for name, each in inner for one in ((*path, name), *places(each, (*path, name)))]


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any]) -> Any:
    """Return one of the documents with up to four things in it changed, dropped, renamed or wrapped."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 4))):
        if known := places(document):
            _change(draw, document, draw(st.sampled_from(known)))
    return document


def _change(draw: st.DrawFn, document: Any, path: tuple[Any, ...]) -> None:
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    name = path[-1]
    how = draw(st.sampled_from(["odd", "odd", "any", "drop", "rename", "list", "text", "upper"]))
    old = holder[name]
    if how == "drop":
        del holder[name]
    elif how == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from([str(name).upper(), f" {name} ", f"{name}x"]))] = holder.pop(name)
    elif how == "odd" and isinstance(old, str):
        at = draw(st.integers(0, len(old)))
        holder[name] = old[:at] + draw(ODD) + old[at:]
    elif how == "upper" and isinstance(old, str):
        holder[name] = old.upper()
    elif how in {"list", "text"}:
        holder[name] = [old] if how == "list" else json.dumps(old)
    else:
        holder[name] = draw(JSON)


def written(value: Any) -> bytes:
    """Return a document as bytes, also one that is no good JSON: NaN, halves of characters."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def assert_names_only(item: WorkItem) -> None:
    """Assert that an item fits into a message, comes back as it was, and holds names: short, printable, no payload."""
    text = encode(item)
    assert len(text.encode()) <= LONGEST_MESSAGE
    assert decode(text) == item
    for one in _texts(json.loads(text)):
        assert len(one) <= LONGEST_NAME, one
        assert one.isprintable(), one
        assert not set(one) & set(" ?#%\\"), one


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [one for each in inner for one in _texts(each)]
    return [value] if isinstance(value, str) else []
