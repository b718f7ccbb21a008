"""From a policy as plain JSON values to the policy, every problem told with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from shared.domain.policy import Expect, Mode, Policy, Rule, Where

Path = tuple[str | int, ...]
_T = TypeVar("_T")
TOP = ("version", "writes", "expect", "rules")
WORDS = {True: True, False: False, "on": True, "off": False}  # YAML itself reads a bare on as true


class PolicyProblem(Struct, frozen=True, order=True):
    """Something wrong with a policy: where, in words that name the field. `line` counts from 1; 0 is unknown."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.text}" if self.line else f"{self.field}: {self.text}"


class BadPolicy(ValueError):
    """The text is no policy. `problems` holds everything that is wrong with it, in the order of its lines."""

    def __init__(self, problems: list[PolicyProblem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("; ".join(str(problem) for problem in self.problems))


def read_policy(document: Any, lines: Mapping[Path, int]) -> Policy:
    """Return the policy that a document holds; `lines` tells at which line each part stands. Raises BadPolicy."""
    found = _Reader(lines)
    policy = found.policy(document)
    if found.problems:
        raise BadPolicy(found.problems)
    return policy


class _Reader:
    def __init__(self, lines: Mapping[Path, int]) -> None:
        self._lines = lines
        self.problems: list[PolicyProblem] = []

    def policy(self, document: Any) -> Policy:
        if not isinstance(document, dict):
            self._tell((), "a policy is a mapping with version and rules")
            return Policy(())
        for name in document:
            if name not in TOP:
                self._tell((name,), f"unknown; there is {', '.join(TOP)}")
        if document.get("version") != 1:
            self._tell(("version",), "must be 1")
        rules = document.get("rules")
        if not isinstance(rules, list) or not rules:
            self._tell(("rules",), "must be a list of at least one rule")
            rules = []
        read = tuple(self._part(rule, Rule, ("rules", at)) for at, rule in enumerate(rules))
        self._check_rules(read)
        expect = self._part(document.get("expect") or {}, Expect, ("expect",))
        known = tuple(rule for rule in read if rule is not None)
        return Policy(known, self._writes(document.get("writes", True)), expect or Expect())

    def _writes(self, written: Any) -> bool:
        if not isinstance(written, bool | str) or written not in WORDS:
            self._tell(("writes",), "must be on or off")
            return False
        return WORDS[written]

    def _part(self, value: Any, form: type[_T], path: Path) -> _T | None:
        try:
            return msgspec.convert(value, form)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at `$")
            self._tell((*path, *_steps(place.rstrip("`"))), text, _named(text))
            return None

    def _check_rules(self, rules: tuple[Rule | None, ...]) -> None:
        names: dict[str, int] = {}
        for at, rule in enumerate(rules):
            if rule is None:
                continue
            if not rule.name.strip():
                self._tell(("rules", at, "name"), "must not be empty")
            if rule.name in names:
                self._tell(("rules", at, "name"), f"{rule.name!r} is the name of rule {names[rule.name] + 1} already")
            names.setdefault(rule.name, at)
            if rule.encryption is Mode.FIX:
                self._tell(("rules", at, "encryption"), "fix is not there yet; say report or ignore")
            for where, path in _wheres(rule, at):
                self._check_where(where, path)
            if rule.where == Where() and not rule.unless and any(rules[at + 1 :]):
                self._tell(("rules", at), "takes everything, so no rule after it is ever asked")

    def _check_where(self, where: Where, path: Path) -> None:
        for field in Where.__struct_fields__:
            patterns = getattr(where, field)
            if field != "tags" and any(not pattern.strip() for pattern in patterns):
                self._tell((*path, _camel(field)), "an empty pattern fits nothing")

    def _tell(self, path: Path, text: str, name: str = "") -> None:
        place = (*path, name) if name else path
        line = next((self._lines[place[:size]] for size in range(len(place), -1, -1) if place[:size] in self._lines), 0)
        self.problems.append(PolicyProblem(line, _written(path), text))


def _wheres(rule: Rule, at: int) -> Iterator[tuple[Where, Path]]:
    yield rule.where, ("rules", at, "where")
    for number, where in enumerate(rule.unless):
        yield where, ("rules", at, "unless", number)


def _steps(place: str) -> Iterator[str | int]:
    """Yield the steps of a path as msgspec writes it: ".where.types[0]"."""
    for part in place.replace("[", ".").replace("]", "").split("."):
        if part and part != "...":
            yield int(part) if part.isdigit() else part


def _named(text: str) -> str:
    """Return the field that an error's text names, if it names one: an unknown field stands at a line of its own."""
    return text.split("`")[1] if text.startswith("Object contains unknown field `") else ""


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "policy"


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)
