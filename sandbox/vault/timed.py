"""What the clock does to keys: rotation by policy, KeyNearExpiry, KeyExpired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.keyring import Key, KeyVersion
from sandbox.vault import events
from sandbox.vault.access import host_of, vault_named
from sandbox.vault.keys import rotate
from sandbox.vault.policy import NEAR, add
from sandbox.wire import Json
from sandbox.world import World


@dataclass(frozen=True, order=True)
class _Moment:
    at: datetime
    vault: str
    name: str
    type_: str  # of the event, or "rotate"


def due(world: World) -> datetime | None:
    """Return when the next timed thing happens to any key (it may be past already), or None when nothing will.

    What lies before the first look is taken as having happened before: an estate describes the state at its start.
    """
    moments = [moment.at for moment, *_ in _moments(world)]
    return min(moments) if moments else None


def advance(world: World) -> None:
    """Let everything happen that is due by the clock: rotations by policy, KeyNearExpiry and KeyExpired, once each."""
    fired = _fired(world)
    while ready := sorted((one for one in _moments(world) if one[0].at <= world.now()), key=lambda one: one[:2]):
        for moment, _, key, version in ready:
            mark = _mark(moment.type_, key, version)
            if mark in fired:  # two actions of a policy at the same moment
                continue
            fired.add(mark)
            vault = vault_named(world, key.vault)
            if vault is None:
                continue
            if moment.type_ == "rotate":
                rotate(world, vault, key)
            else:
                events.tell(world, vault, host_of(vault), key, version, type_=moment.type_)


def watch(world: World, changed: Callable[[], None]) -> None:
    """Have `changed` called after every change through the data plane: the next moment may be another one then."""
    _watchers(world).append(changed)


def touched(world: World) -> None:
    """Tell the watchers that keys have changed."""
    for changed in _watchers(world):
        changed()


def _watchers(world: World) -> list[Callable[[], None]]:
    watchers: list[Callable[[], None]] = world.memory.setdefault("vault", {}).setdefault("watchers", [])
    return watchers


def _moments(world: World) -> Iterator[tuple[_Moment, int, Key, KeyVersion]]:
    memory = world.memory.setdefault("vault", {})
    since = memory.setdefault("since", world.now())
    fired = _fired(world)
    for number, key in enumerate(world.keyring):
        if key.deleted is not None or not key.versions:
            continue
        version = key.latest
        for at, type_ in _timed(key, version):
            if at >= since and _mark(type_, key, version) not in fired:
                yield _Moment(at, key.vault, key.name, type_), number, key, version


def _timed(key: Key, version: KeyVersion) -> Iterator[tuple[datetime, str]]:
    policy: Json = key.rotation_policy or {}
    near = NEAR
    for action in policy.get("lifetimeActions") or ():
        trigger: Json = action.get("trigger") or {}
        kind = str((action.get("action") or {}).get("type", "")).lower()
        if kind == "notify" and trigger.get("timeBeforeExpiry"):
            near = str(trigger["timeBeforeExpiry"])
        if kind == "rotate" and not key.managed and version.enabled:
            at = _rotation(trigger, version)
            if at is not None:
                # A policy set on an old key counts from when it was set.
                changed = (policy.get("attributes") or {}).get("updated")
                yield (max(at, datetime.fromtimestamp(changed, UTC)) if changed else at), "rotate"
    if version.expires is not None:
        yield max(add(version.expires, near, -1), version.updated), events.NEAR_EXPIRY
        yield max(version.expires, version.updated), events.EXPIRED


def _rotation(trigger: Json, version: KeyVersion) -> datetime | None:
    if trigger.get("timeAfterCreate"):
        return add(version.created, str(trigger["timeAfterCreate"]))
    if trigger.get("timeBeforeExpiry") and version.expires is not None:
        return add(version.expires, str(trigger["timeBeforeExpiry"]), -1)
    return None


def _mark(type_: str, key: Key, version: KeyVersion) -> tuple[Any, ...]:
    return type_, key.vault.lower(), key.name.lower(), version.version, version.expires


def _fired(world: World) -> set[tuple[Any, ...]]:
    fired: set[tuple[Any, ...]] = world.memory.setdefault("vault", {}).setdefault("fired", set())
    return fired
