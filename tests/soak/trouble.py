"""The trouble of a run: what Azure, the network and other people do. All of it from the run's dice."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from sandbox.arm.store import save
from sandbox.vault import keys as vault_keys
from sandbox.vault.access import find_vault
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import World

VAULT = "kv-main.vault.azure.net"
ODDS = 0.08  # of a request going wrong
ACCOUNTS = "Microsoft.Storage/storageAccounts"


def _error(code: str, status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer.of({"error": {"code": code, "message": "trouble"}}, status, named)


class Trouble:
    """Faults on the way, and people at work."""

    def __init__(self, dice: random.Random, world: World, tell: Callable[[str], None]) -> None:
        self.dice = dice
        self.world = world
        self.tell = tell
        self.over = False

    def before(self, call: Call) -> Answer | None:
        """Answer in Azure's place, or break the connection, now and then."""
        if self.over or self.dice.random() > ODDS:
            return None
        if call.host.endswith("queue.core.windows.net"):
            return self._queue_trouble()
        what = self.dice.choice(("429", "409", "503", "500", "reset", "slow-429"))
        if what == "reset":
            raise Unreachable("trouble: no connection")
        return {
            "429": _error("TooManyRequests", 429, Retry_After=str(self.dice.randint(1, 40))),
            "slow-429": _error("TooManyRequests", 429),
            "409": _error("Conflict", 409),
            "503": _error("ServiceUnavailable", 503),
            "500": _error("InternalServerError", 500),
        }[what]

    def _queue_trouble(self) -> Answer | None:
        if self.dice.random() < 0.5:
            raise Unreachable("trouble: the queue does not answer")
        return Answer(503, {"x-ms-error-code": "ServerBusy"})

    def after(self, call: Call, answer: Answer) -> Answer:
        """Lose or spoil an answer after the effect, now and then."""
        if self.over or self.dice.random() > ODDS / 2:
            return answer
        what = self.dice.choice(("reset", "504", "cut", "slow"))
        if what == "reset":
            raise Unreachable("trouble: the answer got lost")
        if what == "504" and not call.host.endswith("queue.core.windows.net"):
            return _error("GatewayTimeout", 504)
        if what == "cut" and call.host == "management.azure.com" and len(answer.body) > 20:
            return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])
        return Answer(answer.status, answer.headers, answer.body, latency=self.dice.uniform(1, 15))

    def excuses(self, error: Exception) -> bool:
        """Return whether an item may fail with this: the queue itself did not take its successor."""
        return type(error).__name__ in {"TryLater", "Refusal"} and not self.over

    def somebody(self) -> None:
        """Let somebody do something."""
        self.dice.choice((self._new_version, self._toggle, self._pin, self._delete))()

    def _key(self) -> Any:
        vault = find_vault(self.world, VAULT)
        assert vault is not None
        return vault, vault_keys.living(self.world, vault, "cmk")

    def _new_version(self) -> None:
        vault, key = self._key()
        if not key.latest.enabled:
            return
        made = vault_keys.rotate(self.world, vault, key)
        self.tell(f"version {made.version[:6]} is made")

    def _toggle(self) -> None:
        """Somebody disables or enables a version; the oldest two stay, so that there is always one to use."""
        _, key = self._key()
        if len(key.versions) < 4:
            return
        one = self.dice.choice(key.versions[2:])
        one.enabled = not one.enabled
        one.updated = self.world.now()
        self.tell(f"version {one.version[:6]} is {'enabled' if one.enabled else 'disabled'}")

    def _pin(self) -> None:
        """Somebody points an account at a version of his choice."""
        _, key = self._key()
        body = self._some_account()
        if body is None:
            return
        version = self.dice.choice([one for one in key.versions if one.enabled]).version
        pointer = body["properties"]["encryption"]["keyvaultproperties"]
        pointer["keyversion"] = version
        pointer["currentVersionedKeyIdentifier"] = f"https://{VAULT}/keys/cmk/{version}"
        pointer["lastKeyRotationTimestamp"] = self.world.now().isoformat()
        save(self.world, body)
        self.tell(f"somebody pins {body['name']} to {version[:6]}")

    def _delete(self) -> None:
        """Somebody deletes an account, now and then."""
        body = self._some_account()
        if body is not None and self.dice.random() < 0.2:
            self.world.resources.remove(body["id"])
            self.tell(f"somebody deletes {body['name']}")

    def _some_account(self) -> dict[str, Any] | None:
        found = [
            body
            for body in self.world.resources.of_type(ACCOUNTS)
            if body["properties"]["encryption"].get("keyvaultproperties")
        ]
        return copy.deepcopy(self.dice.choice(found)) if found else None
