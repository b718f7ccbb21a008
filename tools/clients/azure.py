"""The sandbox that the clients talk to, as a process of its own, and what its console says about Azure's state."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tools.clients.environments import HOME, ROOT

ESTATE: Final = Path(__file__).with_name("estate.yaml")
TENANT: Final = "22222222-2222-4222-8222-222222222222"
SUBSCRIPTION: Final = "11111111-1111-4111-8111-111111111111"
DATA: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-data"
VAULTS: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-keys/providers/Microsoft.KeyVault/vaults"
IDENTITY: Final = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-keys/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/id-clients"
)
VAULT: Final = "kv-clients"
URI: Final = f"https://{VAULT}.vault.azure.net"
KEY: Final = "cmk"
PINNED: Final = "stpinned"  # an account on a key version
PLAIN: Final = "stplatform"  # an account on the platform's key
WHO: Final = "66666666-6666-4666-8666-666666666666"  # a service principal; any client id can log in
OLD, NEW = "a1" * 16, "b2" * 16
_STOP_SECONDS: Final = 30.0


class WrongError(Exception):
    """Something is not as it should be; the message says what."""


def account_id(name: str) -> str:
    """Return a storage account's id."""
    return f"{DATA}/providers/Microsoft.Storage/storageAccounts/{name}"


@dataclass(frozen=True)
class Azure:
    """A running sandbox: the environment for its clients, and its state by the console."""

    exports: dict[str, str]
    console: str
    app: dict[str, str] | None

    def ask(self, verb: str) -> Any:
        """Return the console's JSON. Raises WrongError when it refuses."""
        return _get(self.console + verb, {})

    def resource(self, id_: str) -> dict[str, Any]:
        """Return a resource's body as it is stored. Raises WrongError when there is none."""
        body: dict[str, Any] = self.ask(f"resource?id={quote(id_)}")
        return body

    def encryption(self, account: str) -> dict[str, Any]:
        """Return an account's encryption object."""
        found: dict[str, Any] = self.resource(account_id(account))["properties"]["encryption"]
        return found

    def versions(self, key: str, vault: str = VAULT) -> list[dict[str, Any]]:
        """Return a key's versions as the vault keeps them, the latest last. Raises WrongError when there is no key."""
        for one in self.ask(f"keys?vault={vault}")["value"]:
            if one["name"] == key:
                found: list[dict[str, Any]] = one["versions"]
                return found
        raise WrongError(f"the vault has no key {key}")

    def latest(self, key: str = KEY) -> dict[str, Any]:
        """Return the latest version of a key."""
        return self.versions(key)[-1]

    def of_app(self, path: str) -> Any:
        """Return the JSON that the app answers. Raises WrongError when it refuses, or when no app runs."""
        if self.app is None:
            raise WrongError("no app runs")
        return _get(self.app["url"] + path, {"x-functions-key": self.app["functionKey"]})

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something holds; raises WrongError, saying what did not come, after so many seconds."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise WrongError(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.1)


def _get(url: str, headers: dict[str, str]) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=60) as answer:  # noqa: S310  loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise WrongError(f"{error.code} for {url}: {error.read().decode('utf-8', 'replace')[:500]}") from error
    except (OSError, ValueError) as error:
        raise WrongError(f"{url}: {error}") from error


@contextmanager
def running(name: str, *, app: bool, estate: Path = ESTATE) -> Iterator[Azure]:
    """Run a sandbox on free ports, with this app or without, and end it afterwards. Raises WrongError if it cannot."""
    command = [sys.executable, "-m", "sandbox", "up", "--estate", str(estate), "--port", "0", "--json"]
    command += ["--folder", str(HOME / "runs" / name), *(["--app", str(ROOT), "--app-port", "0"] if app else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line.startswith("READY "):
                raise WrongError("the sandbox did not start; what it said is above")
            ready = json.loads(line.removeprefix("READY "))
            yield Azure(ready["env"], ready["console"], ready.get("app"))
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
