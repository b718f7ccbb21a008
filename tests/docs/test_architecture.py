"""The table of modules in docs/architecture.md says each of the product's modules once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = ("domain/plan", "services", "usecases/steps", "ports")  # told as one


def told() -> list[str]:
    """Return the modules that stand in the table's first column, each with its folder."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    found: list[str] = []
    for row in rows:
        folder = ""
        for name in re.findall(r"`([\w/]+\.py)`", row):
            folder = name.rpartition("/")[0] or folder
            found.append(f"{folder}/{name.rpartition('/')[2]}".lstrip("/").removeprefix("shared/"))
    return found


def there() -> list[str]:
    files = [*(ROOT / "functions").glob("*.py"), *(ROOT / "shared").rglob("*.py")]
    named = [str(one.relative_to(ROOT)).removeprefix("shared/") for one in files if one.name != "__init__.py"]
    return [one for one in named if one.rpartition("/")[0] not in TOGETHER]


def test_each_module_is_told_once() -> None:
    assert [name for name, times in Counter(told()).items() if times > 1] == []
    assert sorted(told()) == sorted([*there(), "function_app.py"])
