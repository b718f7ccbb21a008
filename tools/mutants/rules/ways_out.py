"""The safety rules of hosts, vaults, queues and clocks: answers that lead elsewhere, or are of something else."""

from __future__ import annotations

from tools.mutants.rule import Rule

_KEYS = "shared/adapters/keys.py"
_POLICY_FILE = "shared/adapters/policy_file.py"
_SEARCH_OBJECTS = "shared/adapters/search_objects.py"
_TRANSLATE = "shared/adapters/translate.py"
_VAULTS = "shared/adapters/vaults.py"
_WORK_QUEUE = "shared/adapters/work_queue.py"
AZURE_TIME = "tests/adapters/test_azure_time.py"
CONNECTION = "tests/adapters/test_connection.py"
GUARD = "tests/adapters/test_guard.py"
POLICY_FILE = "tests/adapters/test_policy_file.py"
QUEUE = "tests/adapters/test_work_queue.py"
SERVICE_SEARCH = "tests/usecases/test_service_search.py"
TRANSLATE = "tests/adapters/test_translate.py"
VAULTS = "tests/adapters/test_vaults.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"

RULES = (
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
        _WORK_QUEUE,
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
    Rule(
        "work on the queue never expires",
        _WORK_QUEUE,
        "time_to_live=-1)\n    except",
        "time_to_live=604800)\n    except",
        QUEUE,
    ),
    Rule(
        "no work is hidden for longer than a queue can",
        _WORK_QUEUE,
        "min(max(delay, timedelta(0)), _LONGEST)",
        "max(delay, timedelta(0))",
        QUEUE,
    ),
    Rule(
        "a host is Resource Manager's only by its whole name",
        "shared/adapters/clouds.py",
        "        if host == self.arm:\n",
        "        if host.endswith(self.arm):\n",
        GUARD,
    ),
    Rule(
        "another object's body is put in no object's place",
        _SEARCH_OBJECTS,
        'if not isinstance(body, dict) or str(body.get("name", "")).lower() != address.arm.name.lower():',
        "if not isinstance(body, dict):",
        SERVICE_SEARCH,
    ),
    Rule(
        "a search service is confirmed anew",
        _SEARCH_OBJECTS,
        "if seen is not None and now - seen <= _CONFIRMED_FOR:",
        "if seen is not None:",
        SERVICE_SEARCH,
    ),
    Rule(
        "many small steps lead the clock away no further",
        "shared/adapters/azure_time.py",
        "if abs(nearest) <= FARTHEST and abs(nearest - self._ahead) <= _STEP:",
        "if abs(nearest - self._ahead) <= _STEP:",
        AZURE_TIME,
    ),
    Rule(
        "a vault that a rule places is known by its own host only",
        _VAULTS,
        "if found is None or found.host != host:\n            return None\n        self._learnt",
        "if found is None:\n            return None\n        self._learnt",
        VAULTS,
    ),
    Rule(
        "a policy that cannot be fetched holds for minutes",
        _POLICY_FILE,
        "LAST_GOOD_FOR = timedelta(minutes=10)",
        "LAST_GOOD_FOR = timedelta(days=10)",
        POLICY_FILE,
    ),
    Rule(
        "the policy is looked at again within seconds",
        _POLICY_FILE,
        "LOOK_AGAIN = timedelta(seconds=20)",
        "LOOK_AGAIN = timedelta(minutes=10)",
        POLICY_FILE,
    ),
    Rule(
        "a policy as long as before is another one all the same",
        _POLICY_FILE,
        "{found.st_mtime_ns} {found.st_size} {found.st_ino}",
        "{found.st_size}",
        POLICY_FILE,
    ),
)
