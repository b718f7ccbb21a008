"""The safety rules of what is known or put down before a write, and of who names whom."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ANNOUNCED = "tests/usecases/test_announced.py"
_MEANWHILE = "tests/usecases/test_switched_off_meanwhile.py"
_FORESEEN = "tests/usecases/test_foreseen.py"
_MANY = "tests/usecases/test_many_named.py"
_REACH = "tests/usecases/test_wishes_reach.py"

RULES = (
    Rule(
        "an access policy that may be a group's is left to Azure's answer",
        "shared/domain/plan/another_key.py",
        "return None if isinstance(found, Blocked) and unsure else found",
        "return found",
        "tests/usecases/test_wishes_reach.py",
    ),
    Rule(
        "a wish grants nothing on a vault of another tenant",
        "shared/domain/plan/another_key.py",
        "if tenant and vault.tenant and tenant != vault.tenant:",
        "if not tenant:",
        "tests/usecases/test_wishes_reach.py",
    ),
    Rule(
        "a wish for another vault keeps to the region that the rule demands",
        "shared/domain/plan/another_key.py",
        "facts.rule.same_region is Region.REQUIRE:",
        "facts.rule is None:",
        "tests/usecases/test_wishes_reach.py",
    ),
    Rule(
        "a wished first key names the identity that the resource has",
        "shared/domain/plan/wished.py",
        "return (told[0] or None) if acts.named else None",
        "return None",
        "tests/usecases/test_wishes_reach.py",
    ),
    Rule(
        "nothing is begun for a resource whose body shows that it takes no key",
        "shared/domain/plan/enforcement.py",
        "if lacking := facts.service.incapable(facts.body):",
        'if lacking := "":',
        "tests/usecases/test_enforce_services.py",
    ),
    Rule(
        "a denial that excepts a group is left to the write",
        "shared/adapters/beforehand.py",
        'text(lookup(one, "id")).lower() in me or text(lookup(one, "type")).lower() not in _SINGLE',
        'text(lookup(one, "id")).lower() in me',
        _FORESEEN,
    ),
    Rule(
        "what cannot be done to its end is not begun",
        "shared/usecases/courtesy.py",
        "    if bar := await foreseen(context, facts, steps):\n",
        "    if bar := None:\n",
        _FORESEEN,
    ),
    Rule(
        "no vault is begun in a resource group that is going",
        "shared/usecases/foreseen.py",
        "if found is None or found.going:",
        "if found is None:",
        _FORESEEN,
    ),
    Rule(
        "a wished key that is out of reach is not set",
        "shared/domain/plan/deciding.py",
        "sent, grants = carried(changes, facts), admitted(changes, facts)",
        "sent, grants = carried(changes, facts), ()",
        _REACH,
    ),
    Rule(
        "what a wish needs is granted only where the rule may grant",
        "shared/domain/plan/another_key.py",
        "if facts.rule is None or May.GRANT not in facts.rule.may:",
        "if facts.rule is None:",
        _REACH,
    ),
    Rule(
        "a wish grants nothing in the app's own resource group",
        "shared/domain/plan/another_key.py",
        "if bar := forbidden_vault(facts, reach.vault):",
        "if bar := None:",
        _REACH,
    ),
    Rule(
        "a write is put down before it is sent",
        "shared/usecases/check_resource.py",
        "if step := held or await announce(context, item, facts, steps[0]):",
        "if step := held:",
        _ANNOUNCED,
    ),
    Rule(
        "a new version is put down before it is made",
        "shared/usecases/rotate.py",
        "begun.append(await announce_version(context, item, history.key))",
        "pass",
        _ANNOUNCED,
    ),
    Rule(
        "a write waits where writing was switched off while it was put down",
        "shared/usecases/announcing.py",
        "return None if await context.ports.switch.is_on() else switched_off(context, item)",
        "return None",
        _MEANWHILE,
    ),
    Rule(
        "a new version waits where writing was switched off while it was put down or its key looked at",
        "shared/adapters/keys.py",
        "if not await if_on.is_on():",
        "if False:",
        _MEANWHILE,
    ),
    Rule(
        "what is taken away is looked at again after it was put down",
        "shared/usecases/revoke.py",
        "            continue  # telling",
        "            pass  # telling",
        _MEANWHILE,
    ),
    Rule(
        "who was named by another names nobody beside itself",
        "shared/usecases/dependents.py",
        "        found = [one for one in found if _below(item, one)]\n",
        "        pass\n",
        _MANY,
    ),
    Rule(
        "a slice of what a hub names is bounded",
        "shared/usecases/named.py",
        "here = page.members[place.skip : place.skip + MOST_MEMBERS - looked_at]",
        "here = page.members[place.skip :]",
        _MANY,
    ),
)
