"""POST revoke, as a caller sees it."""

from __future__ import annotations

from pathlib import Path

from tests.support.azure import account, estate, vault
from tests.support.enforcing import user_assigned
from tests.support.revoking import UAI_PRINCIPAL, allowed, granted, own, shared
from tests.support.whole_app import WholeApp, with_app

ONE = account("st1")
VAULT = str(vault()["id"])


def test_a_dry_run_tells_and_a_confirmed_wish_is_carried_out_and_kept_as_evidence(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        wish = {"resource": ONE["id"], "confirm": "st1"}
        told = await app.post("revoke", {"resource": ONE["id"], "dryRun": True})
        assert (told.status, told.body["dryRun"], app.calls("write")) == (200, True, [])
        (step,) = told.body["steps"]
        assert (step["type"], step["principal"], step["scope"]) == ("TakeRole", own("st1"), VAULT)
        assert told.body["unreadable"]["keys"] == ["https://kv-main.vault.azure.net/keys/cmk"]
        done = await app.post("revoke", wish)
        assert (done.status, done.body["undo"]) == (202, told.body["undo"])
        await app.run_until_quiet()
        (deleted,) = app.calls("write")
        assert deleted.startswith("DELETE")
        (heard,) = [one for one in app.outcomes() if one["type"].endswith("Revoked")]
        assert heard["data"]["outcome"]["principals"] == [own("st1")]
        told_first, line = (await app.get(f"evidence?resource={ONE['id']}")).body["lines"]
        assert (told_first["outcome"], told_first["takes"][0]["place"]) == ("announced", line["did"][0]["place"])
        assert (line["outcome"], line["wish"]["revoke"], line["did"][0]["step"]) == ("revoked", True, "TakeRole")

    with_app(estate(ONE), story, environ=allowed(tmp_path))


def test_what_would_be_refused_is_refused_at_once_with_its_reason(tmp_path: Path) -> None:
    described = estate(shared("st1"), shared("st2"), user_assigned(), denied=("st1", "st2"))
    described["roleAssignments"] = [granted(VAULT, UAI_PRINCIPAL)]

    async def story(app: WholeApp) -> None:
        wish = {"resource": ONE["id"], "confirm": "st1"}
        told = await app.post("revoke", wish)
        assert told.is_problem(422, "others_affected")
        assert "/storageAccounts/st2" in told.body["detail"]
        assert (await app.post("revoke", {**wish, "confirm": "st2"})).is_problem(400, "bad_request")
        assert (await app.post("revoke", {**wish, "alsoAffects": "1"})).is_problem(400, "bad_request")
        assert (await app.post("revoke", {**wish, "resource": f"{ONE['id']}x"})).is_problem(400, "bad_request")
        await app.run_until_quiet()
        assert (app.queued(), app.calls("write")) == (0, [])

    with_app(described, story, environ=allowed(tmp_path))
