"""The safety rules of taking access away."""

from __future__ import annotations

from tools.mutants.rule import Rule

_HOLDING = "shared/usecases/holding.py"
_REVOCATION = "shared/domain/revocation.py"
_REVOKE = "shared/usecases/revoke.py"
REVOCATION = "tests/domain/test_revocation.py"
REVOKE = "tests/usecases/test_revoke.py"

RULES = (
    Rule(
        "no grant above a vault is taken away",
        _REVOCATION,
        "if scope != whole and not scope.startswith(",
        "if False and not scope.startswith(",
        REVOCATION,
    ),
    Rule(
        "a group's grant is left to the group",
        _REVOCATION,
        "if grant.principal != hold.principal.lower():",
        "if False:",
        REVOCATION,
    ),
    Rule(
        "who would lose a key with it must be counted when it is done, too",
        _REVOKE,
        "if len(also) > item.also_affects else None",
        "if False else None",
        REVOKE,
    ),
    Rule(
        "a grant is taken away only where the rule says so",
        _HOLDING,
        "if May.REVOKE not in rule.may:",
        "if False:",
        REVOKE,
    ),
    Rule("the app's own access is never taken away", _HOLDING, "if hold.principal in mine:", "if False:", REVOKE),
    Rule(
        "nothing is taken away while writing is off",
        _REVOKE,
        "return None if await context.ports.switch.is_on() else",
        "return None if True else",
        REVOKE,
    ),
    Rule(
        "what an application of Azure's own reaches is not called revoked",
        _HOLDING,
        "if acts.application:",
        "if False:",
        "tests/usecases/test_revoke_services.py",
    ),
    Rule(
        "what a revocation takes is put down before it goes",
        "shared/usecases/revoke.py",
        "if await _announce(context, item, found.takings, progress):",
        "if False:",
        "tests/usecases/test_revoke_killed.py",
    ),
    Rule(
        "what a death left untold of a revocation is told",
        "shared/usecases/revoke.py",
        "progress.did = (*await _taken_before(context, item, progress), *progress.did)",
        "pass",
        "tests/usecases/test_revoke_killed.py",
    ),
)
