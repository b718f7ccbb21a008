"""The safety rules of who the app is, what requests say in so many words, and what single members of bodies mean."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ADAPTERS_KEYS = "shared/adapters/keys.py"
_ADAPTERS_KEYS_ARM = "shared/adapters/keys_arm.py"
_ADAPTERS_RESOURCE_GRAPH = "shared/adapters/resource_graph.py"
_ADAPTERS_VAULT_CHANGES = "shared/adapters/vault_changes.py"
_ADAPTERS_VAULTS = "shared/adapters/vaults.py"
_BOOTSTRAP = "shared/bootstrap.py"
_DOMAIN_BEFOREHAND = "shared/domain/beforehand.py"
_SETTINGS = "shared/settings.py"
TURNS = "tests/adapters/test_turns.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"
WHO_THE_APP_IS = "tests/adapters/test_who_the_app_is.py"
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
        "shared/adapters/grants.py",
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
        "shared/usecases/ending.py",
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
        "shared/domain/plan/groundwork.py",
        "    if like.not_before is not None and like.not_before > facts.now:\n",
        "    if False:\n",
        KEPT_FROM_WRITING,
    ),
)
