"""The safety rules of the policy, of wishes and of rotation."""

from __future__ import annotations

from tools.mutants.rule import Rule

_DECIDING = "shared/domain/plan/deciding.py"
_POLICY_FILE = "shared/adapters/policy_file.py"
_ROTATE = "shared/usecases/rotate.py"
_WISHED = "shared/domain/plan/wished.py"
CLOSED_VAULTS = "tests/usecases/test_closed_vaults.py"
GUARDED_WISHES = "tests/usecases/test_guarded_wishes.py"
PLAN_POLICY = "tests/domain/test_plan_policy.py"
POLICY_EFFECTS = "tests/usecases/test_policy_effects.py"
POLICY_FILE = "tests/adapters/test_policy_file.py"
WISHES = "tests/usecases/test_wishes.py"

RULES = (
    Rule("nothing outside the policy is written", _DECIDING, "or _only_told(changes, facts)", "", PLAN_POLICY),
    Rule(
        "a rule that reports writes nothing",
        _DECIDING,
        "if facts.rule.rotation is not Mode.FIX:",
        "if False:",
        PLAN_POLICY,
    ),
    Rule(
        "what is irreversible, unproven or a whole body takes a word in the rule",
        _DECIDING,
        "needed - facts.rule.may",
        "set()",
        PLAN_POLICY,
    ),
    Rule(
        "what a service cannot do is not tried", _DECIDING, "if isinstance(ability, Reason):", "if False:", PLAN_POLICY
    ),
    Rule(
        "a wish for anything but the newest usable version is refused",
        _WISHED,
        "if named and named != target.version:",
        "if False:",
        WISHES,
    ),
    Rule(
        "a wish against the rule is refused",
        _WISHED,
        "if against := against_the_rule(facts, wish):",
        "if against := None:",
        WISHES,
    ),
    Rule(
        "going back to the platform's key asks for the name",
        "shared/usecases/wishes.py",
        "if not wish.dry_run and wish.confirm.lower() != address.arm.name.lower():",
        "if False:",
        WISHES,
    ),
    Rule(
        "what no rule is meant for is not written",
        "shared/domain/policy.py",
        "return next((rule for rule in rules if matches(rule, site)), None)",
        "return next((rule for rule in rules if matches(rule, site)), rules[0])",
        POLICY_EFFECTS,
    ),
    Rule(
        "a child falls under its parent's rule",
        "shared/usecases/placing.py",
        "if address.parent and policy.asks_about_parent(arm.type):",
        "if False:",
        POLICY_EFFECTS,
    ),
    Rule(
        "a policy with a mistake is none",
        _POLICY_FILE,
        'self._policy, self._wrong = None, ""',
        'self._wrong = ""',
        POLICY_FILE,
    ),
    Rule("an old policy does not hold for ever", _POLICY_FILE, "not fresh:", "False:", POLICY_FILE),
    Rule(
        "what Resource Manager alone says of a key is not enough for a write",
        _DECIDING,
        "return _unasked(step, facts) or step",
        "return step",
        CLOSED_VAULTS,
    ),
    Rule(
        "the app's own group's keys are not rotated",
        _ROTATE,
        "if id_ and address_of(id_).group_id in",
        "if False and address_of(id_).group_id in",
        CLOSED_VAULTS,
    ),
    Rule(
        "a rotation looks for the key's users in any case",
        _ROTATE,
        "if look:",
        "if False:",
        "tests/usecases/test_closed_queue.py",
    ),
    Rule(
        "no new version is put down while writing is off",
        _ROTATE,
        "if not await ports.switch.is_on():",
        "if False:",
        "tests/usecases/test_switched_off_meanwhile.py",
    ),
    Rule(
        "no key of an unknown vault is rotated",
        _ROTATE,
        "if await vaults.by_host(item.key.host) is None:",
        "if False:",
        GUARDED_WISHES,
    ),
    Rule(
        "no wish reverts a key of another tenant",
        _WISHED,
        "return Blocked(Reason.CROSS_TENANT, use.slot) if use.tenant_is_foreign else Revert(use.slot)",
        "return Revert(use.slot)",
        GUARDED_WISHES,
    ),
    Rule("no wish changes a key of another tenant", _WISHED, "if use.tenant_is_foreign:", "if False:", GUARDED_WISHES),
    Rule(
        "no wish moves anything to a certificate's key",
        _WISHED,
        "if history.backs_certificate:",
        "if False:",
        GUARDED_WISHES,
    ),
)
