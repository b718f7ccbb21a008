"""What a caller orders beyond the work itself: it travels in the cause, since nothing else remembers it."""

from __future__ import annotations

import re

from msgspec import Struct

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")


class Order(Struct, frozen=True, omit_defaults=True):
    """`urgent`: waits for no wave and no window, as a leaked key must not. `change`: the change's number elsewhere,
    such as "CHG0012345". `by_name`: the caller named this one resource, and is answerable for it.
    """

    urgent: bool = False
    change: str = ""
    by_name: bool = False


def is_reference(text: str) -> bool:
    """Return whether a text may stand as a change reference: up to 64 plain characters, fit for a log's line."""
    return _REFERENCE.fullmatch(text) is not None
