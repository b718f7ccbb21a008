"""From a policy as plain JSON values to the policy, every problem told with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from shared.domain.courtesy import courtesy_problems
from shared.domain.policy import Expect, Policy, Rule, VaultRule, Where
from shared.domain.policy_keys import key_problems
from shared.domain.policy_life import life_problems
from shared.domain.vault_rules import expected_problems

Path = tuple[str | int, ...]
_S = TypeVar("_S", bound=Struct)
LONGEST = 256 * 1024  # bytes of a policy
TOP = ("version", "writes", "expect", "vaults", "rules")
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
        return Policy(known, self._writes(document.get("writes", True)), expect or Expect(), self._vaults(document))

    def _vaults(self, document: dict[Any, Any]) -> tuple[VaultRule, ...]:
        written = document.get("vaults") or []
        if not isinstance(written, list):
            self._tell(("vaults",), "must be a list of rules")
            return ()
        read = tuple(self._part(rule, VaultRule, ("vaults", at)) for at, rule in enumerate(written))
        self._check_order(read, "vaults")
        for at, rule in enumerate(read):
            for field, text in expected_problems(rule.where, rule.expect) if rule is not None else ():
                self._tell(("vaults", at, *field.split(".")), text)
        return tuple(rule for rule in read if rule is not None)

    def _writes(self, written: Any) -> bool:
        if not isinstance(written, bool | str) or written not in WORDS:
            self._tell(("writes",), "must be on or off")
            return False
        return WORDS[written]

    def _part(self, value: Any, form: type[_S], path: Path) -> _S | None:
        """Read a mapping field by field, so that one mistake does not hide the next."""
        before = len(self.problems)
        fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
        if not isinstance(value, dict):
            self._tell(path, f"must be a mapping with {', '.join(fields)}")
            return None
        for name in value:
            if name not in fields:
                self._tell((*path, name), f"unknown; there is {', '.join(fields)}")
        found: dict[str, Any] = {}
        for name, field in fields.items():
            if name in value:
                found[field.name] = self._value(value[name], field.type, (*path, name))
            elif field.required:
                self._tell((*path, name), "is missing")
        return form(**found) if len(self.problems) == before else None

    def _value(self, value: Any, form: Any, path: Path) -> Any:
        if form is Where:
            return self._where(value, path)
        if form == tuple[Where, ...] and isinstance(value, list):
            return tuple(self._where(one, (*path, at)) for at, one in enumerate(value))
        try:
            return msgspec.convert(value, form)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at `$")
            self._tell((*path, *_steps(place.rstrip("`"))), text + (_allowed(form) or _quotes(text)))
            return None

    def _where(self, value: Any, path: Path) -> Where | None:
        for name, patterns in value.items() if isinstance(value, dict) else ():
            if patterns in ([], {}):
                self._tell((*path, name), "an empty list fits nothing; leave the field out")
            elif isinstance(patterns, list) and any(isinstance(one, str) and not one.strip() for one in patterns):
                self._tell((*path, name), "an empty pattern fits nothing")
        return self._part(value, Where, path)

    def _check_rules(self, rules: tuple[Rule | None, ...]) -> None:
        self._check_order(rules, "rules")
        for at, rule in enumerate(rules):
            for field, text in _problems(rule) if rule is not None else ():
                self._tell(("rules", at, field), text)

    def _check_order(self, rules: Sequence[Rule | VaultRule | None], of: str) -> None:
        """Check what holds for any list of rules: each has a name of its own, and each may be asked."""
        names: dict[str, int] = {}
        for at, rule in enumerate(rules):
            if rule is None:
                continue
            if not rule.name.strip():
                self._tell((of, at, "name"), "must not be empty")
            if rule.name in names:
                self._tell((of, at, "name"), f"{rule.name!r} is the name of rule {names[rule.name] + 1} already")
            names.setdefault(rule.name, at)
            for number, where in enumerate(rule.unless):
                if where == Where():
                    self._tell((of, at, "unless", number), "takes everything, so the rule is never meant")
            if rule.where == Where() and not rule.unless and any(rules[at + 1 :]):
                self._tell((of, at), "takes everything, so no rule after it is ever asked")

    def _tell(self, path: Path, text: str) -> None:
        line = next((self._lines[path[:size]] for size in range(len(path), -1, -1) if path[:size] in self._lines), 0)
        self.problems.append(PolicyProblem(line, _written(path), text))


def _problems(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule that was read, each with the name of its field."""
    yield from key_problems(rule)
    yield from courtesy_problems(rule)
    yield from life_problems(rule)


def _steps(place: str) -> Iterator[str | int]:
    """Yield the steps of a path as msgspec writes it: ".where.types[0]"."""
    for part in place.replace("[", ".").replace("]", "").split("."):
        if part and part != "...":
            yield int(part) if part.isdigit() else part


def _allowed(form: Any) -> str:
    """Return the words that may stand there, where only certain words may."""
    word = get_args(form)[0] if get_args(form) else form
    if not (isinstance(word, type) and issubclass(word, Enum)):
        return ""
    return f"; say {', '.join(str(one.value) for one in word)}"


def _quotes(text: str) -> str:
    """Return what helps where YAML took a text for something else: 22:00 for a number, on for a boolean."""
    other = text.startswith("Expected `str`") and text.endswith(("`int`", "`float`", "`bool`", "`date`", "`datetime`"))
    return "; put it in quotes" if other else ""


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "policy"
