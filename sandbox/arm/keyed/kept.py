"""What a service fills in by itself: a PUT that leaves it out does not take it away."""

from __future__ import annotations

from typing import Any, Final

_EVERY: Final = "*"  # every member of an object, every entry of a list by its name


def kept(old: Any, new: Any, path: str) -> Any:
    """Return the new value with what the old one has at a dotted path, where the new one says nothing of it."""
    return _kept(old, new, path.split("."))


def _kept(old: Any, new: Any, path: list[str]) -> Any:
    name, *rest = path
    if name == _EVERY and isinstance(old, list) and isinstance(new, list):
        known = {str(one.get("name")): one for one in old if isinstance(one, dict)}
        return [_kept(known.get(str(one.get("name"))), one, rest) if isinstance(one, dict) else one for one in new]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if not rest:
        return new if name in new or name not in old else {**new, name: old[name]}
    names = new if name == _EVERY else [name]
    return {**new, **{one: _kept(old.get(one), new[one], rest) for one in names if one in new}}
