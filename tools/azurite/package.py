"""Azurite's npm package in a folder of its own under .sandbox/azurite: installed when asked for, never by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".sandbox" / "azurite"
VERSION: Final = "3.35.0"
_INSTALL_SECONDS: Final = 180.0
_TAIL: Final = 5  # lines of what npm said


class NoAzuriteError(Exception):
    """Azurite cannot be run; the message says why and what helps."""


def missing() -> str:
    """Return in a few words what keeps Azurite from running; empty when nothing does."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    return "" if _installed() == VERSION else "Azurite is not installed: make azurite"


def main_of(service: str) -> Path:
    """Return the program of a service (queue or blob). Raises NoAzuriteError when it is not installed."""
    if problem := missing():
        raise NoAzuriteError(problem)
    return _package() / "dist" / "src" / service / "main.js"


def install() -> None:
    """Install the version that is wanted, unless it is there already. Raises NoAzuriteError."""
    if _installed() == VERSION:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NoAzuriteError("npm is not installed")
    HOME.mkdir(parents=True, exist_ok=True)
    options = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
    command = (npm, "install", "--prefix", str(HOME), *options, f"azurite@{VERSION}")
    try:
        done = subprocess.run(  # noqa: S603  npm itself
            command, check=False, timeout=_INSTALL_SECONDS, capture_output=True, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAzuriteError(f"npm failed: {error}") from error
    if done.returncode != 0 or _installed() != VERSION:
        said = " / ".join(done.stderr.strip().splitlines()[-_TAIL:])
        raise NoAzuriteError(f"npm could not install azurite {VERSION}: {said or done.returncode}")


def _package() -> Path:
    return HOME / "node_modules" / "azurite"


def _installed() -> str:
    described = _package() / "package.json"
    return str(json.loads(described.read_text("utf-8"))["version"]) if described.exists() else ""
