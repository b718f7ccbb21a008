"""The safety rules of the plan where two things come together: which slot, whose vault, why it failed."""

from __future__ import annotations

from tools.mutants.rule import Rule

_CARRIED = "shared/domain/plan/carried.py"
_ENFORCEMENT = "shared/domain/plan/enforcement.py"
_HARD_RULES = "shared/domain/plan/hard_rules.py"
_HOPPING = "shared/domain/plan/hopping.py"
_REACH = "shared/domain/plan/reach.py"
_WISHED = "shared/domain/plan/wished.py"
COMPUTE = "tests/usecases/test_service_compute.py"
ENFORCEMENT = "tests/domain/test_enforcement_plan.py"
HOURS = "tests/domain/test_window_hours.py"
ODD = "tests/domain/test_plan_in_odd_cases.py"

RULES = (
    Rule(
        "to begin with a key and follow it takes what following takes",
        "shared/domain/plan/deciding.py",
        "verbs = (verb_of(step, use), *_turning(step, use))",
        "verbs = (verb_of(step, use),)",
        ODD,
    ),
    Rule(
        "one that stops following is pinned to nothing older than what it follows",
        _WISHED,
        "latest=follow or use.follows, slot",
        "latest=follow, slot",
        ODD,
    ),
    Rule(
        "a wish to follow is one for what the vault calls latest",
        _WISHED,
        "choose = latest_usable if latest else newest_usable",
        "choose = newest_usable",
        ODD,
    ),
    Rule(
        "a service that always follows begins with what the vault calls latest",
        _WISHED,
        "or facts.service.traits_of(facts.body, slot).follow is Follow.ALWAYS",
        "",
        ODD,
    ),
    Rule(
        "a disabled version is told of though another one is just as new",
        "shared/domain/plan/rotation.py",
        " and configured.state(facts.now) is State.USABLE",
        "",
        ODD,
    ),
    Rule(
        "what lies below the app's own storage account is left alone",
        _HARD_RULES,
        'if arm.type.lower().startswith("microsoft.storage/") and',
        'if arm.type.lower() == "microsoft.storage/storageaccounts" and',
        ODD,
    ),
    Rule(
        "an identity of a kind that the service does not take is refused",
        _WISHED,
        "if not (acts.user if wish.identity else acts.system):",
        "if False:",
        ODD,
    ),
    Rule(
        "what follows is not sent along where a PATCH leaves it as it is",
        _CARRIED,
        "May.PUT in traits.needs and use.follows and",
        "use.follows and",
        ODD,
    ),
    Rule(
        "a whole body is not sent while the key of another slot cannot be read",
        _CARRIED,
        "return None if history is None else Blocked(history.reason, use.slot, history.detail)",
        "return None",
        ODD,
    ),
    Rule(
        "a failure is written over only while the grant may still spread",
        _HARD_RULES,
        "since is not None and facts.now - since <= PATIENCE[Reason.KEY_ACCESS_DENIED].give_up",
        "since is not None",
        ODD,
    ),
    Rule(
        "a failure is not written over because something else is waited for",
        _HARD_RULES,
        "facts.waited is not None and facts.waited.reason is Reason.KEY_ACCESS_DENIED",
        "facts.waited is not None",
        ODD,
    ),
    Rule(
        "no first key is used while nobody can say whether a certificate owns it",
        _ENFORCEMENT,
        "if history.unasked is not None:",
        "if False:",
        ODD,
    ),
    Rule(
        "a child begins with no key by an identity that is not known",
        _ENFORCEMENT,
        "if facts.address.parent and traits.acts.above is None:",
        "if False:",
        ODD,
    ),
    Rule(
        "no resource hops from a key that it could not come back to",
        "shared/domain/plan/another_key.py",
        "return (change.to.key, wish.key.key) if out and wish.key is not None else (change.to.key,)",
        "return (change.to.key,)",
        ODD,
    ),
    Rule(
        "no hop moves a key of another tenant",
        _HOPPING,
        "    if use.tenant_is_foreign:\n        return Blocked(Reason.CROSS_TENANT, use.slot)\n",
        "",
        ODD,
    ),
    Rule(
        "a hop against the rule is refused",
        _HOPPING,
        "if against := against_the_rule(facts, wish):",
        "if against := None:",
        ODD,
    ),
    Rule(
        "lost access is not granted again at a vault that stays as it is",
        _REACH,
        "bar = forbidden(facts) or forbidden_vault(facts, reach.vault)",
        "bar = forbidden(facts)",
        ODD,
    ),
    Rule(
        "lost access is not granted again to what is never written",
        _REACH,
        "bar = forbidden(facts) or",
        "bar =",
        ODD,
    ),
    Rule(
        "lost access is granted again only by a rule that may grant",
        _REACH,
        "or May.GRANT not in rule.may:",
        ":",
        ODD,
    ),
    Rule(
        "no key is made of a kind that the service does not take",
        "shared/domain/plan/groundwork.py",
        "if (like.type, like.size) not in facts.service.traits_of(facts.body).accepts.types:",
        "if False:",
        ENFORCEMENT,
    ),
    Rule(
        "a set that reaches its key from another tenant is left alone",
        "shared/services/compute.py",
        'foreign = text(lookup(properties, "federatedClientId")).lower() not in {"", _NOBODY}',
        "foreign = False",
        COMPUTE,
    ),
    Rule(
        "a freeze holds in its own time zone",
        "shared/domain/windows.py",
        "        zone = zone_of(self.timezone) or UTC\n        begins",
        "        zone = UTC\n        begins",
        HOURS,
    ),
)
