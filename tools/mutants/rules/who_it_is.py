"""The safety rules of who the app is, of what it is told by hosts and vaults, and of what is known beforehand."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ADAPTERS_KEYS = "shared/adapters/keys.py"
_BOOTSTRAP = "shared/bootstrap.py"
_DOMAIN_VAULT_AUDIT = "shared/domain/vault_audit.py"
_SETTINGS = "shared/settings.py"
GUARD = "tests/adapters/test_guard.py"
POLICY_FILE = "tests/adapters/test_policy_file.py"
TRANSLATE = "tests/adapters/test_translate.py"
TURNS = "tests/adapters/test_turns.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"
WHO_THE_APP_IS = "tests/adapters/test_who_the_app_is.py"
EVENTS = "tests/domain/test_events.py"
KEYS = "tests/domain/test_keys.py"
LIFE = "tests/domain/test_life.py"
VAULT_FINDINGS = "tests/domain/test_vault_findings.py"

RULES = (
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
        "who gets no token gets no correlation id",
        "shared/adapters/guard.py",
        "(id_ := correlation.get()) and not bare and",
        "(id_ := correlation.get()) and",
        GUARD,
    ),
    Rule(
        "a key that is asked about keeps its lock",
        _ADAPTERS_KEYS,
        "if one != keep and not lock.locked()]",
        "if one != keep]",
        VAULT_KEYS,
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
        "what is granted above vaults makes nobody look at all of them",
        "shared/domain/events.py",
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
)
