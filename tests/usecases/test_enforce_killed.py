"""A first key for every service while the app's process dies at each step on the way, its vault and all."""

from __future__ import annotations

import copy
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.keyed.databases import DATABRICKS
from sandbox.identity import principal_of as object_id
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.report import Converged
from shared.domain.work import CheckResource
from tests.support.azure import Azure, on_azure, vault
from tests.support.enforced import item
from tests.support.enforcing import KEY, OTHER_UAI, UAI, assigned, bare_vault, nothing_yet, policy, user_assigned
from tests.support.recorded import unrecorded
from tests.usecases.test_enforce_services import EVERYTHING, PLAIN

BY_POLICIES_ONLY = {"openai"}
ALONE = {"logs", "kubernetes"}  # those that act by the one identity that they have
NAMED = ALONE | {"mysql"}  # those that reach no key by an identity of their own
SMALL = {"forms", "openai", "kusto", "factory"}  # those that take RSA 2048 alone
VAULTS = "Microsoft.KeyVault"


class DiedError(Exception):
    """The process ends here."""


class Deaths:
    """Kills the process at each change, once, and keeps account of those that Azure made."""

    def __init__(self, *, after: bool) -> None:
        self.hooks = Hooks(self._nothing if after else self._before, self._after if after else self._made)
        self.made: list[str] = []
        self._died_at: set[str] = set()

    def _nothing(self, _call: Call) -> None:
        return None

    def _before(self, call: Call) -> Answer | None:
        if _changes(call):
            self._die(call)
        return None

    def _made(self, call: Call, answer: Answer) -> Answer:
        if _changes(call):
            self.made.append(_name(call))
        return answer

    def _after(self, call: Call, answer: Answer) -> Answer:
        self._made(call, answer)
        if _changes(call):
            self._die(call)
        return answer

    def _die(self, call: Call) -> None:
        if _name(call) not in self._died_at:
            self._died_at.add(_name(call))
            raise DiedError


def _changes(call: Call) -> bool:
    asks = any(one in call.path.lower() for one in ("resourcegraph", "checknameavailability"))
    return "management" in call.host and call.method in {"PUT", "PATCH", "POST", "DELETE"} and not asks


def _name(call: Call) -> str:
    return f"{call.method} {re.sub('roleAssignments/.*', 'roleAssignments', call.path)} {call.body!r}"


@pytest.mark.parametrize(
    ("name", "after"), [*((name, True) for name in PLAIN), *((name, False) for name in ("storage", "sql", "logs"))]
)
def test_killed_at_every_step_it_is_finished_nothing_is_done_twice_identities_are_kept_and_each_write_is_told(
    tmp_path: Path, name: str, *, after: bool
) -> None:
    one = copy.deepcopy(PLAIN[name])
    one["identity"] = assigned(UAI) if name in ALONE else assigned(OTHER_UAI)
    made = name not in BY_POLICIES_ONLY
    homes = [vault("kv-other")] if made else [bare_vault(enableRbacAuthorization=False)]
    lines = [EVERYTHING, f"createKey: {{size: {2048 if name in SMALL else 3072}}}"]
    lines += ["createVault: {resourceGroup: rg-data, sku: premium}"] * made + [f"identity: {UAI}"] * (name in NAMED)
    described = nothing_yet(one, *homes, user_assigned(), user_assigned(OTHER_UAI))
    described["subscriptions"][0]["unregistered"] = [VAULTS] * made

    async def story(azure: Azure) -> None:
        azure.environ["CMK_FIRST_PARTY"] = f"{DATABRICKS}={object_id(azure.world, DATABRICKS)}"
        azure.app = azure.instance()
        deaths = Deaths(after=after)
        azure.world.hooks = deaths.hooks
        await azure.put(item(azure, one))
        died = await _worked(azure)
        last = [report for report in azure.reports if isinstance(report.item, CheckResource)][-1]
        assert isinstance(last.outcome, Converged), last.outcome
        assert died == len(set(deaths.made)) >= 4
        twice = [each for each, times in Counter(deaths.made).items() if times > 1]
        # A server's own entry of the key is put along with its protector, which alone tells: the same once more.
        assert [each for each in twice if not re.match(r"PUT \S+/Microsoft.Sql/\w+/\w+/keys/", each)] == []
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 1
        kept: dict[str, Any] = (azure.body(one).get("identity") or {}).get("userAssignedIdentities") or {}
        assert set(one["identity"]["userAssignedIdentities"]) <= set(kept)
        assert await unrecorded(azure) == []

    environ = policy(tmp_path, *lines, key=KEY) | {"CMK_EVIDENCE": str(tmp_path / "evidence")}
    on_azure(described, story, environ=environ)


async def _worked(azure: Azure) -> int:
    """Work until the queue is empty; after each death a new process takes the message up again. Return the deaths."""
    died = 0
    while True:
        try:
            await azure.drain(until=timedelta(hours=30))
        except DiedError:
            died += 1
            azure.app = azure.instance()
        else:
            return died
