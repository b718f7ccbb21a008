"""Scripted faults: rules that answer in Azure's place, slow it down, or break the connection around the effect."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.wire import Answer, Call, Json, Refused, Unreachable
from sandbox.world import Hooks, World

_RULE = frozenset({"match", "times", "after", "probability", "do"})
_MATCH = frozenset({"host", "path", "method", "kind"})
_DO = frozenset({"status", "code", "message", "headers", "retryAfter", "reset", "latency", "body", "operation"})
_OPERATION = frozenset({"do", "seconds", "code", "message"})  # of a long-running operation that the call begins


@dataclass
class Rule:
    """One rule as written, and how often it fitted (`seen`) and struck (`used`)."""

    written: Json
    path: re.Pattern[str]
    seen: int = 0
    used: int = 0

    @classmethod
    def of(cls, written: Any) -> Rule:
        """Read a rule; an unknown name or value raises Refused 400 (InvalidFault)."""
        _check("rule", written, _RULE)
        match, do = written.get("match", {}), written.get("do", {})
        _check("match", match, _MATCH)
        _check("do", do, _DO)
        if do.get("reset") not in {None, "before", "after"}:
            raise Refused(400, "InvalidFault", "do.reset is 'before' or 'after' (the effect).")
        if not {"status", "reset", "latency", "headers", "body", "retryAfter", "operation"} & set(do):
            raise Refused(
                400, "InvalidFault", "do needs a status, a reset, a latency, headers, a body or an operation."
            )
        if "operation" in do:
            _check("do.operation", do["operation"], _OPERATION)
            if do["operation"].get("do") not in {None, "stall", "fail", "cancel"}:
                raise Refused(400, "InvalidFault", "do.operation.do is 'stall', 'fail' or 'cancel'.")
        for name in ("status", "latency"):
            if name in do and not isinstance(do[name], int | float):
                raise Refused(400, "InvalidFault", f"do.{name} is a number.")
        try:
            return cls(written, re.compile(str(match.get("path", "")), re.IGNORECASE))
        except re.error as error:
            raise Refused(400, "InvalidFault", f"match.path is no regular expression: {error}") from error

    def fits(self, call: Call, kind: str) -> bool:
        """Return whether the rule is about this call."""
        match = self.written.get("match", {})
        host = str(match.get("host", "")).lower()
        return (
            (not host or call.host == host or (host.startswith(".") and call.host.endswith(host)))
            and match.get("method", call.method).upper() == call.method.upper()
            and match.get("kind", kind) == kind
            and self.path.search(call.path) is not None
        )

    def strikes(self, dice: random.Random) -> bool:
        """Count a fitting call; return whether the rule acts on it: after `after` ones, `times` times, by chance."""
        self.seen += 1
        if self.seen <= int(self.written.get("after", 0)) or self.used >= self.written.get("times", float("inf")):
            return False
        if dice.random() >= float(self.written.get("probability", 1)):
            return False
        self.used += 1
        return True

    def answer(self) -> Answer | None:
        """Return what is answered in Azure's place, or None when Azure answers itself."""
        do = self.written["do"]
        if "status" not in do:
            return None
        status = int(do["status"])
        error = {"error": {"code": do.get("code", "SandboxFault"), "message": do.get("message", "A scripted fault.")}}
        return self.coloured(Answer.of(error, status))

    def coloured(self, answer: Answer) -> Answer:
        """Put the rule's headers, body and latency onto an answer."""
        do = self.written["do"]
        headers = {**answer.headers, **{name: str(value) for name, value in do.get("headers", {}).items()}}
        if "retryAfter" in do:
            headers["Retry-After"] = str(do["retryAfter"])
        body = answer.body
        if "body" in do:
            body = do["body"].encode() if isinstance(do["body"], str) else json.dumps(do["body"]).encode()
        return replace(answer, headers=headers, body=body, latency=answer.latency + float(do.get("latency", 0)))


@dataclass
class Faults:
    """The rules in force; the first that fits and strikes acts."""

    kind: Callable[[Call], str]
    seed: int = 1
    rules: list[Rule] = field(default_factory=list)
    _current: Rule | None = None

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed}: faults")  # of its own: a fault does not move the world's sequence

    def put(self, written: Iterable[Any]) -> None:
        """Replace all rules; a wrong one raises Refused 400 and changes nothing."""
        self.rules = [Rule.of(one) for one in written]

    def listed(self) -> list[Json]:
        """Return the rules as written, each with how often it was seen and used."""
        return [{**one.written, "seen": one.seen, "used": one.used} for one in self.rules]

    def install(self, world: World) -> None:
        """Put the rules into a world, in front of the hooks that it has."""
        inner = world.hooks

        def before(call: Call) -> Answer | None:
            found = self._before(call)
            if self._current is not None and "operation" in self._current.written["do"]:
                world.memory["operationFate"] = self._current.written["do"]["operation"]
            return found or inner.before(call)

        def after(call: Call, answer: Answer) -> Answer:
            world.memory.pop("operationFate", None)  # the call began none
            return self._after(inner.after(call, answer))

        world.hooks = Hooks(before, after)

    def _before(self, call: Call) -> Answer | None:
        self._current = None
        if not self.rules:
            return None
        kind = self.kind(call)
        self._current = next((one for one in self.rules if one.fits(call, kind) and one.strikes(self._dice)), None)
        if self._current is None:
            return None
        if self._current.written["do"].get("reset") == "before":
            raise Unreachable("a scripted fault, before the effect")
        return self._current.answer()

    def _after(self, answer: Answer) -> Answer:
        if self._current is None:
            return answer
        if self._current.written["do"].get("reset") == "after":
            raise Unreachable("a scripted fault, after the effect")
        return self._current.coloured(answer)


def _check(what: str, written: Any, known: frozenset[str]) -> None:
    if not isinstance(written, dict) or not set(written) <= known:
        raise Refused(400, "InvalidFault", f"A fault's {what} is an object of {', '.join(sorted(known))}.")
