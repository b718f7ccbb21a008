"""The safety rules of who the app is, what requests say in so many words, and what single members of bodies mean."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ADAPTERS_GRANTS = "shared/adapters/grants.py"
_ADAPTERS_KEYS = "shared/adapters/keys.py"
_ADAPTERS_KEYS_ARM = "shared/adapters/keys_arm.py"
_ADAPTERS_RESOURCE_GRAPH = "shared/adapters/resource_graph.py"
_ADAPTERS_SEARCH_OBJECTS = "shared/adapters/search_objects.py"
_ADAPTERS_VAULT_CHANGES = "shared/adapters/vault_changes.py"
_ADAPTERS_VAULTS = "shared/adapters/vaults.py"
_BOOTSTRAP = "shared/bootstrap.py"
_DOMAIN_BEFOREHAND = "shared/domain/beforehand.py"
_DOMAIN_EVENTS = "shared/domain/events.py"
_DOMAIN_PLAN_ANOTHER_KEY = "shared/domain/plan/another_key.py"
_DOMAIN_PLAN_GROUNDWORK = "shared/domain/plan/groundwork.py"
_DOMAIN_TUG = "shared/domain/tug.py"
_DOMAIN_VAULT_AUDIT = "shared/domain/vault_audit.py"
_SETTINGS = "shared/settings.py"
_USECASES_AUDIT_VAULT = "shared/usecases/audit_vault.py"
_USECASES_CHECK_NAMED = "shared/usecases/check_named.py"
_USECASES_ENDING = "shared/usecases/ending.py"
_USECASES_EXPAND = "shared/usecases/expand.py"
_USECASES_OBSERVE = "shared/usecases/observe.py"
_USECASES_ROLLOUT = "shared/usecases/rollout.py"
_USECASES_ROTATE = "shared/usecases/rotate.py"
_USECASES_SWEEPING = "shared/usecases/sweeping.py"
GUARD = "tests/adapters/test_guard.py"
POLICY_FILE = "tests/adapters/test_policy_file.py"
TRANSLATE = "tests/adapters/test_translate.py"
TURNS = "tests/adapters/test_turns.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"
WHO_THE_APP_IS = "tests/adapters/test_who_the_app_is.py"
RESOURCE_EVENTS = "tests/app/test_resource_events.py"
EVENTS = "tests/domain/test_events.py"
KEY_TEMPLATE = "tests/domain/test_key_template.py"
KEYS = "tests/domain/test_keys.py"
KNOWN_BEFOREHAND = "tests/domain/test_known_beforehand.py"
LIFE = "tests/domain/test_life.py"
VAULT_FINDINGS = "tests/domain/test_vault_findings.py"
ASKED_MEANWHILE = "tests/usecases/test_asked_meanwhile.py"
FORESEEN = "tests/usecases/test_foreseen.py"
GRANTS_ABOVE_VAULTS = "tests/usecases/test_grants_above_vaults.py"
IN_SO_MANY_WORDS = "tests/usecases/test_in_so_many_words.py"
KEPT_FROM_WRITING = "tests/usecases/test_kept_from_writing.py"
ODD_ROWS = "tests/usecases/test_odd_rows.py"
PATIENT_WORK = "tests/usecases/test_patient_work.py"
REVOKE_LIMITS = "tests/usecases/test_revoke_limits.py"
SERVICE_ACCESS = "tests/usecases/test_service_access.py"
SERVICE_MESSAGING = "tests/usecases/test_service_messaging.py"
TUG_OF_WAR = "tests/usecases/test_tug_of_war.py"
WAVES = "tests/usecases/test_waves.py"

RULES = (
    Rule(
        "a new vault says that roles decide",
        _ADAPTERS_VAULT_CHANGES,
        '            "enableRbacAuthorization": True,\n',
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "protecting a vault says that soft delete is on",
        _ADAPTERS_VAULT_CHANGES,
        '{"enableSoftDelete": True, "enablePurgeProtection": True}',
        '{"enablePurgeProtection": True}',
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "an identity whose id only begins alike is another one",
        _ADAPTERS_RESOURCE_GRAPH,
        " if fold(identity) in map(fold, identities_in(row)))",
        ")",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "no id ends a query's text",
        _ADAPTERS_RESOURCE_GRAPH,
        '        if "\'" in identity:\n',
        "        if False:\n",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a grant that is gone already is taken away",
        _ADAPTERS_GRANTS,
        '        with suppress(NotThere):\n            await self._arm.send(Request("DELETE"',
        '        with suppress(ZeroDivisionError):\n            await self._arm.send(Request("DELETE"',
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a key in hardware is called so where its grant shall go",
        "shared/usecases/holding.py",
        "    if await context.ports.vaults.by_host(host) is None:\n",
        "    if False:\n",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "grants with a condition are remembered apart",
        "shared/usecases/reach.py",
        "{' and conditional ones' if all_ else ''}",
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "the vault of another tenant's key is not asked",
        _USECASES_OBSERVE,
        "(use.configured.key for use in uses if not use.tenant_is_foreign)",
        "(use.configured.key for use in uses)",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a version that does not say whether it is enabled is not taken for disabled",
        _ADAPTERS_KEYS_ARM,
        "    if said is None or said.enabled is None:\n",
        "    if said is None:\n",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a list without the latest version is no list of a closed vault's key",
        _ADAPTERS_KEYS_ARM,
        "            if all(one.version != latest for one in versions):\n",
        "            if False:\n",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "an index without an end counts nobody's users",
        _USECASES_ENDING,
        "        if item.page >= MOST_PAGES:",
        "        if False:",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "management groups are found whatever the case of an id",
        "shared/usecases/placing.py",
        ".get(address.arm.subscription.lower(), ())",
        ".get(address.arm.subscription, ())",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a vault without a host is none",
        _ADAPTERS_VAULTS,
        '            self._ids.pop("", None)\n',
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "the index knows better where a vault is than a rule that once made it",
        _ADAPTERS_VAULTS,
        "self._ids = self._learnt | self._ids",
        "self._ids = self._ids | self._learnt",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "the app's own resource group is what Azure says",
        _SETTINGS,
        "    if subscription and group:\n",
        "    if False:\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "nobody signs in as a person where there is a managed identity",
        _SETTINGS,
        ' and "IDENTITY_ENDPOINT" not in environ',
        "",
        WHO_THE_APP_IS,
    ),
    Rule(
        "nobody signs in as a person on Azure",
        _BOOTSTRAP,
        "    if make_credential is None and settings.on_own_machine:\n",
        "    if make_credential is None:\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "the app signs in as the identity that it is told",
        _BOOTSTRAP,
        "managed_identity(settings.identity_client_id)",
        'managed_identity("")',
        WHO_THE_APP_IS,
    ),
    Rule(
        "the accounts of evidence, policy and state are the app's own",
        _SETTINGS,
        ', *(_host(place).partition(".")[0] for place in places)}',
        "}",
        WHO_THE_APP_IS,
    ),
    Rule(
        "the account of the queue is the app's own",
        _SETTINGS,
        "accounts = {_account_of(uri, connection), *",
        "accounts = {*",
        WHO_THE_APP_IS,
    ),
    Rule(
        "reports go to https endpoints only",
        _SETTINGS,
        '    if topic and not topic.startswith("https://"):\n',
        "    if False:\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "an app whose packages are not its own does not load",
        "function_app.py",
        "    if Path(str(package.__file__)).resolve().parent.parent != _ROOT:\n",
        "    if False:\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "an object id is a GUID",
        _SETTINGS,
        "        if not (_GUID.fullmatch(application) and _GUID.fullmatch(object_id)):\n",
        "        if not _GUID.fullmatch(application):\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "a denial that names somebody else is in nobody's way",
        "shared/adapters/beforehand.py",
        "(not named or bool(named & {EVERYBODY, *me})) and not any(",
        "not any(",
        FORESEEN,
    ),
    Rule(
        "who gives its turn back takes no other's",
        "shared/adapters/turns_blob.py",
        "delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)",
        "delete_blob()",
        TURNS,
    ),
    Rule(
        "a version that does not say that it is enabled is none to move to",
        _ADAPTERS_KEYS,
        "            bool(found.enabled),",
        "            found.enabled is not False,",
        VAULT_KEYS,
    ),
    Rule(
        "zeros in front of a modulus are no bits",
        _ADAPTERS_KEYS,
        'len(modulus.lstrip(b"\\0"))',
        "len(modulus)",
        VAULT_KEYS,
    ),
    Rule(
        "a denial for its place alone is not one for all below",
        _DOMAIN_BEFOREHAND,
        "        here = fold(one.scope) == fold(need.place) if one.here_only else _holds(one.scope, need.place)",
        "        here = _holds(one.scope, need.place)",
        KNOWN_BEFOREHAND,
    ),
    Rule(
        "ids of denials are compared whatever their case",
        _DOMAIN_BEFOREHAND,
        "fold(one.scope) == fold(need.place)",
        "one.scope == need.place",
        KNOWN_BEFOREHAND,
    ),
    Rule(
        "a right to write is no right to data",
        _DOMAIN_BEFOREHAND,
        "        (one.data_actions, one.not_data_actions, one.tells_data)\n",
        "        (one.actions, one.not_actions, one.tells)\n",
        KNOWN_BEFOREHAND,
    ),
    Rule(
        "no key is made that cannot be used yet",
        _DOMAIN_PLAN_GROUNDWORK,
        "    if like.not_before is not None and like.not_before > facts.now:\n",
        "    if False:\n",
        KEPT_FROM_WRITING,
    ),
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
        _USECASES_ROTATE,
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
        _ADAPTERS_KEYS,
        "return _version(max(listed,",
        "return _version(min(listed,",
        PATIENT_WORK,
    ),
    Rule(
        "who gets no token gets no correlation id",
        "shared/adapters/guard.py",
        "(id_ := correlation.get()) and not bare and",
        "(id_ := correlation.get()) and",
        GUARD,
    ),
    Rule(
        "an identity is given only by a change that can give one",
        _DOMAIN_PLAN_GROUNDWORK,
        "    if not facts.service.traits_of(facts.body).acts.assigned:\n",
        "    if False:\n",
        SERVICE_ACCESS,
    ),
    Rule(
        "a key that is asked about keeps its lock",
        _ADAPTERS_KEYS,
        "if one != keep and not lock.locked()]",
        "if one != keep]",
        VAULT_KEYS,
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
        "a policy that did not change is no policy that cannot be read",
        "shared/adapters/policy_blob.py",
        "                if error.status_code == _NOT_MODIFIED:\n",
        "                if False:\n",
        POLICY_FILE,
    ),
    Rule(
        "a vault without soft delete is not protected",
        _DOMAIN_VAULT_AUDIT,
        "if expect.purge_protection and not (vault.recoverable and vault.protected):",
        "if expect.purge_protection and not vault.protected:",
        VAULT_FINDINGS,
    ),
    Rule(
        "a vault that is closed to trusted services is told of",
        _DOMAIN_VAULT_AUDIT,
        '        elif text(lookup(properties, "networkAcls", "bypass")).lower() == "none":\n',
        "        elif False:\n",
        VAULT_FINDINGS,
    ),
    Rule(
        "a key that cannot be read is none to be made",
        "shared/domain/plan/enforcement.py",
        "return history if history.reason is not Reason.KEY_NOT_FOUND else absent_key",
        "return absent_key",
        KEPT_FROM_WRITING,
    ),
    Rule(
        "a look that waits answers no haste that was ordered",
        "shared/usecases/taking_turns.py",
        "return item.wish is not None or item.cause.order != Order()",
        "return item.wish is not None",
        ASKED_MEANWHILE,
    ),
    Rule(
        "what a role allows is asked again",
        _ADAPTERS_GRANTS,
        "        if until <= self._clock.now():\n",
        "        if not known:\n",
        KEPT_FROM_WRITING,
    ),
    Rule(
        "a dry run tells of a certificate's key",
        _USECASES_ROTATE,
        "    if history.backs_certificate:\n",
        "    if False:\n",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "what is said where no token could be had is not repeated",
        "shared/adapters/translate.py",
        "    if isinstance(error, ClientAuthenticationError):\n",
        "    if False:\n",
        TRANSLATE,
    ),
    Rule(
        "only a version that is not valid yet becomes valid",
        "shared/domain/keys.py",
        "if version.state(now) is State.NOT_YET_VALID and version.not_before is not None:",
        "if version.not_before is not None:",
        KEYS,
    ),
    Rule(
        "each page of a count knows how many went before",
        _USECASES_ENDING,
        ", waited=None, page=item.page + 1))",
        ", waited=None))",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "no first key is left to an identity that the service does not take",
        "shared/domain/plan/wished.py",
        "told = [one for one in acts.told(facts.body) if (acts.user if one else acts.system)]",
        "told = [*acts.told(facts.body)]",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "a vault of the region is no vault of another",
        _DOMAIN_PLAN_ANOTHER_KEY,
        "    if where and facts.rule is not None and",
        "    if facts.rule is not None and",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "nobody is asked for roles at a vault that is not there",
        "shared/usecases/survey.py",
        "held = who.principal.id and vault.rbac and found.step is None",
        "held = who.principal.id and vault.rbac",
        IN_SO_MANY_WORDS,
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
        _USECASES_OBSERVE,
        '    if ".managedhsm." in host:\n',
        "    if False:\n",
        SERVICE_MESSAGING,
    ),
    Rule(
        "a tag fills only the place that names it",
        "shared/domain/key_template.py",
        'for tag, value in site.tags.items() if tag.lower() == wanted), "")',
        'for tag, value in site.tags.items()), "")',
        KEY_TEMPLATE,
    ),
    Rule(
        "an answer about another resource is no yes",
        "shared/adapters/storage_accounts.py",
        "        checked(answer.json(), address)\n",
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "no search service is sent anything before it was found where it lies",
        _ADAPTERS_SEARCH_OBJECTS,
        "        await self._confirm(request.address)\n",
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "no search service's collections are listed before it was found where it lies",
        _ADAPTERS_SEARCH_OBJECTS,
        "        await self._confirm(parent)\n",
        "",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "what was not looked into is counted",
        _USECASES_ENDING,
        "tally = replace(tally, unseen=tally.unseen + 1)",
        "tally = replace(tally)",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "another key of the same vault is no reason to leave that vault",
        _DOMAIN_PLAN_ANOTHER_KEY,
        "if not here and (bar := _unwelcome",
        "if (bar := _unwelcome",
        IN_SO_MANY_WORDS,
    ),
    Rule(
        "what went at a vault or a key has the vault's users looked at",
        _DOMAIN_EVENTS,
        "    if vault := _BELOW_VAULT.match(scope):\n",
        "    if False and (vault := _BELOW_VAULT.match(scope)):\n",
        RESOURCE_EVENTS,
    ),
    Rule(
        "what is granted above vaults makes nobody look at all of them",
        _DOMAIN_EVENTS,
        "gone = event.type.lower() in _DELETIONS and",
        "gone =",
        EVENTS,
    ),
    Rule(
        "an old version that was disabled bars no rotation",
        "shared/domain/life.py",
        "if one.version == history.latest and not one.enabled]",
        "if not one.enabled]",
        LIFE,
    ),
    Rule(
        "an app without a queue says so",
        _SETTINGS,
        "    if not uri and not connection:\n",
        "    if False:\n",
        WHO_THE_APP_IS,
    ),
    Rule(
        "a resource's own identity is nobody else's",
        "shared/usecases/sharing.py",
        "dict.fromkeys(one.identity for one in holds if one.identity)",
        "dict.fromkeys(one.identity for one in holds)",
        REVOKE_LIMITS,
    ),
    Rule(
        "a person who asks about a key that is gone is told who uses it",
        _USECASES_EXPAND,
        " and item.cause.source in {Source.EVENT, Source.REPLAY} and",
        " and",
        IN_SO_MANY_WORDS,
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
