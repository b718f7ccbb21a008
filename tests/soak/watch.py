"""The safety rules as they can be seen from outside: at each request, at each write, after each message."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sandbox.identity import bearer
from sandbox.keyring import Key, KeyVersion
from sandbox.queues import messages
from sandbox.wire import Answer, Call, Json
from sandbox.world import Resources, World
from shared.domain.reasons import Reason
from shared.domain.work import POISON_QUEUE, WORK_QUEUE
from tests.soak.changes import SEARCH, Change, change_of, rest_of_storage
from tests.soak.estates import is_untouchable
from tests.soak.paper import EVERYTHING
from tests.soak.pointing import STORAGE, has_failed
from tests.soak.preparing import preparation
from tests.soak.trouble import ARM, IDENTITY

KNOWN_FOR = timedelta(seconds=5.1)  # a decision rests on nothing older than 5 s when it is sent
SKEW = timedelta(seconds=3.1)  # of an instance's clock: it may think a version valid that is not, and the reverse
EXCUSED_FOR = timedelta(minutes=30)  # after the trouble: what began in it may still end badly
SWITCH = "CMK_WRITES"
ACCEPTED = (200, 201, 202)
AUDIENCES = {
    ARM: "https://management.azure.com",
    ".vault.azure.net": "https://vault.azure.net",
    ".queue.core.windows.net": "https://storage.azure.com",
    ".blob.core.windows.net": "https://storage.azure.com",
    ".eventgrid.azure.net": "https://eventgrid.azure.net",
    SEARCH: "https://search.azure.com",
}
GRAPH = "/providers/microsoft.resourcegraph/resources"
# Nothing of the kind ever happens here: whoever says so took a passing trouble for a lasting one.
NEVER_TRUE = {
    one.value
    for one in (
        Reason.NO_RIGHTS,
        Reason.VAULT_FORBIDDEN,
        Reason.VAULT_NOT_KNOWN,
        Reason.KEY_NOT_FOUND,
        Reason.KEY_UNREADABLE,
        Reason.VERSION_NOT_IN_VAULT,
        Reason.NO_USABLE_VERSION,
        Reason.KEY_TYPE_NOT_ACCEPTED,
        Reason.VAULT_NOT_PROTECTED,
        Reason.UNSUPPORTED_TYPE,
        Reason.MISCONFIGURED,
        Reason.FOREIGN_HOST,
        Reason.BUG,
    )
}
FAILURES = {Reason.PROVISIONING_FAILED.value, Reason.REFUSED.value}
_TEXT = re.compile(rb"<MessageText>([^<]*)</MessageText>")


@dataclass
class Handling:
    """One message in the hands of an instance: what it changed in Azure, what it put, and what it reported."""

    text: str
    alive: Callable[[], bool]  # whether the instance still is
    wrote: list[tuple[str, str]] = field(default_factory=list)  # (id in lower case, version)
    wrote_at: datetime | None = None  # the last of it
    put: list[bytes] = field(default_factory=list)
    reports: list[Json] = field(default_factory=list)
    sent: datetime | None = None  # its last request but those for tokens
    unseen: set[str] = field(default_factory=set)  # paths in lower case: what it changed and has not read since


handling: ContextVar[Handling | None] = ContextVar("handling", default=None)


class Noted(Resources):
    """The world's resources, with the time of each one's last change."""

    def __init__(self, world: World) -> None:
        vars(self).update(vars(world.resources))
        self._clock = world.clock
        self.changed: dict[str, datetime] = {}

    def put(self, body: Json) -> None:
        self.changed[str(body["id"]).lower()] = self._clock.now()
        super().put(body)


class Watch:
    """Looks over the app's shoulder. `wrong` says what should not have been."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.resources = world.resources = Noted(world)
        self.wrong: list[str] = []
        self.enforces = False  # whether anything may be prepared for a first key
        self.prepared = 0
        self.writes = 0
        self.races = 0  # writes on what somebody had changed a moment before
        self.last: dict[str, Json] = {}  # the last outcome by resource id in lower case
        self._ended: dict[str, Json] = {}  # the last that was not waiting
        self.over_at: datetime | None = None
        self.failures = 0
        self.poisoned = 0
        self.owed: list[tuple[Callable[[], bool], str, str]] = []  # evidence: who has to give it, id, version
        self._tokens: list[datetime] = []  # when one was asked for
        self._bans: dict[str, datetime] = {}  # from when on nothing may be written, or nothing to a resource
        self.doomed: set[str] = set()  # ids in lower case: an operation on it failed, or was said to have
        self._change: tuple[Call, Change] | None = None  # of the request that is on its way

    def ban(self, what: str, since: datetime | None) -> None:
        """Take note of what must not be written, "" for anything; None: it may be again."""
        if since is None:
            self._bans.pop(what, None)
        else:
            self._bans[what] = since

    def sent(self, url: str) -> None:
        """Check where a request goes."""
        host = (urlsplit(url).hostname or "").lower()
        if host != IDENTITY and _audience(host) is None:
            self.wrong.append(f"a request went to {host}")

    def before(self, call: Call) -> None:
        """Check a request on its way."""
        current = handling.get()
        if call.host == IDENTITY:
            self._tokens.append(self.world.now())
            return
        audience = _audience(call.host)
        if "authorization" in call.headers and audience and bearer(self.world, call, (audience,)) is None:
            self.wrong.append(f"no token for {call.host} went there")
        if call.host == ARM or call.host.endswith(SEARCH):
            self._changing(call, current)
        elif call.host.endswith(".vault.azure.net") and call.method != "GET":
            self._rotation(call, current)
        if current is not None:
            current.sent = self.world.now()

    def _changing(self, call: Call, current: Handling | None) -> None:
        """Check a request that may change something before anybody knows what will come of it."""
        path = call.path.lower()
        if call.method == "GET" or path == GRAPH:
            if current is not None:
                current.unseen.discard(path)
            return
        if current is not None:
            if path in current.unseen:
                self.wrong.append(f"{call.method} {call.path} was sent again unseen")
            current.unseen.add(path)
        change = change_of(self.world, call)
        slack = self._slack(current)
        if (
            self.enforces
            and (said := preparation(self.world, call, lambda id_: self._is_fresh(id_, slack))) is not None
        ):
            self._check_bans(call.path, slack)
            self.wrong += [f"{call.method} {call.path}: {said}"] if said else []
            self.prepared += 1
        elif change is None:
            self.wrong.append(f"{call.method} {call.path} was sent")
        elif change.before is not None or change.moves:
            self._change = (call, change)
            self._attempt(change, slack)

    def _rotation(self, call: Call, current: Handling | None) -> None:
        if current is None or '"type":"rotate"' not in current.text:
            self.wrong.append(f"{call.method} {call.url} was sent, and nobody had asked for a new version")
        self._check_bans(call.path, self._slack(current))

    def _slack(self, current: Handling | None) -> timedelta:
        """Return how old what is known may be: a token may have to be had between the decision and the write, by this
        handling or by another one that it waits for.
        """
        sent = current.sent if current is not None else None
        since = next((at for at in self._tokens if sent is not None and at >= sent), None)
        return KNOWN_FOR + (self.world.now() - since if since else timedelta(0))

    def _check_bans(self, path: str, slack: timedelta) -> None:
        """Check that writing was on, which is asked last of all, and that the rule allows it."""
        now = self.world.now()
        off = [since for what, since in self._bans.items() if what in {SWITCH, EVERYTHING}]
        if off and now - min(off) > slack - KNOWN_FOR:
            self.wrong.append(f"{path} was written while writing was off")
        by_hand = self._bans.get(path.rpartition("/")[2])
        if by_hand is not None and now - by_hand > slack:
            self.wrong.append(f"{path} was written, and its rule says otherwise")

    def _is_fresh(self, id_: str, slack: timedelta) -> bool:
        """Return whether somebody changed a resource so lately that the app need not know of it."""
        return self.world.now() - self.resources.changed.get(id_.lower(), datetime.min.replace(tzinfo=UTC)) <= slack

    def _attempt(self, change: Change, slack: timedelta) -> None:
        now, path = self.world.now(), change.id
        self._check_bans(path, slack)
        if is_untouchable(path):
            self.wrong.append(f"{path} was written")
            return
        fresh = self._is_fresh(path, slack)
        self.races += fresh
        if change.more and not fresh:
            self.wrong.append(f"{path}: {change.more}")
        if any(was is None for was, _ in change.moves) and change.before is not None and not self.enforces:
            self.wrong.append(f"{path} was brought under a key, and no rule says so")
        if not change.moves and not fresh:
            self.wrong.append(f"{path} was written to where it was")
        key = self.world.keyring.get("kv-main", "cmk")
        for there, version in change.moves:
            if there is None and not version:
                continue  # a first key, which is followed
            if key is None or (known := key.find(version)) is None:
                self.wrong.append(f"{path} was written to {version or 'no version'}, which is not there")
                continue
            self._check_choice(path, key, known, now - slack, now)
            if not fresh and there is not None:
                self._check_direction(path, key, there, version)

    def _check_choice(self, path: str, key: Key, chosen: KeyVersion, known_at: datetime, now: datetime) -> None:
        """Check that the version was the newest usable one at some moment that the decision may rest on."""
        if _never_usable(chosen, known_at, now):
            self.wrong.append(f"{path} was written to {chosen.version[:6]}, which cannot be used")
        newer = [one for one in key.versions if is_newer(key, one, chosen)]
        if missed := [one for one in newer if _always_usable(one, known_at, now)]:
            self.wrong.append(f"{path} was written to {chosen.version[:6]} though {missed[-1].version[:6]} was there")

    def _check_direction(self, path: str, key: Key, there: str, version: str) -> None:
        was, chosen = key.find(there), key.find(version)
        if not there:
            self.wrong.append(f"{path} followed and was pinned to {version[:6]}")
        elif there == version:
            self.wrong.append(f"{path} was written to {version[:6]}, where it was")
        elif was is not None and chosen is not None and is_newer(key, was, chosen):
            self.wrong.append(f"{path} went back from {there[:6]} to {version[:6]}")

    def after(self, call: Call, answer: Answer) -> None:
        """Check what a request did."""
        current = handling.get()
        if current is not None and call.method == "POST" and call.path == f"/{WORK_QUEUE}/messages":
            current.put.append(call.body)
        if call.method == "POST" and call.path == f"/{POISON_QUEUE}/messages" and answer.status < 300:
            self.poisoned += 1
        change = self._change[1] if self._change is not None and self._change[0] is call else None
        if change is None or answer.status not in ACCEPTED:
            return
        self.writes += change.before is not None or answer.status == 201  # a server may be given a key again
        self.resources.changed[change.id.lower()] = self.world.now()
        if current is not None and change.before is not None:
            current.wrote_at = self.world.now()
            current.wrote += [(change.id.lower(), version) for _, version in change.moves]
        now_there = self.world.resources.get(call.path)
        if change.before is None or str(change.before["type"]).lower() not in STORAGE:
            return
        if any(was is None for was, _ in change.moves):
            return  # a first key: what else may be there is judged before it is sent
        sent = set(json.loads(call.body))
        if sent != {"properties"} or now_there is None or rest_of_storage(now_there) != rest_of_storage(change.before):
            self.wrong.append(f"more than the key was changed of {call.path}: {call.body!r}")

    def reported(self, report: Json) -> None:
        """Check a report the moment it is made: what has to wait must be on the queue."""
        outcome, address = report["outcome"], report.get("address")
        if outcome["type"] in {"waiting", "paced"}:
            self._check_successor(report["item"], outcome)
        if false := {one["reason"] for one in outcome.get("blocked", ())} & NEVER_TRUE:
            self.wrong.append(
                f"{_name(report['item'])} was said to be stopped by {', '.join(sorted(false))}: {outcome}"
            )
        self._check_failure(address, outcome)
        if outcome["type"] == "converged" and address:
            self._check_read_back(
                str(address["url"]).lower(), {one["configured"]["version"] for one in outcome["uses"]}
            )
        if address and report["item"]["type"] == "resource":
            self._note_outcome(str(address["url"]).lower(), outcome)

    def _note_outcome(self, id_: str, outcome: Json) -> None:
        """Keep the last outcome. Who is answered after waiting is answered by what was said before, while it waited."""
        if outcome["type"] == "answered":
            self.last[id_] = self._ended.get(id_, self.last.get(id_, outcome))
        elif outcome["type"] != "paced":
            self.last[id_] = outcome
            if outcome["type"] != "waiting":
                self._ended[id_] = outcome

    def _check_failure(self, address: Json | None, outcome: Json) -> None:
        """Check that only what an operation failed of is said to have been refused or to be in a failed state."""
        said = {one["reason"] for one in outcome.get("blocked", ())} & FAILURES
        id_ = "" if address is None else str(address["url"]).lower()
        if said and id_ not in self.doomed and not has_failed(self.world, id_):
            self.wrong.append(f"{address} was said to be stopped by {', '.join(said)}: {outcome}")

    def _check_read_back(self, id_: str, shown: set[str | None]) -> None:
        """Check that who wrote and says that all is well has looked at the key again after the write; unless somebody
        else was faster, and the resource is not where it was left.
        """
        current, key = handling.get(), self.world.keyring.get("kv-main", "cmk")
        if (
            current is None
            or key is None
            or current.wrote_at is None
            or not current.wrote
            or current.wrote[-1][0] != id_
            or current.wrote[-1][1] not in shown
        ):
            return
        written = key.find(current.wrote[-1][1])
        later = [one for one in key.versions if written is not None and is_newer(key, one, written)]
        if any(_always_usable(one, current.wrote_at, self.world.now()) for one in later):
            self.wrong.append(f"{id_} was said to be well, and the key had moved on before it was written")

    def _check_successor(self, item: Json, outcome: Json) -> None:
        current = handling.get()
        name = _name(item)
        if current is not None and any(_name(_decoded(_TEXT.findall(raw)[0])) == name for raw in current.put):
            return
        found = sum(1 for one in messages(self.world, "cmkautopilot", WORK_QUEUE) if _name(_decoded(one.text)) == name)
        mine = current is not None and _name(json.loads(current.text)["item"]) == name
        if found < 1 + mine:  # this message itself, and the one that comes after it
            self.wrong.append(f"{name} was reported as {outcome['type']} and is not on the queue")

    def handled(self, current: Handling) -> None:
        """Check a message that was worked off: every write is in a report."""
        first = {str(report["address"]["url"]).lower() for report in current.reports if report["wrote"]}
        told = {
            (str(report["address"]["url"]).lower(), write["after"]["version"])
            for report in current.reports
            for write in report["wrote"]
        }
        self.wrong += [
            f"a write to {one[0]} was not reported"
            for one in current.wrote
            if one not in told and not (not one[1] and one[0] in first)
        ]
        self.owed += [(current.alive, *one) for one in current.wrote if one[1]]

    def failed(self, kind: str, text: str) -> None:
        """Judge an exception: an item may fail when the queue did not take its successor, and for nothing else."""
        self.failures += 1
        over = self.over_at is not None and self.world.now() > self.over_at + EXCUSED_FOR
        if over or kind not in {"NotTaken", "TryLater", "Refusal"}:
            self.wrong.append(f"an item failed: {kind}: {text}")


