"""The safety rules of which version a resource moves to, and what is left alone."""

from __future__ import annotations

from tools.mutants.rule import Rule

_HARD_RULES = "shared/domain/plan/hard_rules.py"
_ROTATION = "shared/domain/plan/rotation.py"
PLAN = "tests/domain/test_plan.py"

RULES = (
    Rule("nothing goes back to an older version", _ROTATION, "if target_age <= configured_age:", "if False:", PLAN),
    Rule(
        "versions of one second are equally new",
        _ROTATION,
        "as_new = target_age == configured_age and",
        "as_new = False and",
        PLAN,
    ),
    Rule("a follower is only watched", _ROTATION, "if use.follows else _move(", "if False else _move(", PLAN),
    Rule(
        "a follower's target is what the vault calls latest",
        _ROTATION,
        "choose = latest_usable if use.follows or turned else newest_usable",
        "choose = newest_usable",
        PLAN,
    ),
    Rule("a certificate's key is left alone", _ROTATION, "if history.backs_certificate:", "if False:", PLAN),
    Rule("a key of another tenant is left alone", _ROTATION, "if use.tenant_is_foreign:", "if False:", PLAN),
    Rule("what is managed is left to its owner", _HARD_RULES, "if owner or address.group_id in", "if False and", PLAN),
    Rule(
        "the app's own group is left alone",
        _HARD_RULES,
        "if address.group_id in facts.own",
        "if False and facts.own",
        PLAN,
    ),
    Rule("the app's own storage is left alone", _HARD_RULES, "arm.names[0].lower() in", "not", PLAN),
    Rule(
        "an unusable version is never chosen",
        "shared/domain/keys.py",
        "if version.state(now) is not State.USABLE:\n            continue",
        "if False:\n            continue",
        "tests/domain/test_keys.py",
    ),
)
