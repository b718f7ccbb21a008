"""The proof of the second act: each service as Azure holds it, field by field, beside what the app said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.arm import searchservices
from sandbox.arm.following import current
from sandbox.arm.keyed import uses
from sandbox.demo.estate import OLD
from sandbox.demo.ledger import TOPIC
from sandbox.demo.services import CONFIGURED, KEY, ROWS, UNKNOWN, VAULTS, VERIFIED, Row
from sandbox.eventgrid.topics import received
from sandbox.wire import Json
from sandbox.world import World

_SURE = {"reported": VERIFIED, "configured": CONFIGURED, "unknown": UNKNOWN}
# What a service writes itself when its key moves; everything else may only change from the old version to the new one.
_READ_ONLY = frozenset({"etag", "@odata.etag", "lastkeyrotationtimestamp", "thumbprint", "customermanagedkeystatus"})
_TO_DO = "tags.cmk-autopilot-rewrite-secrets"  # names the version for which people have Secrets to rewrite
_NEW_ONES = ("microsoft.sql/servers/keys", "microsoft.sql/managedinstances/keys")  # a server is given the key first


@dataclass
class Fate:
    """One resource of the second act: where it pointed, where it points, what the app said last, and what is wrong."""

    id: str
    type: str
    name: str
    how: str  # pinned | following
    expected: str
    before: str  # the version in effect at the start, by Azure
    now: str  # and now
    said: str = ""  # verified | configured | unknown, the reason of a stop, "waiting: reason", or "" for nothing
    writes: int = 0
    wrong: str = ""

    @property
    def way(self) -> str:
        """Return moved | watched | reported."""
        return "moved" if self.writes else "watched" if self.said in _SURE.values() else "reported"


@dataclass
class Tally:
    """All resources of the second act, and everything else that its world holds."""

    world: World
    fates: dict[str, Fate]
    _first: dict[str, Json] = field(default_factory=dict)  # bodies at the start by id
    _reports: int = 0

    @classmethod
    def open(cls, world: World) -> Tally:
        """Write everything down before anything happens."""
        fates = {row.id.lower(): _fate(world, row) for row in ROWS}
        return cls(world, fates, {str(body["id"]).lower(): deepcopy(body) for body in _bodies(world)})

    @property
    def reports(self) -> int:
        """Return how many reports have come in."""
        return self._reports

    def look(self) -> None:
        """Bring the tally up to date: Azure's own state, and the reports that came in."""
        for id_, fate in self.fates.items():
            fate.now = _in_effect(self.world, id_)
        reports = received(self.world, TOPIC)
        for report in reports[self._reports :]:
            fate_of = self.fates.get(str(report.get("subject", "")).lower())
            if fate_of is not None:
                outcome = report["data"]["outcome"]
                fate_of.said = _said(outcome)
                fate_of.writes += len({write["at"] for write in report["data"]["wrote"]})
        self._reports = len(reports)

    def heard(self) -> bool:
        """Return whether something was said of every resource."""
        return all(fate.said for fate in self.fates.values())

    def judge(self) -> list[str]:
        """Say of every resource what is wrong with it; return what else is not as it was. For the end."""
        newest = {name: self._newest(name) for name in VAULTS}
        after = {str(body["id"]).lower(): body for body in _bodies(self.world)}
        others: list[str] = []
        for row in ROWS:
            fate, id_ = self.fates[row.id.lower()], row.id.lower()
            changed = _changes(self._first.pop(id_), after.pop(id_, {}), newest[row.vault])
            fate.wrong = _verdict(fate, newest[row.vault], changed)
        others += [id_ for id_, body in self._first.items() if after.pop(id_, None) != body]
        return others + [id_ for id_, body in after.items() if str(body.get("type", "")).lower() not in _NEW_ONES]

    def _newest(self, vault: str) -> str:
        key = self.world.keyring.get(vault, KEY)
        return key.latest.version if key is not None else ""

    def result(self, requests: Json, others: int) -> Json:
        """Return what came of the act; `others`: what went wrong besides. The parts add up to the resources."""
        fates = sorted(self.fates.values(), key=lambda one: (one.type, one.name))
        right = [one for one in fates if not one.wrong]
        ends = Counter(one.said for one in right)
        reasons = {reason: ends[reason] for reason in sorted(ends) if reason not in _SURE.values()}
        return {
            "resources": len(fates),
            "moved": sum(1 for one in right if one.way == "moved"),
            **{sure: ends[sure] for sure in (VERIFIED, CONFIGURED, UNKNOWN)},
            "reported": reasons,
            "wrong": len(fates) - len(right) + others,
            "requests": requests,
            "list": [{**asdict(one), "way": one.way} for one in fates],
        }


def _fate(world: World, row: Row) -> Fate:
    version = _in_effect(world, row.id)
    return Fate(row.id, row.type, row.name, row.how, row.ends, version, version)


def _in_effect(world: World, id_: str) -> str:
    """Return the version in effect by the sandbox's own state; several, with commas, if uses differ."""
    body = world.resources.get(id_)
    if body is not None:
        current(world, body)
    elif (service := world.resources.get(id_.rsplit("/", 2)[0])) is not None:
        collection, name = id_.lower().split("/")[-2:]
        found = searchservices.as_resource(
            service, collection, searchservices.objects(world, service["name"], collection)[name]
        )
        uses.followed(world, searchservices.OBJECTS, found)
    versions = {one.rpartition("/")[2] for one in uses.in_effect(world, id_).values()}
    return ", ".join(sorted(versions))


def _bodies(world: World) -> Iterator[Json]:
    yield from world.resources.under("")
    for service in tuple(world.resources.of_type(searchservices.TYPE)):
        for collection in searchservices.COLLECTIONS:
            for one in searchservices.objects(world, str(service["name"]), collection).values():
                yield searchservices.as_resource(service, collection, one)


def _said(outcome: Json) -> str:
    kind = str(outcome["type"])
    if kind == "converged":
        return _SURE.get(str(outcome["certainty"]), str(outcome["certainty"]))
    if kind == "waiting":
        return f"waiting: {outcome['wait']['reason']}"
    return ", ".join(str(one["reason"]) for one in outcome.get("blocked") or ()) or kind


def _verdict(fate: Fate, newest: str, changed: list[str]) -> str:
    if not fate.said:
        return "nothing was said of it"
    if fate.said != fate.expected:
        return f"it should end {fate.expected}"
    if changed:
        return f"changed: {', '.join(changed)}"
    sure = fate.said in _SURE.values()
    if fate.now != (newest if sure else fate.before):
        return f"version {fate.now or 'none'} is in effect"
    if bool(fate.writes) != (sure and fate.how == "pinned"):
        return f"written {fate.writes} times"
    return ""


def _changes(before: Any, after: Any, newest: str, path: str = "") -> list[str]:
    """Return the paths of what changed and is neither read-only nor the old version turned into the new one."""
    if path.rpartition(".")[2].lower() in _READ_ONLY:
        return []
    if path == _TO_DO and before is None and after == newest:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        pairs = [(f"{path}.{name}".lstrip("."), before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(f"{path}[{number}]", *both) for number, both in enumerate(zip(before, after, strict=True))]
    else:
        moved = before.replace(OLD, newest) if isinstance(before, str) else before
        return [] if after in (before, moved) else [path]
    return [one for where, old, new in pairs for one in _changes(old, new, newest, where)]
