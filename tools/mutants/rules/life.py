"""The safety rules of keys that end, of lost access, and of the webhook."""

from __future__ import annotations

from tools.mutants.rule import Rule

_LIFE, _ENDING = "shared/domain/life.py", "shared/usecases/ending.py"
_REACH, _HOOK = "shared/domain/plan/reach.py", "shared/adapters/webhook.py"
_ASKED, WHO = "shared/usecases/reach.py", "tests/usecases/test_who_reaches.py"
_WHO, GONE = "shared/usecases/identities.py", "tests/usecases/test_identities_gone.py"
_WISHED, SLOTS = "shared/domain/plan/wished.py", "tests/usecases/test_wishes_slots.py"
_SEEN = "shared/usecases/observe.py"
LIFE, END = "tests/domain/test_life.py", "tests/usecases/test_end_of_keys.py"
ACCESS, HOOK = "tests/usecases/test_access_lost.py", "tests/adapters/test_webhook_sink.py"

RULES = (
    Rule("one user who does not want it keeps a key from being rotated", _LIFE, "if tally.against:", "if False:", LIFE),
    Rule("a key is rotated only where a rule says so", _LIFE, "if not tally.rotate:", "if False:", LIFE),
    Rule("a key of a certificate is renewed with it alone", _LIFE, "if history.backs_certificate:", "if False:", LIFE),
    Rule("no rotation where the vault's own is unknown", _LIFE, "if policy is None or", "if False and", LIFE),
    Rule("a version that lives shortly does not end all its life", _LIFE, "min(notice or NOTICE,", "max(NOTICE,", LIFE),
    Rule("a vault that rotates in time is left to it", _ENDING, "or (policy and rotates", "or (False and rotates", END),
    Rule("a rotation is for the version that was seen", _ENDING, "if_latest_is=found.history.latest", "", END),
    Rule("access is restored only by a rule", _REACH, "if rule is None or rule.", "if False and rule.", ACCESS),
    Rule("only who surely lacks access is told of", _REACH, "not all(missing.values())", "False", ACCESS),
    Rule("who lies below acts as it says", _WHO, "identities_named(body, owner) or (", "(", WHO),
    Rule("each key is judged by who reaches it", _REACH, "facts.reach.get(use.slot)", "facts.reach.get('dbfs')", WHO),
    Rule("Azure's own application is not a resource's identity", _ASKED, "if acts.application:", "if False:", WHO),
    Rule("an identity that is gone reaches no key", _REACH, "if reach.gone:", "if False:", GONE),
    Rule("who acts for a lost identity is not granted its access", _WHO, "(left := left_behind(body))", "False", GONE),
    Rule("each of several keys has its own identity", _ASKED, "address, body, use.identity)", "address, body)", GONE),
    Rule("keys become not one by a word left out", _WISHED, "if apart := _keys_apart(wish, uses)", "if False", SLOTS),
    Rule("lost access is told on what is known now", _SEEN, "max(keys_as_of, ", "min(keys_as_of, ", ACCESS),
    Rule("no token goes to the webhook", "shared/adapters/guard.py", "if bare and any(", "if False and any(", HOOK),
    Rule("a webhook that fails is left in peace", _HOOK, "and now < self._closed_until:", "and False:", HOOK),
    Rule("the webhook's URL is never repeated", "shared/webhook_setting.py", "def __repr__", "def _repr", HOOK),
)  # fmt: skip
