"""The list of safety rules keeps up with the code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tools.mutants.rules import RULES

ROOT = Path(__file__).resolve().parents[2]


def test_every_safety_rule_stands_in_the_code_once_in_the_words_of_its_list() -> None:
    code = {rule.file: (ROOT / rule.file).read_text("utf-8") for rule in RULES}
    assert {rule.sentence: code[rule.file].count(rule.words) for rule in RULES} == {rule.sentence: 1 for rule in RULES}


def test_every_safety_rule_is_listed_once_and_names_tests_that_are_there() -> None:
    assert [one for one, times in Counter((rule.file, rule.words) for rule in RULES).items() if times > 1] == []
    assert [rule.tests for rule in RULES if not (ROOT / rule.tests).exists()] == []
