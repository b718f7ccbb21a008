"""Other hands: people, pipelines and policies that change the estate while the app is at work."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

from sandbox import arm, search
from sandbox.arm import roles
from sandbox.arm.store import drop, save
from sandbox.identity import issue
from sandbox.keyring import Key
from sandbox.vault import keys as vault_keys
from sandbox.vault.access import find_vault
from sandbox.wire import Call, Json, Refused
from sandbox.world import World
from shared.settings import WRITES
from tests.soak.estates import grant_of, is_untouchable
from tests.soak.paper import Paper
from tests.soak.pointing import STORAGE, is_broken, pointers, users
from tests.soak.repointing import SEARCHED, is_sql, pointed, repaired
from tests.soak.trouble import ARM
from tests.soak.watch import SWITCH, Watch
from tests.support.azure import MID, OLD, vault

HOST = "kv-main.vault.azure.net"
ACCOUNTS = "Microsoft.Storage/storageAccounts"
SCOPES = f"{ACCOUNTS}/encryptionScopes"
API, ROLES = "api-version=2025-06-01", "api-version=2022-04-01"


class People:
    """Everybody but the app. What they broke they mend when the trouble is over, except for what is gone."""

    def __init__(
        self,
        dice: random.Random,
        world: World,
        watch: Watch,
        environ: MutableMapping[str, str],
        late: list[Json],
        tell: Callable[[str], None],
    ) -> None:
        self._dice = dice
        self._world = world
        self._watch = watch
        self.environ = environ
        self._owed = list(late)  # grants that somebody forgot or took away
        self._tell = tell
        self._gone: list[Json] = []
        self.only_told = False  # whether they do nothing but what some event tells of
        self.counts: Counter[str] = Counter()
        self.paper = Paper(world.now, watch.ban)

    def act(self) -> None:
        """Let somebody do something."""
        told = (self._new_version, self._new_version, self._tag, self._switch)
        kinds = (
            told
            if self.only_told
            else (
                self._new_version,
                self._new_version,
                self._dated_version,
                self._toggle,
                self._pin,
                self._pin,
                self._follow,
                self._tag,
                self._delete,
                self._recreate,
                self._grant,
                self._revoke,
                self._switch,
                self._policy,
                self._policy,
            )
        )
        self._dice.choice(kinds)()

    def mend(self) -> None:
        """Switch writing on, put the policy right, and give back what was taken."""
        self.write("on")
        self.paper.say("on")
        while self._owed:
            self._grant()

    def repair(self) -> None:
        """Repair what operations broke, or some of it."""
        for operation in list(self._world.memory.get("operations", {}).get("running", {}).values()):
            if operation.fate.get("do") == "stall" and self._dice.random() < 0.5:
                operation.fate = {}
        for body in list(users(self._world)):
            if is_broken(body) and self._dice.random() < 0.5 and not self.only_told:  # which no event tells of
                save(self._world, repaired(body))
                self._tell(f"somebody repairs {body['name']}")

    def key(self) -> Key:
        """Return the key that everybody uses."""
        found = find_vault(self._world, HOST)
        assert found is not None
        return vault_keys.living(self._world, found, "cmk")

    def _new_version(self) -> None:
        found = find_vault(self._world, HOST)
        if found is not None and self.key().latest.enabled:
            made = vault_keys.rotate(self._world, found, self.key())
            self._tell(f"version {made.version[:6]} is made")

    def _dated_version(self) -> None:
        """Make a version that is valid later, or not for long."""
        found, now = find_vault(self._world, HOST), int(self._world.clock.time())
        assert found is not None
        dates = self._dice.choice(({"nbf": now + 90}, {"nbf": now + 2000}, {"exp": now + 60}, {"exp": now + 4000}))
        sent = {"kty": "RSA", "key_size": 2048, "attributes": dates}
        made = vault_keys.create(self._world, found, "cmk", sent).latest
        self._tell(f"version {made.version[:6]} is made with {dates}")

    def _toggle(self) -> None:
        """Disable or enable a version; the oldest two stay, so that there is always one to use."""
        if len(self.key().versions) < 3:
            return
        one = self._dice.choice(self.key().versions[2:])
        one.enabled = not one.enabled
        one.updated = self._world.now()
        self._tell(f"version {one.version[:6]} is {'enabled' if one.enabled else 'disabled'}")

    def _pin(self) -> None:
        version = self._dice.choice([one for one in self.key().versions if one.enabled]).version
        self._point(version)

    def _follow(self) -> None:
        self._point("")

    def _point(self, version: str) -> None:
        body = self._some()
        if body is None:
            return
        path = str(body["id"])
        asked = pointed(body, self._dice.choice((OLD, MID)) if is_sql(body) and not version else version)
        statuses = [self._ask(*one) for one in asked]
        if str(body["type"]).startswith(SEARCHED) and asked:
            self._watch.resources.changed[path.lower()] = self._world.now()
        if asked:
            what = path.rpartition("/providers/")[2]
            self._tell(f"somebody points {what} at {version[:6] or 'no version'}: {statuses}")

    def _tag(self) -> None:
        body = self._some(ACCOUNTS)
        if body is not None:
            self._ask("PATCH", body["id"], {"tags": {"owner": str(self._dice.randrange(100))}})
            self._tell(f"somebody tags {body['name']}")

    def _delete(self) -> None:
        body = self._some(ACCOUNTS)
        if body is None or len(self._mine()) < 3 or self._dice.random() < 0.5:
            return
        family = [body, *self._world.resources.under(str(body["id"]))]
        self._gone += [copy.deepcopy(one) for one in family if pointers(one) or one is body]
        if self._dice.random() < 0.5:
            drop(self._world, str(body["id"]))  # no event tells of it
        else:
            self._ask("DELETE", body["id"])
        self._tell(f"somebody deletes {body['name']}")

    def _recreate(self) -> None:
        """Bring back what was deleted, as it was then."""
        if self._gone:
            for body in self._gone:
                save(self._world, body)
            self._tell(f"somebody brings {self._gone[0]['name']} back")
            self._gone.clear()

    def _grant(self) -> None:
        if not self._owed:
            return
        one = self._owed.pop()
        name = self._world.new_id()
        properties = {
            "principalId": one["principalId"],
            "roleDefinitionId": f"/providers/{roles.DEFINITIONS}/{one['roleDefinitionId']}",
        }
        path = f"{one['scope']}/providers/{roles.ASSIGNMENTS}/{name}"
        status = self._ask("PUT", path, {"properties": properties})
        self._tell(f"{one['principalId'][-6:]} is granted: {status}")

    def _revoke(self) -> None:
        body = self._some(ACCOUNTS)
        principal = str((body or {}).get("identity", {}).get("principalId", ""))
        if body is None or not principal:
            return
        for one in list(self._world.resources.of_type(roles.ASSIGNMENTS)):
            if one["properties"]["principalId"] == principal:
                self._world.resources.remove(str(one["id"]))
                self._owed.append(grant_of(str(vault()["id"]), principal))
                self._tell(f"{body['name']} loses its grant")

    def _switch(self) -> None:
        to = self._dice.choice(("off", "on", "perhaps"))
        self.counts[f"setting: {to}"] += 1
        self.write(to)
        self._tell(f"writing is switched {to}")

    def write(self, to: str) -> None:
        """Set the switch."""
        if to != self.environ[WRITES]:
            self._watch.ban(SWITCH, None if to == "on" else self._world.now())
        self.environ[WRITES] = to

    def _policy(self) -> None:
        what = self.paper.change(self._dice, [str(one["name"]) for one in self._mine()])
        self.counts[f"policy: {what.partition(':')[0]}"] += 1
        self._tell(f"the policy is changed: {what}")

    def reserve_one(self) -> None:
        """Let the policy say of some resource, from the beginning, that it is done by hand."""
        body = self._some()
        if body is not None:
            self.paper.reserve(str(body["name"]), self._dice.choice(("report", "ignore")))
            self._tell(f"{self.paper.name} is left to people ({self.paper.mode})")

    def _mine(self) -> list[Json]:
        """Return what uses the key, or might, and is anybody's to change."""
        found = [*self._world.resources.of_type(ACCOUNTS), *self._world.resources.of_type(SCOPES)]
        found += [one for one in users(self._world) if str(one["type"]).lower() not in STORAGE]
        return [one for one in found if not is_untouchable(str(one["id"]))]

    def _some(self, type_: str = "") -> dict[str, Any] | None:
        found = [one for one in self._mine() if not type_ or str(one["type"]).lower() == type_.lower()]
        return copy.deepcopy(self._dice.choice(found)) if found else None

    def _ask(self, method: str, path: str, body: Json | None = None, host: str = ARM) -> int:
        """Ask Azure as somebody else: events are told, no fault strikes, the call log stays ours."""
        audience = "https://management.azure.com/" if host == ARM else "https://search.azure.com"
        token, _ = issue(self._world, "another-hand", audience, self._world.tenant_id)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = f"https://{host}{path}?{ROLES if roles.ASSIGNMENTS in path else API}"
        raw = b"" if body is None else json.dumps(body).encode()
        call = Call(method, url, headers, raw)
        try:
            answer = arm.answer(self._world, call) if host == ARM else search.answer(self._world, call)
        except Refused as refusal:
            return refusal.status
        return answer.status
