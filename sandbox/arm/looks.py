"""When a follower looks for what its vault calls latest, and what it has taken up by now.

Nothing happens at the moment of a look: when somebody reads the resource, the looks since the last reading are made up
for. What the key's versions were at a look follows from their dates; who may wrap with them is judged at the reading.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import floor
from zlib import crc32

from sandbox.arm.encryption import Pointer
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import WRAPPING, find_vault, wrap_problem
from sandbox.world import World

Fits = Callable[[Key, KeyVersion], bool]


def start(world: World, id_: str, period: int) -> None:
    """Note that a follower has looked just now: it looks again within `period` seconds."""
    _looked(world)[id_.lower()] = _number(world, id_.lower(), period, world.clock.time())


def since(world: World, id_: str, period: int) -> int | None:
    """Return the number of the last look that is accounted for, if there was one after it, and account for that."""
    looked, id_ = _looked(world), id_.lower()
    last = _number(world, id_, period, world.clock.time())
    before = looked.setdefault(id_, last)
    looked[id_] = last
    return before if last > before else None


def picked(  # noqa: PLR0913  what a look depends on
    world: World,
    id_: str,
    pointer: Pointer,
    principal: str,
    fits: Fits,
    in_effect: str,
    *,
    period: int,
    after: int,
    needs: tuple[str, ...] = WRAPPING,
) -> tuple[Key, KeyVersion, datetime] | None:
    """Return the newest version that a look after look number `after` has taken, and when; None: it keeps the old."""
    vault = find_vault(world, pointer.host)
    key = world.keyring.get(str(vault["name"]), pointer.name) if vault else None
    if key is None or key.deleted is not None:
        return None
    id_, end = id_.lower(), world.clock.time()
    for version in reversed(key.versions):
        if version.version == in_effect:
            return None
        # It was latest from its making until the next one's, and could wrap between its two dates.
        begin = max(version.created.timestamp(), version.not_before.timestamp() if version.not_before else 0.0)
        until = min(end, version.expires.timestamp() if version.expires else end)
        last = _number(world, id_, period, until - 1e-6 if until < world.clock.time() else until)
        at = last * period + _phase(world, id_, period)
        could = last > after and at >= begin and fits(key, version)
        if could and _could_wrap(world, pointer, version, principal, at, needs):
            return key, version, datetime.fromtimestamp(at, UTC)
        end = min(end, version.created.timestamp())
    return None


def _looked(world: World) -> dict[str, int]:
    looked: dict[str, int] = world.memory.setdefault("looked", {})
    return looked


def _phase(world: World, id_: str, period: int) -> int:
    return crc32(f"{world.seed}:{id_}".encode()) % period


def _number(world: World, id_: str, period: int, until: float) -> int:
    """Return the number of the last look at or before a moment."""
    return floor((until - _phase(world, id_, period)) / period)


def _could_wrap(
    world: World, pointer: Pointer, version: KeyVersion, principal: str, at: float, needs: tuple[str, ...]
) -> bool:
    problem = wrap_problem(world, pointer.host, pointer.name, version.version, principal, needs)
    if problem == "disabled":
        return version.updated.timestamp() > at  # it was disabled after the look
    return problem in {None, "expired", "not-yet-valid"}  # the dates are judged at the look, not now
