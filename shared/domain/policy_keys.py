"""What a rule says of the key that resources begin to use, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.domain.key_template import problem_of, vault_problem_of
from shared.domain.new_vault import NewVault
from shared.domain.policy import SYSTEM, Mode, NewKey, Origin, Rule
from shared.domain.resource import BadAddress, parse_arm_id
from shared.domain.service import May

_GROUP = re.compile(r"[\w.()-]{1,90}")  # [learn azure-resource-manager/management/resource-name-rules]
_SUBSCRIPTION = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_IDENTITY = "microsoft.managedidentity/userassignedidentities"
_MOST_TAGS, _LONGEST_TAG = 15, 512  # of a key [learn key-vault/keys/about-keys-details, key tags]
_BEFORE_EXPIRY = 7  # days between a rotation and the end of the version before it, at least


def key_problems(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, each with the name of its field."""
    if rule.encryption is Mode.FIX and not rule.key:
        yield "encryption", "fix needs key: the identifier of the key that resources begin to use"
    if rule.key and (problem := problem_of(rule.key)):
        yield "key", problem
    if not rule.key and (rule.create_key is not None or rule.origin is not Origin.VAULT):
        yield ("createKey" if rule.create_key is not None else "origin"), "says something of a key, and key names none"
    if rule.identity != SYSTEM and not _is_identity(rule.identity):
        yield "identity", "must be system, or the id of a user-assigned identity"
    if rule.create_key is not None:
        yield from _problems_of_new(rule, rule.create_key)
    if rule.create_vault is not None:
        yield from _problems_of_vault(rule, rule.create_vault)


def _problems_of_new(rule: Rule, like: NewKey) -> Iterator[tuple[str, str]]:
    if rule.origin is Origin.IMPORTED:
        yield "createKey", "an imported key is not made in the vault"
    elif May.CREATE_KEY not in rule.may:
        yield "createKey", "needs may: [create-key]"
    if like.not_before is not None and like.not_before.tzinfo is None:
        yield "createKey", "notBefore needs a time zone, such as 2026-05-01T00:00:00Z"
    if len(like.tags) > _MOST_TAGS or any(not 0 < len(name.strip()) <= _LONGEST_TAG for name in like.tags):
        yield "createKey", f"tags: a key has {_MOST_TAGS} at most, each with a name of up to {_LONGEST_TAG} characters"
    elif any(len(value) > _LONGEST_TAG for value in like.tags.values()):
        yield "createKey", f"tags: a value has {_LONGEST_TAG} characters at most"
    ends, rotates = like.expires_after_days, like.rotate_after_days
    if ends is not None and rotates is not None and rotates + _BEFORE_EXPIRY > ends:
        yield "createKey", f"rotateAfterDays must be {_BEFORE_EXPIRY} days before expiresAfterDays at least"


def _problems_of_vault(rule: Rule, new: NewVault) -> Iterator[tuple[str, str]]:
    if not rule.key:
        yield "createVault", "says something of a vault, and key names none"
    elif problem := vault_problem_of(rule.key):
        yield "key", problem
    if May.CREATE_VAULT not in rule.may:
        yield "createVault", "needs may: [create-vault]"
    if not _GROUP.fullmatch(new.resource_group) or new.resource_group.endswith("."):
        yield "createVault", "resourceGroup must be the name of a resource group"
    if new.subscription and not _SUBSCRIPTION.fullmatch(new.subscription):
        yield "createVault", "subscription must be the id of a subscription"


def _is_identity(text: str) -> bool:
    try:
        return parse_arm_id(text).type.lower() == _IDENTITY
    except BadAddress:
        return False
