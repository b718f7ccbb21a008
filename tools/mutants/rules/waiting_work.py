"""The safety rules of work that waits, and of what others wait for."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ADAPTERS_RESOURCE_GRAPH = "shared/adapters/resource_graph.py"
_DOMAIN_TUG = "shared/domain/tug.py"
_USECASES_AUDIT_VAULT = "shared/usecases/audit_vault.py"
_USECASES_CHECK_NAMED = "shared/usecases/check_named.py"
_USECASES_ENDING = "shared/usecases/ending.py"
_USECASES_EXPAND = "shared/usecases/expand.py"
_USECASES_ROLLOUT = "shared/usecases/rollout.py"
_USECASES_SWEEPING = "shared/usecases/sweeping.py"
RESOURCE_EVENTS = "tests/app/test_resource_events.py"
ASKED_MEANWHILE = "tests/usecases/test_asked_meanwhile.py"
GRANTS_ABOVE_VAULTS = "tests/usecases/test_grants_above_vaults.py"
ODD_ROWS = "tests/usecases/test_odd_rows.py"
PATIENT_WORK = "tests/usecases/test_patient_work.py"
REVOKE_LIMITS = "tests/usecases/test_revoke_limits.py"
SERVICE_ACCESS = "tests/usecases/test_service_access.py"
SERVICE_MESSAGING = "tests/usecases/test_service_messaging.py"
TUG_OF_WAR = "tests/usecases/test_tug_of_war.py"
WAVES = "tests/usecases/test_waves.py"

RULES = (
    Rule(
        "a look at a moment to come is asked then and not before",
        _USECASES_EXPAND,
        "replace(item, asked_at=at, waited=None), visible_at=at",
        "replace(item, waited=None), visible_at=at",
        PATIENT_WORK,
    ),
    Rule(
        "a look for its time waits for it",
        _USECASES_EXPAND,
        "waited=None), visible_at=at)",
        "waited=None))",
        PATIENT_WORK,
    ),
    Rule(
        "an expansion that waits is hidden meanwhile",
        _USECASES_EXPAND,
        "replace(item, waited=waited_for(step)), visible_at=step.again_at",
        "replace(item, waited=waited_for(step))",
        PATIENT_WORK,
    ),
    Rule(
        "the count of a key's users goes on when it had to wait",
        _USECASES_ENDING,
        "        if isinstance(step, Wait):\n",
        "        if False:\n",
        PATIENT_WORK,
    ),
    Rule(
        "the count of a key's users remembers since when it waits",
        _USECASES_ENDING,
        "replace(item, waited=waited_for(step)), visible_at",
        "item, visible_at",
        PATIENT_WORK,
    ),
    Rule(
        "an audit that has to wait goes on",
        _USECASES_AUDIT_VAULT,
        "        if isinstance(step, Wait):\n",
        "        if False:\n",
        PATIENT_WORK,
    ),
    Rule(
        "an audit remembers since when it waits",
        _USECASES_AUDIT_VAULT,
        "replace(item, waited=waited_for(step)), visible_at",
        "item, visible_at",
        PATIENT_WORK,
    ),
    Rule(
        "those named remember since when they wait",
        _USECASES_CHECK_NAMED,
        "replace(item, waited=waited_for(step)), visible_at",
        "item, visible_at",
        PATIENT_WORK,
    ),
    Rule(
        "those named are hidden while they wait",
        _USECASES_CHECK_NAMED,
        "replace(item, waited=waited_for(step)), visible_at=step.again_at",
        "replace(item, waited=waited_for(step))",
        PATIENT_WORK,
    ),
    Rule(
        "a collection remembers since when it waits",
        "shared/usecases/check_children.py",
        "replace(item, asked_at=now, waited=waited_for(step), paced=False)",
        "replace(item, asked_at=now, paced=False)",
        PATIENT_WORK,
    ),
    Rule(
        "a rotation remembers since when it waits",
        "shared/usecases/rotate.py",
        "replace(item, waited=waited_for(outcome.wait)), visible_at",
        "item, visible_at",
        PATIENT_WORK,
    ),
    Rule(
        "a sweep that waits for another one is hidden meanwhile",
        _USECASES_SWEEPING,
        "replace(item, waited=waited_for(step)), visible_at=step.again_at",
        "replace(item, waited=waited_for(step))",
        PATIENT_WORK,
    ),
    Rule(
        "a sweep does not wait for another one for ever",
        _USECASES_SWEEPING,
        "replace(item, waited=waited_for(step)), visible_at",
        "item, visible_at",
        PATIENT_WORK,
    ),
    Rule(
        "what was poisoned does not come back at once",
        "shared/usecases/handle.py",
        "put(again, visible_at=context.ports.clock.now() + PUT_BACK_AFTER)",
        "put(again)",
        PATIENT_WORK,
    ),
    Rule(
        "pages of rows that lead back to each other have an end",
        _ADAPTERS_RESOURCE_GRAPH,
        "                turns.to(cursor)\n",
        "                pass\n",
        PATIENT_WORK,
    ),
    Rule(
        "where the latest may not be read it is the youngest",
        "shared/adapters/keys.py",
        "return _version(max(listed,",
        "return _version(min(listed,",
        PATIENT_WORK,
    ),
    Rule(
        "an identity is given only by a change that can give one",
        "shared/domain/plan/groundwork.py",
        "    if not facts.service.traits_of(facts.body).acts.assigned:\n",
        "    if False:\n",
        SERVICE_ACCESS,
    ),
    Rule(
        "a grant that Azure did not take was none",
        _DOMAIN_TUG,
        '        if one.get("step") == "GrantAccess" and one.get("accepted")\n',
        '        if one.get("step") == "GrantAccess"\n',
        TUG_OF_WAR,
    ),
    Rule(
        "a grant at another vault or to another principal was none",
        _DOMAIN_TUG,
        '        if str(one.get("place", "")).lower() == vault.lower() and _principal(one) == principal\n',
        "",
        TUG_OF_WAR,
    ),
    Rule(
        "a look that waits answers no haste that was ordered",
        "shared/usecases/taking_turns.py",
        "return item.wish is not None or item.cause.order != Order()",
        "return item.wish is not None",
        ASKED_MEANWHILE,
    ),
    Rule(
        "rows without ids are no answer",
        _ADAPTERS_RESOURCE_GRAPH,
        '            if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in found):\n',
        "            if False:\n",
        PATIENT_WORK,
    ),
    Rule(
        "ten minutes lie between two looks through a whole subscription",
        _USECASES_EXPAND,
        "WIDE_AGAIN = timedelta(minutes=10)",
        "WIDE_AGAIN = timedelta(0)",
        GRANTS_ABOVE_VAULTS,
    ),
    Rule(
        "a key in hardware that nobody knows is called so",
        "shared/usecases/observe.py",
        '    if ".managedhsm." in host:\n',
        "    if False:\n",
        SERVICE_MESSAGING,
    ),
    Rule(
        "what went at a vault or a key has the vault's users looked at",
        "shared/domain/events.py",
        "    if vault := _BELOW_VAULT.match(scope):\n",
        "    if False and (vault := _BELOW_VAULT.match(scope)):\n",
        RESOURCE_EVENTS,
    ),
    Rule(
        "a resource's own identity is nobody else's",
        "shared/usecases/sharing.py",
        "dict.fromkeys(one.identity for one in holds if one.identity)",
        "dict.fromkeys(one.identity for one in holds)",
        REVOKE_LIMITS,
    ),
    Rule(
        "who names an older version is not where it should be",
        "shared/usecases/candidates.py",
        "        if not use.follows and use.configured.version != target.version:\n            return False\n",
        "",
        ODD_ROWS,
    ),
    Rule(
        "who lies in a group that Azure manages holds no wave",
        _USECASES_ROLLOUT,
        ", own=context.own, managed_groups=managed)",
        ", own=context.own)",
        WAVES,
    ),
    Rule(
        "what is the app's own holds no wave",
        _USECASES_ROLLOUT,
        "rule, own=context.own, managed",
        "rule, managed",
        WAVES,
    ),
    Rule(
        "who is owned by code holds no wave",
        _USECASES_ROLLOUT,
        "    if rule.owned_by_code is Owned.REPORT and mark_of(tags_in(row), rule.code_tags):\n",
        "    if False:\n",
        WAVES,
    ),
)
