"""The safety rules of what comes past the door, and of what was seen meanwhile or may not be read."""

from __future__ import annotations

from tools.mutants.rule import Rule

_CHECK_RESOURCE = "shared/usecases/check_resource.py"
_ENDING = "shared/usecases/ending.py"
_GRANTS = "shared/adapters/grants.py"
_HOLDING = "shared/usecases/holding.py"
_REACH = "shared/usecases/reach.py"
_REVOKE = "shared/usecases/revoke.py"
ASKED = "tests/usecases/test_asked_meanwhile.py"
CODE_MARKS = "tests/usecases/test_code_marks.py"
CONVERGE = "tests/usecases/test_converge_key.py"
END_OF_KEYS = "tests/usecases/test_end_of_keys.py"
KEPT = "tests/usecases/test_kept_from_writing.py"
REVOCATION = "tests/domain/test_revocation.py"
REVOKE_LIMITS = "tests/usecases/test_revoke_limits.py"

RULES = (
    Rule(
        "a step that Azure accepted and that does not show is not taken again",
        "shared/usecases/not_now.py",
        "return any(done.accepted and done.step == step for done in progress.did)",
        "return False",
        KEPT,
    ),
    Rule(
        "no vault comes back into the app's own group",
        "shared/domain/plan/enforcement.py",
        "bar = forbidden_vault(facts, ground.vault) or _registering(facts, ground)",
        "bar = _registering(facts, ground)",
        KEPT,
    ),
    Rule(
        "what gets an identity for what lies below it has a rule that says fix",
        "shared/usecases/survey.py",
        'return "" if rule.encryption is Mode.FIX else',
        'return "" if True else',
        KEPT,
    ),
    Rule(
        "a key of another tenant is a reason to grant nobody anything",
        _REACH,
        "if use.tenant_is_foreign or host in deleted:",
        "if host in deleted:",
        KEPT,
    ),
    Rule(
        "what may not be read of a vault makes nobody lose access",
        _REACH,
        "        except (Refusal, NotThere):\n            continue",
        "        except (ZeroDivisionError):\n            continue",
        KEPT,
    ),
    Rule(
        "no vault is asked about the end of a key because work names it",
        _ENDING,
        "    if await ports.vaults.by_host(key.host) is None:\n        raise Refusal",
        "    if False:\n        raise Refusal",
        KEPT,
    ),
    Rule(
        "no vault is asked because a list's work or a row names it",
        "shared/usecases/candidates.py",
        "    if await context.ports.vaults.by_host(key.host) is None:",
        "    if False:",
        KEPT,
    ),
    Rule(
        "a look in between answers no wish",
        _CHECK_RESOURCE,
        "if not wanted and context.recent.answers(",
        "if context.recent.answers(",
        ASKED,
    ),
    Rule(
        "the oldest of what is known says how old it is",
        _CHECK_RESOURCE,
        "return min([read_at, *known])",
        "return max([read_at, *known])",
        ASKED,
    ),
    Rule(
        "no grant goes at a vault in the app's own group",
        _HOLDING,
        "        if bar := forbidden_vault(facts, hold.vault):\n            return bar\n",
        "",
        REVOKE_LIMITS,
    ),
    Rule(
        "no grant goes in a group that Azure manages",
        _HOLDING,
        "own=context.own, managed_groups=managed)",
        "own=context.own)",
        REVOKE_LIMITS,
    ),
    Rule(
        "no grant goes for a key of another tenant",
        _HOLDING,
        "keys = tuple(dict.fromkeys(use.configured.key for use in uses if not use.tenant_is_foreign))",
        "keys = tuple(dict.fromkeys(use.configured.key for use in uses))",
        REVOKE_LIMITS,
    ),
    Rule(
        "work past the door takes nothing that another rule gives back",
        _REVOKE,
        "if bar := _undone(progress.also) or _too_many(progress.also, item):",
        "if bar := _too_many(progress.also, item):",
        REVOKE_LIMITS,
    ),
    Rule(
        "a switch that was off uses up no patience of a revocation",
        _REVOKE,
        "first_at = now if wait.reason is Reason.WRITES_OFF else item.first_at",
        "first_at = item.first_at",
        REVOKE_LIMITS,
    ),
    Rule(
        "a resource whose key cannot be read counts among those that lose theirs",
        "shared/usecases/sharing.py",
        "    except BadKeyUrl:\n        return Other(address.url)",
        "    except BadKeyUrl:\n        return None",
        REVOKE_LIMITS,
    ),
    Rule(
        "who wishes for everything has named nobody's resource",
        "shared/usecases/wishes.py",
        "cause = ordered(wish, cause, by_name=not wish.all)",
        "cause = ordered(wish, cause, by_name=True)",
        CODE_MARKS,
    ),
    Rule(
        "the app's own object id is its own",
        "shared/adapters/myself.py",
        '("oid", "appid", "azp")',
        '("appid", "azp")',
        REVOKE_LIMITS,
    ),
    Rule(
        "a role with a condition does not pass for access",
        _GRANTS,
        "if not one.conditional)",
        ")",
        KEPT,
    ),
    Rule(
        "what a role leaves out it does not allow",
        _GRANTS,
        'tuple(_folded(permissions, "dataActions")), tuple(_folded(permissions, "notDataActions"))',
        'tuple(_folded(permissions, "dataActions")), ()',
        KEPT,
    ),
    Rule(
        "a group that a workspace names is found by its name, too",
        "shared/adapters/resource_graph.py",
        'return written if written.startswith("/") else',
        "return written if True else",
        KEPT,
    ),
    Rule(
        "a key gets no second version within a day",
        "shared/usecases/rotate.py",
        "YOUNGEST = timedelta(days=1)",
        "YOUNGEST = timedelta(minutes=1)",
        KEPT,
    ),
    Rule(
        "what is too many for one handling is put on the queue",
        "shared/usecases/check_children.py",
        "    await put_all(context, [_item(item, child.address) for child, _ in later])\n",
        "",
        CONVERGE,
    ),
    Rule(
        "a rule that hangs on a parent takes the parent to be there",
        "shared/usecases/above.py",
        '        raise TryLater(Reason.CONFLICT, f"{top.url} is not there, and what lies below it is")',
        "        return service, {}",
        KEPT,
    ),
    Rule(
        "what another wish announced is not told of as taken by this one",
        "shared/domain/revocation_record.py",
        'or line.get("correlationId") != cause',
        "",
        REVOCATION,
    ),
    Rule(
        "one user outside the policy bars a rotation",
        _ENDING,
        '    if rule is None:\n        return f"no rule is meant for {address.url}"\n',
        '    if rule is None:\n        return ""\n',
        END_OF_KEYS,
    ),
)
