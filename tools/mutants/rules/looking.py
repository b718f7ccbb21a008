"""The safety rules of a look: what is fresh, what is sent, what comes back."""

from __future__ import annotations

from tools.mutants.rule import Rule

_CHECK_RESOURCE = "shared/usecases/check_resource.py"
_EXPAND = "shared/usecases/expand.py"
_NOT_NOW = "shared/usecases/not_now.py"
ABOVE_VAULTS = "tests/usecases/test_grants_above_vaults.py"
CLOSED_QUEUE = "tests/usecases/test_closed_queue.py"
ODD_OPERATIONS = "tests/usecases/test_odd_operations.py"
OTHER_HANDS = "tests/usecases/test_other_hands.py"
ROTATION_RULES = "tests/usecases/test_rotation_rules.py"
SERVICE_SQL = "tests/usecases/test_service_sql.py"
STALE_BODIES = "tests/usecases/test_stale_bodies.py"
SWEEP = "tests/usecases/test_sweep.py"

RULES = (
    Rule(
        "a change whose operation fails at once is told of",
        "shared/usecases/carry_out.py",
        "            if sent == len(requests):\n",
        "            if sent < 0:\n",
        "tests/usecases/test_service_cognitive.py",
    ),
    Rule(
        "what was poisoned is put back once, not for ever",
        "shared/domain/work.py",
        "if item.cause.revived or not isinstance",
        "if not isinstance",
        "tests/domain/test_work.py",
    ),
    Rule(
        "a version our copy does not know makes us ask again",
        "shared/usecases/observe.py",
        "if any(version and history.find(version) is None for version in named):",
        "if False:",
        ROTATION_RULES,
    ),
    Rule(
        "after a write the key is read afresh",
        _CHECK_RESOURCE,
        "keys_as_of, seen = clock.now(), None",
        "seen = None",
        ROTATION_RULES,
    ),
    Rule(
        "nothing is written on old knowledge",
        _CHECK_RESOURCE,
        "if abs(clock.now() - as_of) <= FRESH and",
        "if",
        OTHER_HANDS,
    ),
    Rule(
        "an accepted change is not sent again",
        _NOT_NOW,
        "return any((change.slot, change.to) in accepted for change in step.changes)",
        "return False",
        OTHER_HANDS,
    ),
    Rule(
        "the switch is asked before every write",
        _NOT_NOW,
        "return None if await context.ports.switch.is_on() else switched_off(context, item)",
        "return None",
        "tests/usecases/test_switched_off_meanwhile.py",
    ),
    Rule(
        "the switch is asked, and what is known is fresh, before every further request of a change",
        "shared/usecases/carry_out.py",
        "if sent > first + 1 and not await _may_go_on(context, progress):",
        "if False:",
        SERVICE_SQL,
    ),
    Rule(
        "an operation that nobody can tell of is not waited for without end",
        "shared/usecases/going_on.py",
        "if not unheard_of(error, item.waited, context.ports.clock.now()):",
        "if True:",
        SERVICE_SQL,
    ),
    Rule(
        "an operation that nobody can tell of and that changes nothing uses up its patience",
        _NOT_NOW,
        "if _accepted(facts, step, progress) or _unheard_of(step, progress):",
        "if _accepted(facts, step, progress):",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "an event about a key that its vault does not have asks the index for nothing",
        "shared/usecases/expand.py",
        "if _is_made_up(item, scope) or scope.hosts == frozenset():",
        "if scope.hosts == frozenset():",
        "tests/app/test_forgery.py",
    ),
    Rule(
        "a grant above vaults that is gone has their users looked at",
        "shared/domain/events.py",
        "gone = event.type.lower() in _DELETIONS and _ABOVE_VAULTS.fullmatch(scope)",
        "gone = False",
        ABOVE_VAULTS,
    ),
    Rule(
        "a place where no vault is has nothing looked through",
        "shared/usecases/expand.py",
        "_is_made_up(item, scope) or scope.hosts == frozenset()",
        "_is_made_up(item, scope)",
        ABOVE_VAULTS,
    ),
    Rule(
        "a whole subscription is looked through once in ten minutes at most",
        "shared/usecases/expand.py",
        "if until := _too_soon(context, item):",
        "if until := None:",
        ABOVE_VAULTS,
    ),
    Rule(
        "a grant above vaults is about the vaults below it and no others",
        "shared/usecases/candidates.py",
        'if fold(site.id).startswith(f"{above}/")',
        "if above",
        ABOVE_VAULTS,
    ),
    Rule(
        "a list that leads back to itself is not read for ever",
        "shared/adapters/pages.py",
        "if following in self._seen or len(self._seen) >= MOST_PAGES:",
        "if len(self._seen) >= MOST_PAGES:",
        "tests/adapters/test_pages.py",
    ),
    Rule(
        "an answer without a list is no empty list",
        "shared/adapters/pages.py",
        'raise ValueError("a page without a list")',
        "pass",
        "tests/adapters/test_pages.py",
    ),
    Rule(
        "a cursor off the queue leads to the same list",
        "shared/adapters/arm.py",
        "if len(cursor) > _LONGEST_URL or not same:",
        "if False:",
        "tests/adapters/test_pages.py",
    ),
    Rule(
        "a page of the index that leads to itself is no page",
        "shared/adapters/resource_graph.py",
        "if cursor is not None and answer.skip_token == cursor:",
        "if False:",
        "tests/adapters/test_pages.py",
    ),
    Rule(
        "an audit whose next page the queue does not take is not ended",
        "shared/usecases/audit_vault.py",
        "    except NotTaken:\n        raise\n    except AppError as error:",
        "    except AppError as error:",
        "tests/usecases/test_closed_queue.py",
    ),
    Rule(
        "what waits is looked at again",
        _CHECK_RESOURCE,
        "await come_back(context, item, outcome, progress)",
        "pass",
        ROTATION_RULES,
    ),
    Rule(
        "one look at a time", _CHECK_RESOURCE, "async with context.recent.turn(item.address):", "if True:", OTHER_HANDS
    ),
    Rule(
        "an event is answered by nothing older",
        "shared/usecases/candidates.py",
        "not_older_than=max(asked_at, fresh_enough(context))",
        "not_older_than=fresh_enough(context)",
        OTHER_HANDS,
    ),
    Rule(
        "the event's vault must be the inventory's",
        _EXPAND,
        "if item.vault_id and site.id and",
        "if False and",
        ROTATION_RULES,
    ),
    Rule(
        "the next page is asked for",
        _EXPAND,
        "await context.ports.queue.put(next_page(item, more))",
        "pass",
        "tests/usecases/test_converge_key.py",
    ),
    Rule(
        "one sweep at a time over all instances",
        "shared/adapters/turns_blob.py",
        "if held is not None and held.owner != wanted.owner and",
        "if False and held.owner != wanted.owner and",
        SWEEP,
    ),
    Rule(
        "each resource is read itself once a day",
        "shared/usecases/sweeping.py",
        "slice_of(address) == item.slice:",
        "False:",
        SWEEP,
    ),
    Rule(
        "a change without effect uses up the patience of the one before it",
        _CHECK_RESOURCE,
        "as_before(item), seen",
        "item, seen",
        ODD_OPERATIONS,
    ),
    Rule("a change is told of once", _NOT_NOW, "if all_sent(facts, step, progress):", "if False:", ODD_OPERATIONS),
    Rule(
        "a change whose operation nobody may be asked about is told of all the same",
        "shared/usecases/operations.py",
        "if refusal.reason is not Reason.FOREIGN_HOST:",
        "if True:",
        ODD_OPERATIONS,
    ),
    Rule(
        "work that the queue does not take is not ended",
        _EXPAND,
        "except NotTaken:",
        "except ZeroDivisionError:",
        CLOSED_QUEUE,
    ),
    Rule(
        "nor is a list of children whose work it does not take",
        "shared/usecases/check_children.py",
        "except NotTaken:",
        "except ZeroDivisionError:",
        CLOSED_QUEUE,
    ),
    Rule(
        "a list's body counts for moments", _CHECK_RESOURCE, "abs(clock.now() - seen.at) > FRESH or", "", STALE_BODIES
    ),
    Rule(
        "a list's body is void after a write",
        _CHECK_RESOURCE,
        "or context.recent.written_since(item.address, seen.at)",
        "",
        STALE_BODIES,
    ),
    Rule(
        "waiting for one thing after the other ends",
        "shared/usecases/waiting.py",
        "first_at is not None and now - first_at > LONGEST",
        "False",
        "tests/usecases/test_guarded_wishes.py",
    ),
)
