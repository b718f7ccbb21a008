"""The safety rules, each with the words in the code that hold it and what is left when they are taken out."""

from __future__ import annotations

from tools.mutants.rules import (
    azure,
    choosing,
    faults,
    first_keys,
    foreseen,
    life,
    looking,
    odd_cases,
    passing_by,
    policy,
    revoking,
    so_many_words,
    vaults,
    waiting_work,
    ways_out,
    who_it_is,
)

RULES = (
    *azure.RULES,
    *choosing.RULES,
    *faults.RULES,
    *first_keys.RULES,
    *foreseen.RULES,
    *life.RULES,
    *looking.RULES,
    *odd_cases.RULES,
    *passing_by.RULES,
    *policy.RULES,
    *revoking.RULES,
    *so_many_words.RULES,
    *vaults.RULES,
    *waiting_work.RULES,
    *ways_out.RULES,
    *who_it_is.RULES,
)
