"""docs/policy.md names every field that a policy may have."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shared.domain.policy import Expect, Rule, VaultRule
from shared.domain.service import May

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text("utf-8")


def first_columns(heading: str) -> str:
    """Return what stands in the first column of the tables of a section, its sections left out."""
    section = PAGE.split(f"\n{heading}\n", 1)[1].split("\n## ")[0].split("\n### ")[0]
    return " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))


@pytest.mark.parametrize(
    ("heading", "form"), [("## A rule", Rule), ("### expect", Expect), ("## Vaults", VaultRule)], ids=str
)
def test_every_field_stands_in_its_table(heading: str, form: type[msgspec.Struct]) -> None:
    told = first_columns(heading)
    assert [one.encode_name for one in msgspec.structs.fields(form) if f"`{one.encode_name}`" not in told] == []


def test_every_word_of_may_stands_in_its_table() -> None:
    told = first_columns("### may")
    assert [one.value for one in May if f"`{one.value}`" not in told] == []
