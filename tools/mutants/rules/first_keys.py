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
    Rule(
        "what has failed is tried once more only where its access is in order",
        "shared/domain/tries.py",
        "if in_order and rested",
        "if rested",
        "tests/usecases/test_tried_again.py",
    ),
    Rule(
        "what has failed is not tried once more at every look",
        "shared/domain/tries.py",
        "or now - self.last >= NOT_SOONER",
        "or True",
        "tests/usecases/test_tried_again.py",
    ),
    Rule(
        "no resource provider is registered without a word in the rule",
        "shared/usecases/registered.py",
        "may = May.REGISTER_PROVIDER in rule.may",
        "may = True",
        "tests/usecases/test_enforce_providers.py",
    ),
    Rule(
        "what is being registered is waited for",
        _ENFORCEMENT,
        "if ground.missing or not ground.registering:",
        "if True:",
        "tests/usecases/test_enforce_providers.py",
    ),
    Rule(
        "a child goes in no earlier wave than the resource at its top",
        "shared/domain/plan/courtesy.py",
        "place_of(facts.address.top.folded,",
        "place_of(facts.address.folded,",
        "tests/usecases/test_waves.py",
    ),
    Rule(
        "who had a key before makes up for no canary that fails",
        "shared/usecases/rollout.py",
        "fold(member.id) not in brought",
        "False",
        "tests/usecases/test_waves.py",
    ),
    Rule(
        "one goes before the rest even where chance left the first wave empty",
        "shared/domain/waves.py",
        "if known and not before:",
        "if False:",
        "tests/usecases/test_waves.py",
    ),
    Rule(
        "a hub outside every rule is asked for nothing more",
        "shared/usecases/dependents.py",
        "service.naming(body) if rule is not None and",
        "service.naming(body) if",
        "tests/usecases/test_connections.py",
    ),
)