def _audience(host: str) -> str | None:
    return next((one for name, one in AUDIENCES.items() if host == name or host.endswith(name)), None)


def is_newer(key: Key, one: KeyVersion, other: KeyVersion) -> bool:
    """Return whether a version is newer as far as a vault tells: to the second, and which one is the latest."""
    if int(one.created.timestamp()) == int(other.created.timestamp()):
        return one is key.latest and one is not other
    return one.created > other.created


def _never_usable(one: KeyVersion, known_at: datetime, now: datetime) -> bool:
    disabled = not one.enabled and one.updated < known_at
    expired = one.expires is not None and one.expires < known_at - SKEW
    early = one.not_before is not None and one.not_before > now + SKEW
    return disabled or expired or early


def _always_usable(one: KeyVersion, known_at: datetime, now: datetime) -> bool:
    enabled = one.enabled and max(one.created, one.updated) < known_at
    living = one.expires is None or one.expires > now + SKEW
    begun = one.not_before is None or one.not_before < known_at - SKEW
    return enabled and living and begun


def _decoded(text: str | bytes) -> Json:
    found: Json = json.loads(base64.b64decode(text))["item"]
    return found


def _name(item: Json) -> str:
    """Return what an item is about."""
    about = item.get("address") or item.get("parent") or item.get("key") or item.get("host") or ""
    where = about.get("url") or about.get("name") if isinstance(about, dict) else about
    return f"{item['type']} {str(where).lower()}"
