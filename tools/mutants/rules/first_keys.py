"""The safety rules of first keys."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ENFORCEMENT = "shared/domain/plan/enforcement.py"
_GROUNDWORK = "shared/domain/plan/groundwork.py"
ENFORCEMENT_PLAN = "tests/domain/test_enforcement_plan.py"

RULES = (
    Rule(
        "everything is checked before the first step of enforcement",
        _ENFORCEMENT,
        "return (replace(found, slot=slot),)",
        "return (*steps, replace(found, slot=slot))",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "a vault is hardened only by its words", _GROUNDWORK, "if rule.may >= _HARDENING:", "if True:", ENFORCEMENT_PLAN
    ),
    Rule(
        "access is granted only by its word",
        _GROUNDWORK,
        "if May.GRANT not in rule.may:",
        "if False:",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "an imported key is never made",
        _GROUNDWORK,
        "if rule.origin is Origin.IMPORTED:",
        "if False:",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "the app's own vault is left alone",
        _ENFORCEMENT,
        "if writes_vault and (bar",
        "if False and (bar",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "no identity gets lost",
        "shared/domain/identity.py",
        "assigned = dict.fromkeys(_assigned(body), None)",
        "assigned: Json = {}",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "what fills a key's template leads nowhere else",
        "shared/domain/key_template.py",
        "if not _PLAIN.fullmatch(value):",
        "if False:",
        ENFORCEMENT_PLAN,
    ),
    Rule(
        "an imported key is never rotated in the vault",
        "shared/usecases/rotate.py",
        "if rule.origin is Origin.IMPORTED and",
        "if False and",
        "tests/usecases/test_enforce_limits.py",
    ),
    Rule(
        "what is being changed or has failed gets no first key",
        _ENFORCEMENT,
        "_bar(rule, facts) or unsettled(facts)",
        "_bar(rule, facts)",
        ENFORCEMENT_PLAN,
    ),
)
