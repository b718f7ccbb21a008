"""What is told of a safety rule so that it can be taken out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule: its sentence, where it stands, and the tests that must notice its absence."""

    sentence: str
    file: str
    words: str
    without: str
    tests: str
