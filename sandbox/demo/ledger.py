"""The proof: what Azure itself holds, user by user, beside what the app said of each. Neither is taken on trust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.arm.following import current, in_effect, pointer_of
from sandbox.demo.estate import KEY, KEY_VAULT
from sandbox.eventgrid.topics import received
from sandbox.wire import Json
from sandbox.world import World

TOPIC = "cmk-outcomes.westeurope-1.eventgrid.azure.net"
_TYPES = ("Microsoft.Storage/storageAccounts", "Microsoft.Storage/storageAccounts/encryptionScopes")


@dataclass
class User:
    """A resource that uses the key, and what is known of it."""

    id: str
    kind: str  # pinned account | pinned scope | following account | following scope
    subscription: str
    first: str  # the version in effect at the start
    version: str = ""  # the version in effect now, by Azure
    said: str = ""  # the app's last word: converged | waiting | stopped, or ""
    said_version: str = ""
    reason: str = ""
    writes: int = 0


@dataclass
class Ledger:
    """All users of the rotated key."""

    world: World
    users: dict[str, User] = field(default_factory=dict)
    bystanders: dict[str, str] = field(default_factory=dict)  # id -> its body at the start, as text
    reports: int = 0

    @classmethod
    def open(cls, world: World) -> Ledger:
        """Write down who uses the key, before anything happens."""
        ledger = cls(world)
        for body in _bodies(world):
            id_ = str(body["id"]).lower()
            pointer = pointer_of(body)
            if pointer is None or (pointer.host.split(".")[0], pointer.name.lower()) != (KEY_VAULT, KEY):
                ledger.bystanders[id_] = repr(body)
                continue
            what = "scope" if "/encryptionscopes/" in id_ else "account"
            kind = f"{'pinned' if pointer.version else 'following'} {what}"
            ledger.users[id_] = User(id_, kind, id_.split("/")[2], in_effect(body), in_effect(body))
        return ledger

    @property
    def newest(self) -> str:
        """Return what the vault calls latest."""
        key = self.world.keyring.get(KEY_VAULT, KEY)
        return key.latest.version if key is not None else ""

    def look(self) -> None:
        """Bring the ledger up to date: Azure's own state, and the reports that came in."""
        for body in _bodies(self.world):
            user = self.users.get(str(body["id"]).lower())
            if user is not None:
                user.version = in_effect(current(self.world, body))
        reports = received(self.world, TOPIC)
        for report in reports[self.reports :]:
            self._note(report)
        self.reports = len(reports)

    def _note(self, report: Json) -> None:
        user = self.users.get(str(report.get("subject", "")).lower())
        if user is None:
            return
        outcome = report["data"]["outcome"]
        user.said = str(outcome["type"])
        user.writes += len(report["data"]["wrote"])
        in_use = outcome.get("uses") or [{}]
        user.said_version = str(in_use[0].get("effective") or "")
        blocked = outcome.get("blocked") or ([outcome["wait"]] if "wait" in outcome else [])
        user.reason = ", ".join(str(one["reason"]) for one in blocked)

    def standing(self, user: User) -> str:
        """Return verified | behind | blocked | waiting | unheard.

        Verified: Azure has the newest version in effect, and the app says so of the same version. Behind: the app calls
        it converged and one of these is not so: normal while a newer version is on its way, a failure at the end.
        Unheard: nothing was said of it, which at the end means lost.
        """
        if user.said == "converged":
            return "verified" if user.version == user.said_version == self.newest else "behind"
        return {"stopped": "blocked", "waiting": "waiting"}.get(user.said, "unheard")

    def standings(self) -> Counter[str]:
        """Return how many users stand where."""
        return Counter(self.standing(user) for user in self.users.values())

    def touched(self) -> list[str]:
        """Return the resources that do not use the key and are not as they were."""
        found = {str(body["id"]).lower(): body for body in _bodies(self.world)}
        return [id_ for id_, before in self.bystanders.items() if repr(found.get(id_)) != before]

    def moved(self) -> int:
        """Return how many users have been written and have the newest version in effect."""
        return sum(1 for user in self.users.values() if user.writes and user.version == self.newest)


def _bodies(world: World) -> Iterator[Json]:
    for type_ in _TYPES:
        yield from list(world.resources.of_type(type_))
