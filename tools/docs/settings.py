"""The settings that the code and the sample file name, and those of them that the README leaves out."""

from __future__ import annotations

import json
import re
from pathlib import Path

_NAME = re.compile(r"\b(?:CMK_[A-Z_]+|WEBSITE_[A-Z_]+|AzureWebJobsStorage(?:__[A-Za-z]+)?)\b")


def known(root: Path) -> frozenset[str]:
    """Return every environment name in shared/settings.py and in local.settings.sample.json."""
    code = (root / "shared" / "settings.py").read_text(encoding="utf-8")
    sample = json.loads((root / "local.settings.sample.json").read_text(encoding="utf-8"))
    return frozenset(_NAME.findall(code)) | frozenset(sample["Values"])


def missing_from_readme(root: Path) -> list[str]:
    """Return the settings that the README does not name, in order."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    return sorted(name for name in known(root) if f"`{name}`" not in readme)
