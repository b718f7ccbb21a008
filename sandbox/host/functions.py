"""A function as the worker describes it, with the settings written as %NAME% filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.host.hostjson import HostError

Binding = dict[str, Any]
TRIGGERS = ("httpTrigger", "eventGridTrigger", "queueTrigger", "timerTrigger")
OUTPUTS = ("http", "queue")
_SETTING = re.compile(r"%([^%\s]+)%")


@dataclass(frozen=True)
class Function:
    """One function: its name as indexed, the worker's id for it, and its bindings as in function.json."""

    name: str
    id: str
    bindings: tuple[Binding, ...]

    @property
    def trigger(self) -> Binding:
        """The binding that starts it."""
        return next(one for one in self.bindings if one["type"] in TRIGGERS)

    @property
    def kind(self) -> str:
        """The trigger's type: httpTrigger, eventGridTrigger, queueTrigger or timerTrigger."""
        return str(self.trigger["type"])

    def output(self, name: str) -> Binding:
        """Return the output binding of that parameter name."""
        return next(one for one in self.bindings if one["name"] == name)


def describe(name: str, id_: str, raw_bindings: Sequence[str], settings: Mapping[str, str]) -> Function:
    """Read a function's raw bindings; a binding this host does not serve, or an unset %NAME%, raises HostError."""
    bindings = tuple(_fill(name, json.loads(raw), settings) for raw in raw_bindings)
    unknown = [one["type"] for one in bindings if one["type"] not in (*TRIGGERS, *OUTPUTS)]
    if unknown:
        raise HostError(f"function {name}: the sandbox's host has no binding {', '.join(unknown)}")
    if sum(one["type"] in TRIGGERS for one in bindings) != 1:
        raise HostError(f"function {name} needs exactly one trigger")
    return Function(name, id_, bindings)


def _fill(function: str, binding: Binding, settings: Mapping[str, str]) -> Binding:
    def value(match: re.Match[str]) -> str:
        found = settings.get(match[1])
        if found is None:
            raise HostError(f"function {function}: {match[0]} names an app setting that is not set")
        return found

    return {key: _SETTING.sub(value, one) if isinstance(one, str) else one for key, one in binding.items()}
