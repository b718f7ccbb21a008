"""The safety rules, each with the words in the code that hold it and what is left when they are taken out."""

from __future__ import annotations

from dataclasses import dataclass

HANDS = "tests/usecases/test_other_hands.py"
RULES_OF_ROTATION = "tests/usecases/test_rotation_rules.py"
PLAN = "tests/domain/test_plan.py"
EVENTS = "tests/domain/test_events.py"
ODD = "tests/usecases/test_odd_answers.py"
KEY = "tests/usecases/test_converge_key.py"
ENFORCEMENT = "tests/domain/test_enforcement_plan.py"
GUARD = "tests/adapters/test_guard.py"
POLICY = "tests/domain/test_plan_policy.py"
WISHES = "tests/usecases/test_wishes.py"
ARM = "tests/adapters/test_arm.py"
EFFECTS = "tests/usecases/test_policy_effects.py"
CLOSED = "tests/usecases/test_closed_vaults.py"
SQL = "tests/usecases/test_service_sql.py"
POLICY_FILE = "tests/adapters/test_policy_file.py"
REVOKE = "tests/usecases/test_revoke.py"


@dataclass(frozen=True)
class Rule:
    """One rule: its sentence, where it stands, and the tests that must notice its absence."""

    sentence: str
    file: str
    words: str
    without: str
    tests: str


