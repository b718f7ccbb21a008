"""What a rule may say of the end of keys and of lost access, and what a mistake in it is told."""

from __future__ import annotations

import pytest

from shared.adapters.yaml_lines import parse_policy
from shared.domain.life import AccessLost, NearExpiry
from shared.domain.policy_text import BadPolicy

HEAD = "version: 1\nrules:\n"


def test_without_a_word_of_it_a_rule_tells_and_does_nothing() -> None:
    (rule,) = parse_policy(HEAD + "  - name: all\n").rules
    assert (rule.near_expiry, rule.access_lost) == (NearExpiry.NOTIFY, AccessLost.REPORT)


def test_a_rule_may_have_keys_rotated_and_grants_restored() -> None:
    (rule,) = parse_policy(
        HEAD + "  - {name: all, rotation: fix, nearExpiry: rotate, accessLost: restore, may: [grant]}\n"
    ).rules
    assert (rule.near_expiry, rule.access_lost) == (NearExpiry.ROTATE, AccessLost.RESTORE)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("accessLost: restore\n    rotation: fix", "accessLost: restore needs may: [grant]"),
        ("accessLost: restore\n    may: [grant]", "accessLost: restore takes rotation: fix; report writes nothing"),
        ("nearExpiry: rotate", "nearExpiry: rotate takes rotation: fix, or users would stay behind"),
        ("nearExpiry: soon", "nearExpiry: Invalid enum value 'soon'; say notify, rotate"),
        ("accessLost: fix", "accessLost: Invalid enum value 'fix'; say report, restore"),
        (
            "nearExpiry: rotate\n    rotation: fix\n    origin: imported\n    key: https://kv.vault.azure.net/keys/k",
            "nearExpiry: rotate: an imported key is never rotated in the vault",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(said: str, told: str) -> None:
    with pytest.raises(BadPolicy) as caught:
        parse_policy(f"{HEAD}  - name: all\n    {said}\n")
    (problem,) = caught.value.problems
    assert str(problem) == f"line 4: rules[0].{told}"
