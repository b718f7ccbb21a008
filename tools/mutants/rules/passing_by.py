"""The safety rules of what comes past the door, of what was seen meanwhile, and of answers that lead elsewhere."""

from __future__ import annotations

from tools.mutants.rule import Rule

_CHECK_RESOURCE = "shared/usecases/check_resource.py"
_HOLDING = "shared/usecases/holding.py"
_KEYS = "shared/adapters/keys.py"
_REACH = "shared/usecases/reach.py"
_REVOKE = "shared/usecases/revoke.py"
_TRANSLATE = "shared/adapters/translate.py"
_VAULTS = "shared/adapters/vaults.py"
ASKED = "tests/usecases/test_asked_meanwhile.py"
CONNECTION = "tests/adapters/test_connection.py"
KEPT = "tests/usecases/test_kept_from_writing.py"
REVOKE_LIMITS = "tests/usecases/test_revoke_limits.py"
TRANSLATE = "tests/adapters/test_translate.py"
VAULTS = "tests/adapters/test_vaults.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"

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
        "shared/usecases/ending.py",
        "    if await ports.vaults.by_host(key.host) is None:\n        raise Refusal",
        "    if False:\n        raise Refusal",
        KEPT,
    ),
    Rule(
        "no vault is asked because a list's work or a row names it",
        "shared/usecases/candidates.py",
        "    if key is None or await context.ports.vaults.by_host(key.host) is None:",
        "    if key is None:",
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
        "a lack of rights on what is linked has its own reason",
        _TRANSLATE,
        '"linkedauthorizationfailed": Reason.LINKED_AUTHORIZATION,',
        "",
        TRANSLATE,
    ),
    Rule(
        "a policy of Azure's that forbids a write has its own reason",
        _TRANSLATE,
        '"requestdisallowedbypolicy": Reason.DENIED_BY_POLICY,',
        "",
        TRANSLATE,
    ),
    Rule(
        "a lock has its own reason",
        _TRANSLATE,
        '"scopelocked": Reason.SCOPE_LOCKED,',
        "",
        TRANSLATE,
    ),
    Rule(
        "a precondition that failed is looked at again",
        _TRANSLATE,
        "(409, 412, 423)",
        "(409, 423)",
        TRANSLATE,
    ),
    Rule(
        "a missing piece is not a missing resource",
        _TRANSLATE,
        "if status == 410 or (status == 404 and code.lower() in _GONE):",
        "if status in {404, 410}:",
        TRANSLATE,
    ),
    Rule(
        "Azure's words begin no line of the log",
        _TRANSLATE,
        "return one_line(plain, _LONGEST_DETAIL)",
        "return plain[:_LONGEST_DETAIL]",
        TRANSLATE,
    ),
    Rule(
        "a vault's redirect is not followed",
        "shared/adapters/connection.py",
        '"redirect_policy": AsyncRedirectPolicy(permit_redirects=False),',
        "",
        CONNECTION,
    ),
    Rule(
        "nor is the queue's",
        "shared/adapters/work_queue.py",
        '                "permit_redirects": False,\n',
        "",
        CONNECTION,
    ),
    Rule(
        "nor is the outcome topic's",
        "shared/adapters/journal.py",
        "permit_redirects=False,",
        "",
        CONNECTION,
    ),
    Rule(
        "one version that a certificate owns makes the key a certificate's",
        _KEYS,
        "managed = any(bool(one.managed) for one in listed)",
        "managed = all(bool(one.managed) for one in listed)",
        VAULT_KEYS,
    ),
    Rule(
        "which version is the latest is guessed only where it may not be read",
        _KEYS,
        "            if error.status_code != 403 or not listed:  # noqa: PLR2004\n                raise\n",
        "            if not listed:\n                raise\n",
        VAULT_KEYS,
    ),
    Rule(
        "what is called latest is of the key that was asked for",
        _KEYS,
        "_version(_mine(found.properties, key))\n        self",
        "_version(found.properties)\n        self",
        VAULT_KEYS,
    ),
    Rule(
        "a vault is confirmed anew",
        _VAULTS,
        "            self._confirmed.clear()\n",
        "",
        VAULTS,
    ),
    Rule(
        "a vault that an event names is confirmed as well",
        _VAULTS,
        "return await self._confirm(host, folded)",
        "return VaultSite(host, folded)",
        VAULTS,
    ),
)
