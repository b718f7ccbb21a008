"""The audit: what it was not able to look at is no clean audit, and an exception needs a use and a reason."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tools.audit.run import HERE, Finding, NotLookedAt, advisory_findings, bandit_findings, judged

RANDOM = Finding("bandit", "B311", "sandbox/arm/storage.py", 58, "random")
ALLOWED = {"test": "B311", "path": "sandbox/**", "reason": "seeded"}


def test_packages_that_were_skipped_are_not_called_clean() -> None:
    skipped = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
    fine: dict[str, Any] = {"name": "b", "version": "1", "vulns": []}
    with pytest.raises(NotLookedAt, match="1 of 2 packages"):
        advisory_findings({"dependencies": [skipped, fine]})
    assert advisory_findings({"dependencies": [fine]}) == []


def test_an_advisory_is_a_finding_by_its_id() -> None:
    fault = {"id": "PYSEC-1", "description": "bad", "fix_versions": []}
    (found,) = advisory_findings({"dependencies": [{"name": "b", "version": "1", "vulns": [fault]}]})
    assert (found.test, found.where) == ("PYSEC-1", "b")


def test_a_file_that_bandit_cannot_read_is_not_called_clean() -> None:
    with pytest.raises(NotLookedAt):
        bandit_findings({"errors": [{"filename": "x.py"}], "results": []})


def test_an_exception_covers_its_test_and_its_files_only() -> None:
    elsewhere = Finding("bandit", "B311", "shared/bootstrap.py", 1, "random")
    other = Finding("bandit", "B602", "sandbox/a.py", 1, "shell")
    assert judged([RANDOM, elsewhere, other], [ALLOWED]) == ([elsewhere, other], [])


def test_an_exception_without_a_use_or_without_a_reason_is_stale() -> None:
    assert judged([], [ALLOWED]) == ([], ["B311 in sandbox/**"])
    assert judged([RANDOM], [{**ALLOWED, "reason": ""}]) == ([], ["B311 in sandbox/**"])


def test_every_exception_has_its_reason() -> None:
    listed = tomllib.loads((HERE / "exceptions.toml").read_text("utf-8"))
    assert all({"test", "path", "reason"} <= one.keys() for some in listed.values() for one in some)
