"""The safety rules, checked at every write as Azure sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sandbox.arm.following import pointer_of, reported
from sandbox.keyring import Key
from sandbox.wire import Answer, Call
from sandbox.world import World

# A decision may be 5 s old and a request take its time; another instance may have been faster (a lost race).
KNOWN_FOR = timedelta(seconds=60)


class Watch:
    """Looks at every PATCH that has an effect, and at what it found there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.writes = 0
        self.writes_before_last_sweep = 0
        self.wrong: list[str] = []
        # The call on its way: its path, the version that is there ("" follows), and since when.
        self._found: tuple[str, str | None, datetime] = ("", None, world.now())

    def before(self, call: Call) -> None:
        """Note what a write is about to change."""
        if not _is_write(call):
            return
        body = self.world.resources.get(call.path)
        pointer = pointer_of(body) if body else None
        since = str(reported(body).get("lastKeyRotationTimestamp") or "") if body else ""
        there_since = datetime.fromisoformat(since) if since else datetime.min.replace(tzinfo=UTC)
        self._found = (call.path.lower(), pointer.version if pointer else None, there_since)

    def after(self, call: Call, answer: Answer) -> None:
        """Check a write that was carried out."""
        if not _is_write(call) or answer.status != 200:
            return
        self.writes += 1
        body = json.loads(call.body)
        properties = body["properties"]
        if set(body) != {"properties"} or not set(properties) <= {"encryption", "source", "keyVaultProperties"}:
            self.wrong.append(f"more than the key was sent to {call.path}: {body}")
        pointer = properties.get("keyVaultProperties") or properties["encryption"]["keyvaultproperties"]
        version = str(pointer.get("keyversion") or pointer["keyUri"].rsplit("/", 1)[1])
        key = self.world.keyring.get("kv-main", "cmk")
        assert key is not None
        self._check_newest(call.path, key, version)
        self._check_not_older(call.path.lower(), key, version)

    def _check_newest(self, path: str, key: Key, version: str) -> None:
        known = key.find(version)
        if known is None:
            self.wrong.append(f"{path} was written to a version that is not there")
            return
        now = self.world.now()
        newer = [one for one in key.versions[key.versions.index(known) + 1 :] if one.enabled]
        if missed := [one for one in newer if now - max(one.created, one.updated) > KNOWN_FOR]:
            self.wrong.append(f"{path} was written to {version[:6]} though {missed[0].version[:6]} was there")

    def _check_not_older(self, path: str, key: Key, version: str) -> None:
        at, there, since = self._found
        if at != path or there is None:
            return
        if not there:
            self.wrong.append(f"{path} followed and was pinned to {version[:6]}")
            return
        names = [one.version for one in key.versions]
        if names.index(version) < names.index(there) and self.world.now() - since > KNOWN_FOR:
            self.wrong.append(f"{path} went back from {there[:6]} to {version[:6]}")


def _is_write(call: Call) -> bool:
    return call.method == "PATCH" and call.host == "management.azure.com"
