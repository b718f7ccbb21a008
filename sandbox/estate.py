"""The estate file: the Azure that the sandbox begins with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from sandbox import blobs
from sandbox.arm import loading, managementgroups, roles, searchservices
from sandbox.arm.target import subscription_of
from sandbox.clock import Clock
from sandbox.keyring import ALL_OPERATIONS, Key, KeyVersion
from sandbox.wire import Json
from sandbox.world import World

KEYS: Final = frozenset(
    {"subscriptions", "resources", "keys", "roleAssignments", "eventSubscriptions", "immutable", "search"}
    | {"managementGroups", "latency", "operations", "throttling", "graphLag", "seed", "tenantId"}
)
_LONG: Final = 15  # digits; a longer number in YAML is a name that happens to have only digits


class EstateError(ValueError):
    """The estate cannot be loaded; the message begins with the entry that is wrong."""


class _Loader(yaml.CSafeLoader):
    """YAML with times left as text, and long digits as well: bodies stay what ARM would answer."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    text = str(node.value)
    return text if len(text) > _LONG or re.fullmatch(r"0\d+", text) else int(loader.construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _number)


def load_estate(path: Path | str) -> Json:
    """Read an estate file, YAML or JSON. Raises EstateError for one that is neither, OSError for none."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        found: Any = json.loads(text)  # much faster than YAML, which would take JSON too
    except ValueError:
        try:
            found = yaml.load(text, _Loader)  # noqa: S506  a safe loader
        except (yaml.YAMLError, ValueError) as error:
            raise EstateError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise EstateError(f"{path}: an estate is a mapping with subscriptions, resources and keys")
    return found


def build_world(estate: Json, *, clock: Clock, seed: int = 1) -> World:
    """Make the world of an estate. The estate's own `seed` wins. Raises EstateError, naming the entry that is wrong."""
    unknown = sorted(str(name) for name in estate.keys() - KEYS)
    if unknown:
        raise EstateError(f"{unknown[0]}: an estate has no such entry; it has {', '.join(sorted(KEYS))}")
    with _entry("seed"):
        world = World(clock=clock, seed=int(estate.get("seed", seed)))
    world.tenant_id = str(estate.get("tenantId") or world.tenant_id)
    _settings(world, estate)
    for row in _rows(estate, "subscriptions"):
        id_ = str(row.entry["subscriptionId"])
        world.subscriptions[id_.lower()] = {**row.entry, "subscriptionId": id_}
    for row in _rows(estate, "managementGroups"):
        with _entry(row.name):
            managementgroups.load(world, row.entry)
    _resources(world, estate)
    _keys(world, estate.get("keys") or {})
    with _entry("resources"):
        loading.adopt_keys(world)
    with _entry("search"):
        for service, objects in (estate.get("search") or {}).items():
            searchservices.load(world, str(service), objects)
    for row in _rows(estate, "roleAssignments"):
        _assign(world, row.entry)
    with _entry("resources"):
        loading.complete(world)
    return world


def _settings(world: World, estate: Json) -> None:
    with _entry("latency"):
        latency = float(estate.get("latency", 1.0))
        if not 0 <= latency <= 1:
            raise ValueError("must be between 0 and 1")
        world.memory["latency"] = latency
    with _entry("operations"):
        scale = float(estate.get("operations", 1.0))
        if scale < 0:
            raise ValueError("must be 0 or more")
        world.memory["operationScale"] = scale
    world.memory["throttling"] = str(estate.get("throttling", "on")).lower() not in {"off", "false"}
    with _entry("graphLag"):
        world.memory["graph"] = {"lag": float(estate.get("graphLag") or 0)}
    with _entry("immutable"):
        for one in estate.get("immutable") or ():
            blobs.keep(world, str(one))
    world.memory["eventSubscriptions"] = estate.get("eventSubscriptions") or []


def _resources(world: World, estate: Json) -> None:
    rows = list(_rows(estate, "resources"))
    # Groups and identities first: others are completed with what they say.
    early = ("/resourcegroups/", "/userassignedidentities/")
    rows.sort(key=lambda row: 0 if _tail(row.entry).startswith(early) else 1)
    for row in rows:
        with _entry(row.name, str(row.entry.get("id", ""))):
            loading.add(world, row.entry)


def _tail(body: Json) -> str:
    parts = str(body.get("id", "")).lower().rstrip("/").rsplit("/", 2)
    return f"/{parts[-2]}/{parts[-1]}" if len(parts) > 2 else ""  # noqa: PLR2004


