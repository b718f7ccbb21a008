"""The safety rules of the way out to Azure and of what comes back from there."""

from __future__ import annotations

from tools.mutants.rule import Rule

_ARM = "shared/adapters/arm.py"
_CLOUDS = "shared/adapters/clouds.py"
_CONNECTION = "shared/adapters/connection.py"
_EVENTS = "shared/domain/events.py"
_GUARD = "shared/adapters/guard.py"
_RESOURCE = "shared/domain/resource.py"
_TRANSLATE = "shared/adapters/translate.py"
ARM = "tests/adapters/test_arm.py"
EVENTS = "tests/domain/test_events.py"
GUARD = "tests/adapters/test_guard.py"
ODD_ANSWERS = "tests/usecases/test_odd_answers.py"
RESOURCE = "tests/domain/test_resource.py"
TRANSLATE = "tests/adapters/test_translate.py"

RULES = (
    Rule(
        "an event must come from the vault it names",
        _EVENTS,
        'if vault_id.rpartition("/")[2].lower() != ref.key.host.partition(".")[0]:',
        "if False:",
        EVENTS,
    ),
    Rule(
        "events alone fill no alert with warnings",
        "shared/adapters/journal.py",
        "return len(recent) < _MOST_FORGEABLE",
        "return True",
        "tests/app/test_forgery.py",
    ),
    Rule("nothing goes to a foreign host", _GUARD, 'if parts.scheme != "https" or', "if False and", GUARD),
    Rule(
        "of blob hosts only those that the settings name get a token",
        _CLOUDS,
        "if host in self.blob_hosts:",
        'if ".blob." in host:',
        GUARD,
    ),
    Rule(
        "a token goes to nobody but whom it was made for",
        _GUARD,
        "self._tokens.made_for(token) != scope",
        "False",
        GUARD,
    ),
    Rule(
        "our own writes coming back are let go",
        _EVENTS,
        "if _writers(event.data) & reader.own_principals:",
        "if False:",
        EVENTS,
    ),
    Rule(
        "writes are never sent again unseen",
        _CONNECTION,
        "not in _READS:",
        "== '':",
        "tests/usecases/test_other_hands.py",
    ),
    Rule(
        "a write whose answer got lost is not sent again unseen either",
        _CONNECTION,
        ', "methods": _READS}',
        "}",
        "tests/adapters/test_connection.py",
    ),
    Rule("only a clear yes lets the app write", "shared/adapters/switch.py", "not in ON:", "in OFF:", ODD_ANSWERS),
    Rule(
        "an operation that failed is not one that ended",
        _ARM,
        'if status in {"failed", "canceled", "cancelled"}:',
        "if False:",
        ARM,
    ),
    Rule(
        "nobody but Resource Manager is asked about an operation",
        _ARM,
        "if len(url) > _LONGEST_URL or",
        "if False and",
        ARM,
    ),
    Rule(
        "the whole encryption object is sent",
        "shared/services/storage.py",
        'encryption = replaced(encryption, "keyvaultproperties", properties)',
        'encryption = {"keySource": "Microsoft.Storage", "keyvaultproperties": properties}',
        "tests/services",
    ),
    Rule(
        "a vault's next page is asked of that vault",
        _GUARD,
        "if asked != self._host:",
        "if False:",
        "tests/adapters/test_vault_keys.py",
    ),
    Rule("a host ends as the cloud's hosts do", _CLOUDS, "if host.endswith(suffix):", "if suffix in host:", GUARD),
    Rule(
        "a redirect is no yes",
        _ARM,
        "if answer.status_code >= 300:",
        "if answer.status_code >= 400:",
        "tests/usecases/test_odd_operations.py",
    ),
    Rule(
        "no Retry-After is believed for longer than a day",
        _TRANSLATE,
        "min(max(asked, timedelta(0)), _LONGEST_WAIT)",
        "max(asked, timedelta(0))",
        "tests/usecases/test_guarded_wishes.py",
    ),
    Rule(
        "tokens and keys are taken out of Azure's words",
        _TRANSLATE,
        '|accountkey=|client_secret=)\\S+", r"\\1***", text)',
        '|accountkey=|client_secret=)\\S+", r"\\g<0>", text)',
        TRANSLATE,
    ),
    Rule("whatever looks like a token is taken out", _TRANSLATE, 'plain = re.sub(r"eyJ', 're.sub(r"eyJ', TRANSLATE),
    Rule("an id leads nowhere else", _RESOURCE, 'part not in {".", ".."} and', "", RESOURCE),
    Rule("an id is no longer than Azure lets it", _RESOURCE, "if len(text) > LONGEST_ID:", "if False:", RESOURCE),
    Rule(
        "an extension of a resource is no resource",
        _RESOURCE,
        'if "providers" in lowered[7::2]:',
        "if False:",
        RESOURCE,
    ),
    Rule(
        "what is throttled is not asked again at once",
        _CONNECTION,
        "if response.http_response.status_code == _TOO_MANY_REQUESTS:",
        "if False:",
        ODD_ANSWERS,
    ),
    Rule(
        "no invocation sleeps as long as Azure asks",
        _CONNECTION,
        "if pause is not None and pause > _LONGEST_PAUSE:",
        "if False:",
        ODD_ANSWERS,
    ),
    Rule(
        "a member of another collection spoils a list",
        _ARM,
        'if address_of(str(body["id"])).parent.lower() != parent.folded:',
        "if False:",
        ARM,
    ),
)
