"""POST revert and use-key: what the work would end with at once is answered at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer
from sandbox.world import Hooks
from tests.support.azure import account, estate
from tests.support.policies import PolicyFile
from tests.support.whole_app import WholeApp, with_app

ONE = account("st1")
KEY = "https://kv-main.vault.azure.net/keys/cmk"
RULE = "  - name: all\n    rotation: fix\n"
FIX = f"{RULE}    encryption: fix\n    key: {KEY}\n"
BACK = {"resource": ONE["id"], "confirm": "st1"}
REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "the rule says fix": (FIX, "revert", BACK, "contradicts_rule"),
    "the rule says ignore": (RULE.replace("fix", "ignore"), "revert", BACK, "contradicts_rule"),
    "no rule is meant for it": ("  - name: x\n    where: {names: [x]}\n", "revert", BACK, "outside_policy"),
    "there is no such key": (RULE, "use-key", {"resource": ONE["id"], "key": f"{KEY}-none"}, "key_not_found"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_would_stop_at_once_is_refused_at_once_and_puts_nothing(tmp_path: Path, why: str) -> None:
    rules, route, wish, reason = REFUSED[why]

    async def story(app: WholeApp) -> None:
        assert (await app.post(route, wish)).is_problem(422, reason)
        told = await app.post(route, {**wish, "dryRun": True})
        assert (told.status, told.body["steps"][0]["reason"]) == (200, reason)
        await app.run_until_quiet()
        assert app.calls("write") == []
        assert (await app.get("evidence")).body["lines"] == []

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, rules).environ)


def test_a_resource_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        gone = account("stgone")
        answer = await app.post("revert", {"resource": gone["id"], "confirm": "stgone"})
        assert answer.is_problem(400, "bad_request")

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, RULE).environ)


def test_what_goes_is_taken_and_done(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        assert (await app.post("revert", BACK)).status == 202
        await app.run_until_quiet()
        assert app.body(ONE)["properties"]["encryption"]["keySource"] == "Microsoft.Storage"

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, RULE).environ)


def test_what_passes_is_no_refusal_the_work_waits_for_it(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        busy = Answer.of({"error": {"code": "ServerBusy", "message": "later"}}, 503)
        app.world.hooks = Hooks(before=lambda call: busy if call.path.endswith("/storageAccounts/st1") else None)
        assert (await app.post("revert", BACK)).status == 202

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, RULE).environ)