_CHECK = "shared/usecases/check_resource.py"
_ROTATION = "shared/domain/plan/rotation.py"
_ENFORCEMENT = "shared/domain/plan/enforcement.py"
_HARD = "shared/domain/plan/hard_rules.py"
_DECIDING = "shared/domain/plan/deciding.py"
_REVOCATION = "shared/domain/revocation.py"

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
    Rule("what is managed is left to its owner", _HARD, "if owner or address.group_id in", "if False and", PLAN),
    Rule(
        "the app's own group is left alone", _HARD, "if address.group_id in facts.own", "if False and facts.own", PLAN
    ),
    Rule("the app's own storage is left alone", _HARD, "arm.names[0].lower() in", "not", PLAN),
    Rule(
        "an unusable version is never chosen",
        "shared/domain/keys.py",
        "if version.state(now) is not State.USABLE:\n            continue",
        "if False:\n            continue",
        "tests/domain/test_keys.py",
    ),
    Rule(
        "a version our copy does not know makes us ask again",
        "shared/usecases/observe.py",
        "if any(version and history.find(version) is None for version in named):",
        "if False:",
        RULES_OF_ROTATION,
    ),
    Rule(
        "after a write the key is read afresh",
        _CHECK,
        "keys_as_of, seen = clock.now(), None",
        "seen = None",
        RULES_OF_ROTATION,
    ),
    Rule(
        "what a list showed before a write of ours is read again",
        _CHECK,
        "or context.recent.written_since(item.address, seen.at)",
        "",
        HANDS,
    ),
    Rule("nothing is written on old knowledge", _CHECK, "if clock.now() - progress.as_of <= FRESH and", "if", HANDS),
    Rule(
        "an accepted change is not sent again",
        _CHECK,
        "return any((change.slot, change.to) in accepted for change in step.changes)",
        "return False",
        HANDS,
    ),
    Rule(
        "the switch is asked before every write",
        _CHECK,
        "return None if await context.ports.switch.is_on() else _switched_off(context, item)",
        "return None",
        RULES_OF_ROTATION,
    ),
    Rule(
        "the switch is asked, and what is known is fresh, before every further request of a change",
        "shared/usecases/carry_out.py",
        "if sent > first + 1 and not await _may_go_on(context, progress):",
        "if False:",
        SQL,
    ),
    Rule(
        "what an earlier look has sent is not noted as written again",
        "shared/usecases/carry_out.py",
        "if _sent(step, progress) == len(requests):",
        "if False:",
        SQL,
    ),
    Rule(
        "an operation that nobody can tell of is not waited for without end",
        _CHECK,
        "if not unheard_of(error, item.waited, context.ports.clock.now()):",
        "if True:",
        SQL,
    ),
    Rule(
        "what waits is looked at again",
        _CHECK,
        "await _come_back(context, item, outcome, progress)",
        "pass",
        RULES_OF_ROTATION,
    ),
    Rule("one look at a time", _CHECK, "async with context.recent.turn(item.address):", "if True:", HANDS),
    Rule(
        "an event is answered by nothing older",
        "shared/usecases/candidates.py",
        "not_older_than=max(asked_at, fresh_enough(context))",
        "not_older_than=fresh_enough(context)",
        HANDS,
    ),
    Rule(
        "a vault must be known",
        "shared/adapters/vaults.py",
        "return None if vault_id is None else await self._confirm(host, vault_id)",
        "return VaultSite(host, vault_id or '')",
        RULES_OF_ROTATION,
    ),
    Rule(
        "an event must come from the vault it names",
        "shared/domain/events.py",
        'if vault_id.rpartition("/")[2].lower() != ref.key.host.partition(".")[0]:',
        "if False:",
        EVENTS,
    ),
    Rule(
        "the event's vault must be the inventory's",
        "shared/usecases/expand.py",
        "if item.vault_id and site.id and",
        "if False and",
        RULES_OF_ROTATION,
    ),
    Rule(
        "nothing goes to a foreign host",
        "shared/adapters/guard.py",
        'if parts.scheme != "https" or',
        "if False and",
        GUARD,
    ),
    Rule(
        "of blob hosts only those that the settings name get a token",
        "shared/adapters/clouds.py",
        "if host in self.blob_hosts:",
        'if ".blob." in host:',
        GUARD,
    ),
    Rule(
        "a token goes to nobody but whom it was made for",
        "shared/adapters/guard.py",
        "self._tokens.made_for(token) != scope",
        "False",
        GUARD,
    ),
    Rule(
        "our own writes coming back are let go",
        "shared/domain/events.py",
        "if _writers(event.data) & reader.own_principals:",
        "if False:",
        EVENTS,
    ),
    Rule("writes are never sent again unseen", "shared/adapters/connection.py", "not in _READS:", "== '':", HANDS),
    Rule(
        "a rotation looks and makes under one lock",
        "shared/adapters/keys.py",
        "if known.latest != if_latest_is:",
        "if False:",
        HANDS,
    ),
    Rule("only a clear yes lets the app write", "shared/adapters/switch.py", "not in ON:", "in OFF:", ODD),
    Rule(
        "everything is checked before the first step of enforcement",
        _ENFORCEMENT,
        "return (replace(found, slot=slot),)",
        "return (*steps, replace(found, slot=slot))",
        ENFORCEMENT,
    ),
    Rule("a vault is hardened only by its words", _ENFORCEMENT, "if rule.may >= _HARDENING:", "if True:", ENFORCEMENT),
    Rule("access is granted only by its word", _ENFORCEMENT, "if May.GRANT not in rule.may:", "if False:", ENFORCEMENT),
    Rule("an imported key is never made", _ENFORCEMENT, "if rule.origin is Origin.IMPORTED:", "if False:", ENFORCEMENT),
    Rule(
        "the app's own vault is left alone",
        _ENFORCEMENT,
        "if writes_vault and (bar",
        "if False and (bar",
        ENFORCEMENT,
    ),
    Rule(
        "no identity gets lost",
        "shared/domain/identity.py",
        "assigned = dict.fromkeys(_assigned(body), None)",
        "assigned: Json = {}",
        ENFORCEMENT,
    ),
    Rule(
        "what fills a key's template leads nowhere else",
        "shared/domain/key_template.py",
        "if not _PLAIN.fullmatch(value):",
        "if False:",
        ENFORCEMENT,
    ),
    Rule(
        "an imported key is never rotated in the vault",
        "shared/usecases/rotate.py",
        "if rule.origin is Origin.IMPORTED and",
        "if False and",
        "tests/usecases/test_enforce_limits.py",
    ),
    Rule("nothing outside the policy is written", _DECIDING, "or _only_told(changes, facts)", "", POLICY),
    Rule(
        "a rule that reports writes nothing", _DECIDING, "if facts.rule.rotation is not Mode.FIX:", "if False:", POLICY
    ),
    Rule(
        "what is irreversible, unproven or a whole body takes a word in the rule",
        _DECIDING,
        "needed - allowed",
        "set()",
        POLICY,
    ),
    Rule(
        "what a service cannot do is not tried",
        _DECIDING,
        "if isinstance(ability, Reason):",
        "if False:",
        POLICY,
    ),
    Rule(
        "a wish for anything but the newest usable version is refused",
        "shared/domain/plan/wished.py",
        "if named and named != target.version:",
        "if False:",
        WISHES,
    ),
    Rule(
        "a wish against the rule is refused",
        "shared/domain/plan/wished.py",
        "if against := _against_the_rule(facts, wish):",
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
        "an operation that failed is not one that ended",
        "shared/adapters/arm.py",
        'if status in {"failed", "canceled", "cancelled"}:',
        "if False:",
        ARM,
    ),
    Rule(
        "nobody but Resource Manager is asked about an operation",
        "shared/adapters/arm.py",
        "if len(url) > _LONGEST_URL or",
        "if False and",
        ARM,
    ),
    Rule(
        "the next page is asked for",
        "shared/usecases/expand.py",
        "await context.ports.queue.put(next_page(item, page.cursor))",
        "pass",
        KEY,
    ),
    Rule(
        "the whole encryption object is sent",
        "shared/services/storage.py",
        'encryption = replaced(encryption, "keyvaultproperties", properties)',
        'encryption = {"keySource": "Microsoft.Storage", "keyvaultproperties": properties}',
        "tests/services",
    ),
    Rule(
        "what no rule is meant for is not written",
        "shared/domain/policy.py",
        "return next((rule for rule in rules if matches(rule, site)), None)",
        "return next((rule for rule in rules if matches(rule, site)), rules[0])",
        EFFECTS,
    ),
    Rule(
        "a child falls under its parent's rule",
        "shared/usecases/placing.py",
        "if address.parent and policy.asks_about_parent(arm.type) else body",
        "if False else body",
        EFFECTS,
    ),
    Rule(
        "a policy with a mistake is none",
        "shared/adapters/policy_file.py",
        'self._policy, self._wrong = None, ""',
        'self._wrong = ""',
        POLICY_FILE,
    ),
    Rule("an old policy does not hold for ever", "shared/adapters/policy_file.py", "not fresh:", "False:", POLICY_FILE),
    Rule(
        "what Resource Manager alone says of a key is not enough for a write",
        _DECIDING,
        "return _unasked(step, facts) or step",
        "return step",
        CLOSED,
    ),
    Rule(
        "a key made anew is not the one that was read",
        "shared/adapters/keys.py",
        "return replace(shown, unasked=None) if same else shown",
        "return replace(shown, unasked=None)",
        CLOSED,
    ),
    Rule(
        "a lack of rights is no firewall",
        "shared/adapters/keys.py",
        "if not _is_closed(said):",
        "if False:",
        CLOSED,
    ),
    Rule(
        "the app's own group's keys are not rotated",
        "shared/usecases/rotate.py",
        "if id_ and address_of(id_).group_id in",
        "if False and address_of(id_).group_id in",
        CLOSED,
    ),
    Rule(
        "one sweep at a time over all instances",
        "shared/adapters/turns_blob.py",
        "if held is not None and held.owner != wanted.owner and",
        "if False and held.owner != wanted.owner and",
        "tests/usecases/test_sweep.py",
    ),
    Rule(
        "each resource is read itself once a day",
        "shared/usecases/sweeping.py",
        "slice_of(address) == item.slice:",
        "False:",
        "tests/usecases/test_sweep.py",
    ),
    Rule(
        "no grant above a vault is taken away",
        _REVOCATION,
        "if scope != whole and not scope.startswith(",
        "if False and not scope.startswith(",
        "tests/domain/test_revocation.py",
    ),
    Rule(
        "a group's grant is left to the group",
        _REVOCATION,
        "if grant.principal != hold.principal.lower():",
        "if False:",
        "tests/domain/test_revocation.py",
    ),
    Rule(
        "who would lose a key with it must be counted when it is done, too",
        "shared/usecases/revoke.py",
        "if len(progress.also) > item.also_affects:",
        "if False:",
        REVOKE,
    ),
    Rule(
        "a grant is taken away only where the rule says so",
        "shared/usecases/holding.py",
        "if May.REVOKE not in rule.may:",
        "if False:",
        REVOKE,
    ),
    Rule(
        "the app's own access is never taken away",
        "shared/usecases/holding.py",
        "if hold.principal in mine:",
        "if False:",
        REVOKE,
    ),
    Rule(
        "nothing is taken away while writing is off",
        "shared/usecases/revoke.py",
        "return None if await context.ports.switch.is_on() else",
        "return None if True else",
        REVOKE,
    ),
    Rule(
        "a version of another key is none of this one's",
        "shared/adapters/keys.py",
        "if parse_key_url(str(found.id)).key != key:",
        "if False:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule(
        "nor is one that Resource Manager tells of",
        "shared/adapters/keys_arm.py",
        "if ref.key != key or ref.version is None:",
        "if ref.version is None:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule(
        "a vault's next page is asked of that vault",
        "shared/adapters/guard.py",
        "if asked != self._host:",
        "if False:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule(
        "what a version may be used for is read anew when it was changed",
        "shared/adapters/keys.py",
        "if known is not None and known.updated != found.updated_on:",
        "if False:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule(
        "a certificate's key gets no version, whoever asks",
        "shared/adapters/keys.py",
        "if known.backs_certificate:",
        "if False:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule(
        "the index alone makes no vault known",
        "shared/adapters/vaults.py",
        "return _host(vault.properties.vault_uri) == host",
        "return True",
        "tests/adapters/test_vaults.py",
    ),
    Rule(
        "a vault of another host lends its settings to none",
        "shared/adapters/vaults.py",
        "return found if found.host == host else None",
        "return found",
        "tests/adapters/test_vaults.py",
    ),
    Rule(
        "no setting makes a host outside the cloud a vault",
        "shared/adapters/vaults.py",
        "if not host.endswith(self._connection.cloud.vault_suffix):",
        "if False:",
        "tests/adapters/test_vaults.py",
    ),
    Rule(
        "a search service is where Resource Manager shows it",
        "shared/adapters/search_objects.py",
        "checked(await self._arm.read(service.url, _SERVICE_API), service)",
        "pass",
        "tests/usecases/test_service_search.py",
    ),
    Rule(
        "nothing else passes for a search service",
        "shared/adapters/search_objects.py",
        "if service.type.lower() != _SERVICE:",
        "if False:",
        "tests/usecases/test_service_search.py",
    ),
    Rule(
        "a host ends as the cloud's hosts do",
        "shared/adapters/clouds.py",
        "if host.endswith(suffix):",
        "if suffix in host:",
        GUARD,
    ),
    Rule(
        "a redirect is no yes",
        "shared/adapters/arm.py",
        "if answer.status_code >= 300:",
        "if answer.status_code >= 400:",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "a change without effect uses up the patience of the one before it",
        "shared/usecases/check_resource.py",
        "_as_before(item), seen",
        "item, seen",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "a change is told of once",
        "shared/usecases/check_resource.py",
        "if all_sent(facts, step, progress):",
        "if False:",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "a change whose operation nobody may be asked about is told of all the same",
        "shared/usecases/operations.py",
        "if refusal.reason is not Reason.FOREIGN_HOST:",
        "if True:",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "work that the queue does not take is not ended",
        "shared/usecases/expand.py",
        "except NotTaken:",
        "except ZeroDivisionError:",
        "tests/usecases/test_closed_queue.py",
    ),
    Rule(
        "nor is a list of children whose work it does not take",
        "shared/usecases/check_children.py",
        "except NotTaken:",
        "except ZeroDivisionError:",
        "tests/usecases/test_closed_queue.py",
    ),
    Rule(
        "a rotation looks for the key's users in any case",
        "shared/usecases/rotate.py",
        "if look:",
        "if False:",
        "tests/usecases/test_closed_queue.py",
    ),
    Rule(
        "a list's body counts for moments",
        "shared/usecases/check_resource.py",
        "clock.now() - seen.at > FRESH or",
        "",
        "tests/usecases/test_stale_bodies.py",
    ),
    Rule(
        "a list's body is void after a write",
        "shared/usecases/check_resource.py",
        "or context.recent.written_since(item.address, seen.at)",
        "",
        "tests/usecases/test_stale_bodies.py",
    ),
    Rule(
        "nothing is rotated while writing is off",
        "shared/usecases/rotate.py",
        "if not await ports.switch.is_on():",
        "if False:",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "no key of an unknown vault is rotated",
        "shared/usecases/rotate.py",
        "if await vaults.by_host(item.key.host) is None:",
        "if False:",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "no wish reverts a key of another tenant",
        "shared/domain/plan/wished.py",
        "return Blocked(Reason.CROSS_TENANT, use.slot) if use.tenant_is_foreign else Revert(use.slot)",
        "return Revert(use.slot)",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "no wish changes a key of another tenant",
        "shared/domain/plan/wished.py",
        "if use.tenant_is_foreign:",
        "if False:",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "no wish moves anything to a certificate's key",
        "shared/domain/plan/wished.py",
        "if history.backs_certificate:",
        "if False:",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "waiting for one thing after the other ends",
        "shared/usecases/waiting.py",
        "first_at is not None and now - first_at > LONGEST",
        "False",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "no Retry-After is believed for longer than a day",
        "shared/adapters/translate.py",
        "min(max(asked, timedelta(0)), _LONGEST_WAIT)",
        "max(asked, timedelta(0))",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "tokens and keys are taken out of Azure's words",
        "shared/adapters/translate.py",
        '|accountkey=|client_secret=)\\S+", r"\\1***", text)',
        '|accountkey=|client_secret=)\\S+", r"\\g<0>", text)',
        "tests/adapters/test_translate.py",
    ),
    Rule(
        "whatever looks like a token is taken out",
        "shared/adapters/translate.py",
        'plain = re.sub(r"eyJ',
        're.sub(r"eyJ',
        "tests/adapters/test_translate.py",
    ),
    Rule(
        "what is being changed or has failed gets no first key",
        "shared/domain/plan/enforcement.py",
        "_bar(rule, facts) or unsettled(facts)",
        "_bar(rule, facts)",
        ENFORCEMENT,
    ),
    Rule(
        "an id leads nowhere else",
        "shared/domain/resource.py",
        'part not in {".", ".."} and',
        "",
        "tests/domain/test_resource.py",
    ),
    Rule(
        "an id is no longer than Azure lets it",
        "shared/domain/resource.py",
        "if len(text) > LONGEST_ID:",
        "if False:",
        "tests/domain/test_resource.py",
    ),
    Rule(
        "an extension of a resource is no resource",
        "shared/domain/resource.py",
        'if "providers" in lowered[7::2]:',
        "if False:",
        "tests/domain/test_resource.py",
    ),
    Rule(
        "a vault's host is plain",
        "shared/domain/keys.py",
        "253 and text.isascii()",
        "253",
        "tests/domain/test_keys.py",
    ),
    Rule(
        "what is throttled is not asked again at once",
        "shared/adapters/connection.py",
        "if response.http_response.status_code == _TOO_MANY_REQUESTS:",
        "if False:",
        ODD,
    ),
    Rule(
        "no invocation sleeps as long as Azure asks",
        "shared/adapters/connection.py",
        "if pause is not None and pause > _LONGEST_PAUSE:",
        "if False:",
        ODD,
    ),
    Rule(
        "a member of another collection spoils a list",
        "shared/adapters/arm.py",
        'if address_of(str(body["id"])).parent.lower() != parent.folded:',
        "if False:",
        ARM,
    ),
)
