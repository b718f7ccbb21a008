"""The clients' virtual environments under .sandbox/clients: made when missing, kept as long as what they hold fits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".sandbox" / "clients"
PYTHONS: Final = ("3.11", "3.12", "3.13")
_LOOK_SECONDS: Final = 30.0
_INSTALL_SECONDS: Final = 900.0
_TAIL: Final = 5  # lines of what pip said


class NoEnvironmentError(Exception):
    """A client's environment cannot be made; the message says why and what helps."""


def environment(client: str, program: str, *, lists: Path = Path(__file__).parent) -> Path:
    """Return the folder with a client's programs, installed with the first Python that can. Raises NoEnvironmentError.

    What to install is in CLIENT.txt in the folder of lists.
    """
    folder = HOME / client
    listed = lists / f"{client}.txt"
    wanted = listed.read_text("utf-8")
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text("utf-8") == wanted and (folder / "bin" / program).exists():
        return folder / "bin"
    problems = []
    for version, python in _pythons():
        problem = _install(python, folder, listed)
        if problem is None:
            stamp.write_text(wanted, "utf-8")
            return folder / "bin"
        problems.append(f"with Python {version}: {problem}")
    tried = "\n".join(problems) or f"no Python of {', '.join(PYTHONS)} was found (looked on PATH, in pyenv, with uv)"
    raise NoEnvironmentError(
        f"The environment for {client} cannot be made in {folder.relative_to(ROOT)}.\n{tried}\n"
        f"It needs one of Python {', '.join(PYTHONS)} and a package index that has: {' '.join(wanted.split())}"
    )


def _pythons() -> Iterator[tuple[str, str]]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    uv = shutil.which("uv")
    for version in PYTHONS:
        candidates = [shutil.which(f"python{version}") or ""]
        candidates += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)]
        if uv is not None:
            candidates.append(_run(_LOOK_SECONDS, uv, "python", "find", version)[1].strip())
        fits = f"import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2] == '{version}')"
        for one in candidates:
            if one and _run(_LOOK_SECONDS, one, "-c", fits)[1].strip() == "True":
                yield version, one
                break


def _install(python: str, folder: Path, listed: Path) -> str | None:
    """Return what went wrong, or None."""
    code, _, said = _run(_INSTALL_SECONDS, python, "-m", "venv", "--clear", str(folder))
    if code == 0:
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        code, _, said = _run(_INSTALL_SECONDS, *pip, "-r", str(listed))
    if code == 0:
        return None
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("WARNING")]
    return " / ".join(lines[-_TAIL:]) or f"exit code {code}"


def _run(seconds: float, *command: str) -> tuple[int, str, str]:
    options: dict[str, Any] = {"timeout": seconds, "capture_output": True, "text": True}
    try:
        done = subprocess.run(command, check=False, **options)  # noqa: S603  commands of this module only
    except (OSError, subprocess.SubprocessError) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr
