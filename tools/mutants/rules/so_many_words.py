"""The safety rules of what requests say in so many words, and of what answers must say to be of any use."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ADAPTERS_GRANTS = "shared/adapters/grants.py"
_ADAPTERS_KEYS_ARM = "shared/adapters/keys_arm.py"
_ADAPTERS_RESOURCE_GRAPH = "shared/adapters/resource_graph.py"
_ADAPTERS_SEARCH_OBJECTS = "shared/adapters/search_objects.py"
_ADAPTERS_VAULT_CHANGES = "shared/adapters/vault_changes.py"
_ADAPTERS_VAULTS = "shared/adapters/vaults.py"
_DOMAIN_BEFOREHAND = "shared/domain/beforehand.py"
_DOMAIN_PLAN_ANOTHER_KEY = "shared/domain/plan/another_key.py"
_USECASES_ENDING = "shared/usecases/ending.py"
KEY_TEMPLATE = "tests/domain/test_key_template.py"
KNOWN_BEFOREHAND = "tests/domain/test_known_beforehand.py"
FORESEEN = "tests/usecases/test_foreseen.py"
IN_SO_MANY_WORDS = "tests/usecases/test_in_so_many_words.py"
KEPT_FROM_WRITING = "tests/usecases/test_kept_from_writing.py"

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
        "shared/usecases/observe.py",
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
        "a denial that names somebody else is in nobody's way",
        "shared/adapters/beforehand.py",
        "(not named or bool(named & {EVERYBODY, *me})) and not any(",
        "not any(",
        FORESEEN,
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
        "shared/domain/plan/groundwork.py",
        "    if like.not_before is not None and like.not_before > facts.now:\n",
        "    if False:\n",
        KEPT_FROM_WRITING,
    ),
    Rule(
        "a key that cannot be read is none to be made",
        "shared/domain/plan/enforcement.py",
        "return history if history.reason is not Reason.KEY_NOT_FOUND else absent_key",
        "return absent_key",
        KEPT_FROM_WRITING,
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
        "shared/usecases/rotate.py",
        "    if history.backs_certificate:\n",
        "    if False:\n",
        IN_SO_MANY_WORDS,
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
        "a person who asks about a key that is gone is told who uses it",
        "shared/usecases/expand.py",
        " and item.cause.source in {Source.EVENT, Source.REPLAY} and",
        " and",
        IN_SO_MANY_WORDS,
    ),
)
