"""Looking into JSON that somebody else wrote: names in any case, values of any type, nothing raises."""

from __future__ import annotations

from typing import Any

from shared.domain.resource import Json


def lookup(value: Any, *names: str) -> Any:
    """Return what lies at the path of object members, names compared without case and blanks; None if nothing does."""
    for name in names:
        if not isinstance(value, dict):
            return None
        key = member(value, name)
        value = value[key] if key is not None else None
    return value


def member(obj: Json, name: str) -> str | None:
    """Return the member's name as written in the object, or None. An exact match wins over one of another case."""
    if name in obj:
        return name
    wanted = name.lower()
    return next((key for key in obj if isinstance(key, str) and key.strip().lower() == wanted), None)


def text(value: Any) -> str:
    """Return a string without blanks around it; anything else is ""."""
    return value.strip() if isinstance(value, str) else ""


def replaced(obj: Json, name: str, value: Any) -> Json:
    """Return a copy of the object with one member set, under the name it already has if it has one."""
    return {**obj, member(obj, name) or name: value}


def without(obj: Json, *names: str) -> Json:
    """Return a copy of the object without these members."""
    dropped = {name.lower() for name in names}
    return {key: value for key, value in obj.items() if key.strip().lower() not in dropped}
