"""`python -m tools.audit.run`: bandit over the code, pip-audit over requirements.lock.

Exit code 0: nothing is found but what exceptions.toml names. 1: something is, or an exception is stale. 2: it could not
be looked at, such as without a way to the advisory database: that is no clean audit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from tools.clients.environments import NoEnvironmentError, environment

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).parent
CODE: Final = ("shared", "functions", "cmkctl", "function_app.py", "sandbox", "tools")
_SECONDS: Final = 600.0
FOUND, NOT_LOOKED_AT = 1, 2


class NotLookedAt(Exception):
    """An auditor could not do its work; the message says why."""


class Finding(Struct, frozen=True):
    """Something an auditor found: a bandit test or an advisory, and the file or package it is about."""

    auditor: str
    test: str
    where: str
    line: int
    text: str

    def is_covered(self, exception: dict[str, str]) -> bool:
        """Return whether an exception is for this."""
        return exception["test"] == self.test and fnmatchcase(self.where, exception["path"].replace("**", "*"))


def bandit_findings(report: Any) -> list[Finding]:
    """Read bandit's JSON. Raises NotLookedAt for files that it could not read."""
    if report["errors"]:
        raise NotLookedAt(f"bandit could not read {', '.join(str(one['filename']) for one in report['errors'])}")
    return [
        Finding("bandit", one["test_id"], one["filename"].removeprefix("./"), one["line_number"], one["issue_text"])
        for one in report["results"]
    ]


def advisory_findings(report: Any) -> list[Finding]:
    """Read pip-audit's JSON. Raises NotLookedAt for packages that the advisory database did not answer for: pip-audit
    itself calls that "no known vulnerabilities".
    """
    skipped = [one for one in report["dependencies"] if "skip_reason" in one]
    if skipped:
        raise NotLookedAt(
            f"{len(skipped)} of {len(report['dependencies'])} packages could not be looked up in the advisory database;"
            f" the first: {skipped[0]['skip_reason']}"
        )
    return [
        Finding("pip-audit", fault["id"], one["name"], 0, f"{one['version']}: {fault['description'][:200]}")
        for one in report["dependencies"]
        for fault in one["vulns"]
    ]


def judged(findings: Sequence[Finding], exceptions: Sequence[dict[str, str]]) -> tuple[list[Finding], list[str]]:
    """Return what no exception covers, and the exceptions that cover nothing or have no reason."""
    wrong = [one for one in findings if not any(one.is_covered(each) for each in exceptions)]
    stale = [
        f"{each['test']} in {each['path']}"
        for each in exceptions
        if not each.get("reason") or not any(one.is_covered(each) for one in findings)
    ]
    return wrong, stale


def _report(program: Path, *arguments: str) -> Any:
    """Return the JSON an auditor writes. Both end with 1 when they find something."""
    try:
        done = subprocess.run(  # noqa: S603  the auditors of our own environment
            [str(program), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotLookedAt(f"{program.name} did not run: {error}") from error
    except ValueError as error:
        raise NotLookedAt(f"{program.name} told nothing: {' '.join(done.stderr.split())[-400:]}") from error


def _bandit(programs: Path) -> list[Finding]:
    return bandit_findings(_report(programs / "bandit", "-q", "-r", *CODE, "-f", "json"))


def _advisories(programs: Path) -> list[Finding]:
    lock = ("-r", "requirements.lock", "--require-hashes", "--disable-pip")
    return advisory_findings(_report(programs / "pip-audit", *lock, "-f", "json", "--progress-spinner", "off"))


def main() -> int:
    """Run both and tell what each found."""
    console = Console(soft_wrap=True)
    exceptions = tomllib.loads((HERE / "exceptions.toml").read_text("utf-8"))
    try:
        programs = environment("audit", "bandit", lists=HERE)
    except NoEnvironmentError as error:
        console.print(escape(str(error)))
        return NOT_LOOKED_AT
    codes = set()
    for name, look in (("bandit", _bandit), ("pip-audit", _advisories)):
        try:
            findings = look(programs)
        except NotLookedAt as error:
            console.print(f"[red]{name}: not looked at: {escape(str(error))}")
            codes.add(NOT_LOOKED_AT)
            continue
        wrong, stale = judged(findings, exceptions.get(name, []))
        for one in wrong:
            console.print(f"[red]{name}: {one.test} {escape(one.where)}:{one.line} {escape(one.text)}")
        for each in stale:
            console.print(f"[red]{name}: the exception {escape(each)} covers nothing, or has no reason")
        console.print(f"{name}: {len(findings)} found, {len(findings) - len(wrong)} of them with a reason")
        codes.add(FOUND if wrong or stale else 0)
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
