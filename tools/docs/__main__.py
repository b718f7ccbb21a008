"""`python -m tools.docs` writes the generated pages; `--check` writes nothing and exits 1 when something is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.docs.pages import PAGES
from tools.docs.settings import missing_from_readme

ROOT = Path(__file__).resolve().parents[2]


def stale(root: Path = ROOT) -> list[str]:
    """Return what is wrong: pages that differ from the code, settings that the README does not name."""
    wrong = [f"docs/{name} is stale: run python -m tools.docs" for name in PAGES if _read(root, name) != PAGES[name]()]
    return wrong + [f"README.md does not name the setting {name}" for name in missing_from_readme(root)]


def _read(root: Path, name: str) -> str:
    path = root / "docs" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    """Write the pages, or with --check say what is stale."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale")
    if not parser.parse_args().check:
        for name, page in PAGES.items():
            (ROOT / "docs" / name).write_text(page(), encoding="utf-8")
    found = stale()
    sys.stderr.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