def _keys(world: World, vaults: Any) -> None:
    with _entry("keys"):
        if not isinstance(vaults, dict):
            raise TypeError("must map the names of vaults to lists of keys")
    known = {str(body["name"]).lower() for body in world.resources.of_type("Microsoft.KeyVault/vaults")}
    for vault, keys in vaults.items():
        name = str(vault)
        if name.lower() not in known:
            with _entry(f"keys.{name}"):
                if not world.subscriptions:
                    raise ValueError("the vault is not among the resources, and there is no subscription to put it in")
                first = next(iter(world.subscriptions))
                loading.add_vault(world, world.subscriptions[first]["subscriptionId"], name)
        for row in _rows({name: keys}, name, "keys."):
            with _entry(row.name, str(row.entry.get("name", ""))):
                world.keyring.add(_key(world, name, row.entry))


def _key(world: World, vault: str, entry: Json) -> Key:
    tags = {str(name): str(value) for name, value in (entry.get("tags") or {}).items()}
    operations = tuple(entry.get("operations") or entry.get("keyOps") or ALL_OPERATIONS)
    versions = []
    for number, one in enumerate(entry.get("versions") or [{}]):
        with _entry(f"versions[{number}]"):
            versions.append(_version(world, one, tags, operations))
    names = [one.version.lower() for one in versions]
    if len(set(names)) != len(names):
        raise ValueError("two of its versions have the same name")
    return Key(
        vault=vault.lower(),
        name=str(entry["name"]),
        kty=str(entry.get("kty") or "RSA"),
        bits=int(entry.get("size") or (256 if str(entry.get("kty", "")).startswith("EC") else 3072)),
        managed=bool(entry.get("managed")),
        rotation_policy=entry.get("rotationPolicy"),
        versions=sorted(versions, key=lambda one: one.created),
    )


def _version(world: World, entry: Json, tags: dict[str, str], operations: tuple[str, ...]) -> KeyVersion:
    created = _moment(entry.get("created")) or world.now()
    enabled = entry.get("enabled")
    return KeyVersion(
        version=str(entry.get("version") or world.new_version()),
        created=created,
        updated=_moment(entry.get("updated")) or created,
        enabled=True if enabled is None else bool(enabled),
        not_before=_moment(entry.get("notBefore")),
        expires=_moment(entry.get("expires")),
        operations=tuple(entry.get("operations") or operations),
        tags={**tags, **(entry.get("tags") or {})},
        kty=str(entry.get("kty") or ""),
        bits=int(entry.get("size") or 0),
    )


def _moment(value: Any) -> datetime | None:
    """Read an ISO 8601 time (UTC unless it says otherwise) or seconds since the epoch; raises ValueError for others."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    else:
        found = datetime.fromisoformat(str(value))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _assign(world: World, entry: Json) -> None:
    scope = str(entry["scope"]).rstrip("/")
    role = str(entry["roleDefinitionId"])
    if "/" not in role:
        home = f"/subscriptions/{subscription_of(scope)}" if subscription_of(scope) else ""
        role = f"{home}/providers/{roles.DEFINITIONS}/{role}"
    # A day old, where nothing is said: grants of an estate have long reached everybody.
    created = (world.now() - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    sent = {"createdOn": created, "updatedOn": created, **entry, "roleDefinitionId": role}
    sent = {name: value for name, value in sent.items() if name not in {"scope", "name"}}
    name = str(entry.get("name") or world.new_id())
    world.resources.put(roles.assignment(world, scope, name, sent, by=world.app_principal_id))


class _Row:
    """One entry of a list, with the name that an error gives it."""

    def __init__(self, name: str, entry: Json) -> None:
        self.name = name
        self.entry = entry


_NEEDED: Final = {
    "subscriptions": ("subscriptionId",),
    "managementGroups": ("name",),
    "resources": ("id",),
    "roleAssignments": ("scope", "principalId", "roleDefinitionId"),
}


def _rows(estate: Json, what: str, prefix: str = "") -> Iterator[_Row]:
    rows = estate.get(what) or []
    if not isinstance(rows, list):
        raise EstateError(f"{prefix}{what}: must be a list")
    for number, entry in enumerate(rows):
        name = f"{prefix}{what}[{number}]"
        if not isinstance(entry, dict):
            raise EstateError(f"{name}: must be a mapping")
        for needed in _NEEDED.get(what, ("name",) if prefix else ()):
            if not entry.get(needed):
                raise EstateError(f"{name}: has no {needed}")
        yield _Row(name, entry)


@contextmanager
def _entry(name: str, detail: str = "") -> Iterator[None]:
    """Turn what goes wrong inside into an EstateError that begins with the entry's name."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        shown = f"{name} ({detail})" if detail else name
        raise EstateError(f"{shown}: {error}") from error
