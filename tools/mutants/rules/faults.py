"""The safety rules against odd answers, wrong clocks and sinks that refuse."""

from __future__ import annotations

from tools.mutants.rule import Rule

_AZURE_TIME = "shared/adapters/azure_time.py"
_DECIDING = "shared/domain/plan/deciding.py"
_EVIDENCE = "shared/adapters/evidence.py"
_EXPAND = "shared/usecases/expand.py"
_HARD_RULES = "shared/domain/plan/hard_rules.py"
_IN_VAIN = "shared/usecases/in_vain.py"
_OBSERVE = "shared/usecases/observe.py"
_OPERATIONS = "shared/usecases/operations.py"
_RECENT = "shared/usecases/recent.py"
_RESOURCE_GRAPH = "shared/adapters/resource_graph.py"
CLOCKS = "tests/usecases/test_clocks.py"
IN_VAIN = "tests/usecases/test_in_vain.py"
ODD_HEADERS = "tests/usecases/test_odd_headers.py"
ODD_ROWS = "tests/usecases/test_odd_rows.py"
ODD_VERSIONS = "tests/usecases/test_odd_versions.py"
SINKS_OUT = "tests/usecases/test_sinks_out.py"
AZURE_TIME = "tests/adapters/test_azure_time.py"

RULES = (
    Rule(
        "a change that does nothing is sent ever more seldom",
        _IN_VAIN,
        "return now - vain.last_at < max(_SHORTEST, _SLOWER * (vain.last_at - vain.first_at))",
        "return False",
        IN_VAIN,
    ),
    Rule(
        "another change does not rest because the one before it did nothing",
        _IN_VAIN,
        "if vain is None or vain.what != _what(step):",
        "if vain is None:",
        IN_VAIN,
    ),
    Rule(
        "a clock that is too far out to be put right shows in health",
        "shared/usecases/health.py",
        "if trouble := checkup.clock_trouble():",
        'if trouble := "":',
        AZURE_TIME,
    ),
    Rule(
        "the app's clock is put right by Azure's",
        _AZURE_TIME,
        "return self._wall.now() + self._ahead",
        "return self._wall.now()",
        CLOCKS,
    ),
    Rule(
        "nobody is believed that a clock is wrong by hours",
        _AZURE_TIME,
        "elif abs(nearest) <= FARTHEST:",
        "elif True:",
        AZURE_TIME,
    ),
    Rule(
        "no host but Resource Manager puts the clock right",
        "shared/adapters/guard.py",
        "if host != self._cloud.arm or self._time is None:",
        "if self._time is None:",
        "tests/adapters/test_guard.py",
    ),
    Rule(
        "a line is hidden only where the one that tells of it is shown",
        "shared/adapters/evidence_reading.py",
        "if head.closes and self.query.shows(head):",
        "if head.closes:",
        "tests/fuzz/test_fuzz_evidence.py",
    ),
    Rule(
        "one odd date moves no clock",
        _AZURE_TIME,
        "elif self._doubt is None or not span.meets(self._doubt):",
        "elif self._doubt is None and not span:",
        AZURE_TIME,
    ),
    Rule(
        "who remembers forgets when the clock is set back",
        _RECENT,
        "        if back:\n",
        "        if False:\n",
        CLOCKS,
    ),
    Rule(
        "what was read of a key before a clock was set back is read again",
        "shared/adapters/keys.py",
        "not not_older_than <= known.read_at <= self._clock.now()",
        "not not_older_than <= known.read_at",
        CLOCKS,
    ),
    Rule(
        "the policy is looked at again when the clock is set back",
        "shared/adapters/policy_file.py",
        "not self._looked <= now < self._looked + LOOK_AGAIN",
        "now >= self._looked + LOOK_AGAIN",
        CLOCKS,
    ),
    Rule(
        "nonsense about the writes that are left undoes no write",
        "shared/adapters/arm.py",
        "    except ValueError:\n        return None\n",
        "    except KeyError:\n        return None\n",
        ODD_HEADERS,
    ),
    Rule(
        "one resource's time to wait holds no subscription up for a day",
        "shared/usecases/pacing.py",
        "now + min(after, LONGEST_CLOSED)",
        "now + after",
        ODD_HEADERS,
    ),
    Rule(
        "a date counts by the clock of who wrote it",
        "shared/adapters/translate.py",
        'else _until(written, headers.get("Date"))',
        "else _until(written, None)",
        ODD_HEADERS,
    ),
    Rule(
        "an operation is left in peace as long as its first answer asks",
        "shared/usecases/check_resource.py",
        "goes_on(context, item, progress.ask_after)",
        "goes_on(context, item, None)",
        ODD_HEADERS,
    ),
    Rule(
        "who sees few writes left lets others go first",
        "shared/usecases/carry_out.py",
        "if reply.remaining is not None and reply.remaining < FEW_LEFT:",
        "if False:",
        ODD_HEADERS,
    ),
    Rule(
        "a list of ever new pages ends",
        _EXPAND,
        "more = page.cursor if item.page < MOST_PAGES else None",
        "more = page.cursor",
        ODD_ROWS,
    ),
    Rule(
        "a resource that the index shows twice is one",
        _RESOURCE_GRAPH,
        'found = {fold(row["id"]): row for row in rows if _names_a_resource(row)}',
        "found = {str(number): row for number, row in enumerate(rows) if _names_a_resource(row)}",
        ODD_ROWS,
    ),
    Rule(
        "a version that is listed and cannot be read does not make the key gone",
        _OBSERVE,
        "            raise TryLater(Reason.SERVICE_UNAVAILABLE, detail) from error\n",
        "            raise\n",
        ODD_VERSIONS,
    ),
    Rule(
        "evidence that was refused is kept for later",
        _EVIDENCE,
        "                one.tried, one.error = True, error\n",
        "                one.tried, one.error = True, error\n            self._waiting.clear()\n",
        SINKS_OUT,
    ),
    Rule(
        "nothing is written while the resource is being changed",
        _HARD_RULES,
        "if settled is Settled.BUSY:",
        "if False:",
        "tests/usecases/test_service_postgresql.py",
    ),
    Rule(
        "a body with a secret that the service keeps to itself is not sent back",
        _DECIDING,
        "return Blocked(Reason.SECRET_WITHHELD, detail=where) if where else None",
        "return None",
        "tests/usecases/test_service_search.py",
    ),
    Rule(
        "nothing moves on while people have Secrets to rewrite",
        _DECIDING,
        "return Blocked(Reason.SECRETS_NOT_REWRITTEN, detail=left) if left else None",
        "return None",
        "tests/usecases/test_service_containers.py",
    ),
    Rule(
        "a vault in a managed group is left alone",
        _HARD_RULES,
        "managed = vault.group_id in facts.managed_groups",
        "managed = False",
        "tests/domain/test_enforcement_plan.py",
    ),
    Rule(
        "what a rule would give back is not taken",
        "shared/usecases/revoke.py",
        "other = next((one for one in also if one.restored_by), None)",
        "other = None",
        "tests/usecases/test_revoke.py",
    ),
    Rule(
        "the last page of a sweep gives its turn back",
        "shared/usecases/sweeping.py",
        "    if not page.more:\n",
        "    if False:\n",
        "tests/usecases/test_sweep.py",
    ),
    Rule(
        "a connection leads to no subscription that the app does not read",
        "shared/usecases/dependents.py",
        "return [one for one in found if one.arm.subscription.lower() in ours]",
        "return found",
        "tests/usecases/test_connections.py",
    ),
    Rule(
        "lines of what lies below a resource are none of its own",
        "shared/usecases/own_lines.py",
        "address.folded, alone=True)",
        "address.folded)",
        "tests/usecases/test_own_lines.py",
    ),
    Rule(
        "what has failed is not tried again where the evidence is not read to its end",
        "shared/usecases/trying_again.py",
        "if page.cursor is not None:",
        "if False:",
        "tests/usecases/test_tried_again.py",
    ),
    Rule(
        "a row of the index without a resource's id is passed over",
        _RESOURCE_GRAPH,
        "if _names_a_resource(row)}",
        "}",
        ODD_ROWS,
    ),
    Rule(
        "an operation is asked about no longer than moments in one handling",
        _OPERATIONS,
        "if after is not None and after > timedelta(seconds=pause):",
        "if False:",
        ODD_HEADERS,
    ),
)
