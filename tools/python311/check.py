"""`python -m tools.python311.check`: the app on Python 3.11, every function called, against a running sandbox.

What runs: this app, Python 3.11, the newest `azure-functions` that 3.11 can have, and `azure-functions-runtime`, which
Microsoft publishes for 3.13 and later and which is installed here against its own Python requirement.
What does not: Microsoft's 4.x worker, which is what serves 3.11 in Azure. It is not on PyPI (`azure-functions-worker`
ends at 1.1.9 there, of 2020, which knows no function_app.py). So its gRPC channel, its loader and its isolation of
dependencies (PYTHON_ISOLATE_WORKER_DEPENDENCIES) are not shown by this check.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from sandbox.appprocess import SETTINGS
from tools.python311.calls import ACCOUNT

_ROOT = Path(__file__).resolve().parents[2]
_HOME = _ROOT / ".sandbox" / "python311"
_PYTHON = _HOME / "bin" / "python"
_NEWEST: Final = "b2" * 16  # the estate's newest version of the key; rotate only puts work on the queue here
_RUNTIME: Final = "azure-functions-runtime>=1.3,<2"
FUNCTIONS: Final = {
    "audit", "converge", "enforce", "evidence", "health", "key_events", "poison", "replay", "resource_events", "revert",
    "revoke", "rotate", "sweep", "use_key", "work"
}  # fmt: skip
_SECONDS = 180.0


def main() -> int:
    """Return 0 when every call ended as expected, 1 when one did not, 2 without a Python 3.11."""
    python = _find()
    if python is None:
        sys.stderr.write(
            "No Python 3.11 was found (looked for python3.11, pyenv, uv).\n"
            "Install one, for example:  pyenv install 3.11   or   uv python install 3.11\n"
        )
        return 2
    try:
        _install(python)
        with _sandbox() as ready:
            found = _call(ready["env"])
            in_use = _version_in_use(ready["console"])
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return _show(found, in_use)


def _find() -> str | None:
    names = [os.environ.get("PYTHON311", ""), "python3.11", "python3", "python"]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [shutil.which(name) or "" for name in names if name]
    candidates += [str(path) for path in sorted(pyenv.glob("versions/3.11*/bin/python"), reverse=True)]
    uv = shutil.which("uv")
    if uv is not None:
        candidates.append(_output(uv, "python", "find", "3.11"))
    fits = "import sys, venv, ensurepip; print(sys.version_info[:2] == (3, 11))"
    return next((one for one in candidates if one and _output(one, "-c", fits) == "True"), None)


def _output(*command: str) -> str:
    try:
        return _run(*command, seconds=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _run(*command: str, seconds: float, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    options: dict[str, Any] = {"cwd": _ROOT, "env": env, "timeout": seconds, "capture_output": True, "text": True}
    return subprocess.run(command, check=False, **options)  # noqa: S603  commands of this file only


def _must(*command: str) -> None:
    ended = _run(*command, seconds=_SECONDS)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-4000:]}")


def _install(python: str) -> None:
    """Make the virtual environment. The runtime comes last and without its dependencies: they are for 3.13."""
    stamp = _HOME / "requirements.txt"
    wanted = (_ROOT / "requirements.txt").read_text("utf-8")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    pip = (str(_PYTHON), "-m", "pip", "install", "--disable-pip-version-check")
    _must(python, "-m", "venv", "--clear", str(_HOME))
    _must(*pip, "-r", "requirements.txt")
    _must(*pip, "--no-deps", "--ignore-requires-python", _RUNTIME)
    stamp.write_text(wanted, "utf-8")


@contextmanager
def _sandbox() -> Iterator[dict[str, Any]]:
    """Run a sandbox of this check's own, on a free port of the loopback, and end it afterwards."""
    estate = Path(__file__).with_name("estate.json")
    command = [sys.executable, "-m", "sandbox", "up", "--estate", str(estate), "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  the same
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line.startswith("READY "):
                raise RuntimeError("the sandbox did not start")
            yield json.loads(line.removeprefix("READY "))
        finally:
            process.terminate()


def _call(exports: dict[str, str]) -> dict[str, Any]:
    environment = {**os.environ, **SETTINGS, **exports}
    environment.pop("AzureWebJobsStorage", None)  # a connection string would win over the sandbox's queue
    ended = _run(str(_PYTHON), "-m", "tools.python311.calls", seconds=_SECONDS, env=environment)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"the app did not run on 3.11:\n{ended.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def _version_in_use(console: str) -> str:
    """Return the key version that the storage account uses now, from the sandbox's own state."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{console}resource?id={quote(ACCOUNT)}", timeout=30) as answer:
        body = json.load(answer)
    encryption = body["properties"]["encryption"]["keyvaultproperties"]
    return str(encryption["currentVersionedKeyIdentifier"]).rpartition("/")[2]


def _show(found: dict[str, Any], in_use: str) -> int:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    table = Table("function", "call", "expected", "got", "ms", title=f"Python {found['python']}, {versions}")
    for row in found["rows"]:
        got = f"[{'green' if row['fine'] else 'red'}]{row['got']}"
        table.add_row(row["function"], row["case"], str(row["expected"]), got, str(row["milliseconds"]))
    terminal = Console()
    terminal.print(table)
    called = {row["function"] for row in found["rows"]}
    problems = [f"{row['function']}, {row['case']}: {row['got']}" for row in found["rows"] if not row["fine"]]
    if {*found["functions"]} != FUNCTIONS or called != FUNCTIONS:
        problems.append(f"functions found: {', '.join(found['functions'])}; called: {', '.join(sorted(called))}")
    if in_use != _NEWEST:
        problems.append(f"the account uses version {in_use}, not the newest: work had no effect")
    terminal.print("Not shown by this: Microsoft's 4.x worker. PyPI does not have it; see tools/python311/check.py.")
    terminal.print("\n".join(problems) or f"{len(called)} functions ran and the account uses the newest version")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
