"""One command of a client: how it is run, what is looked at afterwards, what came of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.clients.azure import NEW, OLD, SUBSCRIPTION, TENANT, WHO, Azure, WrongError

SECONDS: Final = 120.0
_SHOWN: Final = 400  # characters of what a client said
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")  # of this process's environment; all else comes from the sandbox
_NAMES: Final = {SUBSCRIPTION: "$SUBSCRIPTION", TENANT: "$TENANT", WHO: "$CLIENT", OLD: "$OLD", NEW: "$NEW"}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str
    milliseconds: int

    def json(self) -> Any:
        """Return the output as JSON; raises WrongError for one that is none."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise WrongError(f"printed no JSON: {self.out[:_SHOWN]!r}") from error


Look = Callable[[Done, Azure], None]


@dataclass(frozen=True)
class Step:
    """A command and what must be true after it: each look raises WrongError. `refused`: Azure must say no with this."""

    command: Sequence[str]
    looks: Sequence[Look] = ()
    refused: str = ""


@dataclass(frozen=True)
class Row:
    """What came of a step; no problem means that all is well."""

    client: str
    shown: str
    problem: str
    milliseconds: int
    refused: str = ""  # with what Azure said no, as it had to


@dataclass
class Client:
    """A client's programs and its own home; runs commands against one sandbox."""

    name: str
    programs: Path
    home: Path
    azure: Azure
    more: dict[str, str] = field(default_factory=dict)  # of its environment

    def run(self, step: Step) -> Row:
        """Run a step; whatever goes wrong is in the row."""
        done = self.start(step.command)
        shown = _short(step.command)
        try:
            _judge(step, done)
            for look in step.looks:
                look(done, self.azure)
        except WrongError as problem:
            return Row(self.name, shown, str(problem), done.milliseconds)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            return Row(self.name, shown, f"unexpected answer: {error!r}: {done.out[:_SHOWN]}", done.milliseconds)
        return Row(self.name, shown, "", done.milliseconds, step.refused)

    def start(self, command: Sequence[str]) -> Done:
        """Run one of the client's programs to its end."""
        self.home.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{self.programs}{os.pathsep}{kept.get('PATH', os.defpath)}"
        environment = {**kept, "HOME": str(self.home), **self.azure.exports, **self.more, "PATH": path}
        begin = time.monotonic()
        options: dict[str, Any] = {"cwd": self.home, "env": environment, "timeout": SECONDS}
        options |= {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        try:
            program = (str(self.programs / command[0]), *command[1:])
            ended = subprocess.run(program, check=False, **options)  # noqa: S603  commands of this package only
            found = (ended.returncode, ended.stdout, ended.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            found = (-1, "", str(error))
        return Done(*found, round((time.monotonic() - begin) * 1000))


def _short(command: Sequence[str]) -> str:
    """Return the command as it can be read: long values by their name, an empty one as such."""
    text = shlex.join(command)
    for value, name in _NAMES.items():
        text = text.replace(value, name)
    return text


def _judge(step: Step, done: Done) -> None:
    if not step.refused and done.code:
        raise WrongError(f"exit code {done.code}: {done.err.strip()[-_SHOWN:]}")
    if step.refused and not done.code:
        raise WrongError(f"was to be refused with {step.refused}, and was not")
    if step.refused and step.refused not in done.err:
        raise WrongError(f"was to be refused with {step.refused}: {done.err.strip()[-_SHOWN:]}")
