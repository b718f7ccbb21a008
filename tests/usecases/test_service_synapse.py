"""Synapse workspaces on the sandbox: told, and moved by way of another key where somebody wishes it."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.keyed import uses
from shared.domain.keys import KeyId
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Report
from shared.domain.resource import Change
from shared.domain.work import Cause, Source
from shared.errors import Refusal
from shared.services.synapse import SERVICES, SLOT, VERSION
from shared.usecases.forms import UseKeyWish
from shared.usecases.handle import handle
from shared.usecases.wishes import use_key_item
from tests.support.azure import MID, NEW, OLD, Azure, account, estate, on_azure, version
from tests.support.moving import asked, changed, in_effect, key, resource, snapshot, why
from tests.support.policies import allowing

ALL = ("unproven", "put", "irreversible", "recreate", "hop")


def workspace() -> dict[str, Any]:
    cmk = {"status": "Consistent", "key": {"name": "default", "keyVaultUrl": key("")}}
    properties = {"provisioningState": "Succeeded", "encryption": {"doubleEncryptionEnabled": True, "cmk": cmk}}
    return resource("Microsoft.Synapse/workspaces", "syn1", properties)


def test_a_workspace_whose_key_has_a_new_version_is_told_to_need_a_hop(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        for version_ in ("keep", "follow", "pin"):
            azure.environ["CMK_POLICY"] = allowing(tmp_path, *ALL, version=version_)["CMK_POLICY"]
            reports = await azure.check(one)
            assert why(reports[-1]) == {Reason.HOP_ONLY}
        assert asked(azure) == []

    on_azure(estate(one), story, environ=allowing(tmp_path, *ALL))


def test_a_workspace_whose_key_has_one_version_holds_that_one(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        (*_, last) = await azure.check(one)
        assert isinstance(last.outcome, Converged)
        assert last.outcome.certainty is Certainty.CONFIGURED

    keys = {"kv-main": [{"name": "cmk", "versions": [version(OLD)]}]}
    on_azure(estate(one, keys=keys), story, environ=allowing(tmp_path, *ALL))


def two_keys(*more: str) -> dict[str, Any]:
    """Return the keys: cmk with a new version, and the temporary one."""
    versions = [version(OLD), version(MID, "2026-03-01T00:00:00Z"), *(version(one) for one in more)]
    return {"kv-main": [{"name": "cmk", "versions": versions}, {"name": "hop", "versions": [version(NEW)]}]}


async def hop(azure: Azure, one: dict[str, Any], **wanted: Any) -> Report:
    wish = UseKeyWish(one["id"], **{"key": key(""), "through": key("", "hop"), **wanted})
    await azure.put(use_key_item(wish, Cause("c", Source.HTTP), azure.time.now()))
    return (await azure.drain())[-1]


def test_a_hop_takes_the_new_version_up_and_the_next_sweeps_know(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        effects = uses.in_effect(azure.world, one["id"])
        effects.update({slot: key(OLD) for slot in effects})
        before = snapshot(azure, one)
        first = await hop(azure, one)
        assert why(first) == {Reason.HOPPING}
        assert set(in_effect(azure, one["id"]).values()) == {NEW}
        assert "temporary key" in first.to_do
        await azure.drain(until=timedelta(hours=1))
        last = azure.reports[-1]
        assert isinstance(last.outcome, Converged)
        assert last.outcome.certainty is Certainty.CONFIGURED
        assert last.at - first.at >= timedelta(minutes=30)
        assert set(in_effect(azure, one["id"]).values()) == {MID}
        assert set(changed(azure, before)) == {f"/tags/{VERSION}", "/properties/encryption/cmk/key/name"}
        assert azure.body(one)["tags"] == {"owner": "ledger", VERSION: f"kv-main/cmk/{MID}"}
        writes = asked(azure)
        (again,) = await azure.check(one)
        assert isinstance(again.outcome, Converged)
        assert isinstance((await hop(azure, one)).outcome, Converged), "there is nothing to take up"
        assert (asked(azure), azure.waiting()) == (writes, [])

    on_azure(estate(one, keys=two_keys()), story, environ=allowing(tmp_path, *ALL))


def test_a_hop_ends_on_what_is_newest_when_it_comes_back_whoever_finishes_it_and_however_often(tmp_path: Path) -> None:
    one = workspace()

    async def story(azure: Azure) -> None:
        await hop(azure, one)
        (waiting,) = azure.waiting()
        found = azure.world.keyring.get("kv-main", "cmk")
        assert found is not None
        found.versions.append(
            type(found.latest)("d" * 32, azure.world.now(), azure.world.now(), modulus=found.latest.modulus)
        )
        azure.app = azure.instance()  # the first one died
        await azure.check(one)
        assert set(in_effect(azure, one["id"]).values()) == {NEW}, "a look in between leaves it where it is"
        await azure.drain(until=timedelta(hours=1))
        assert set(in_effect(azure, one["id"]).values()) == {"d" * 32}
        writes = asked(azure)
        await handle(azure.app.context, b64decode(waiting).decode())  # delivered once more
        assert (asked(azure), azure.waiting()) == (writes, [])

    on_azure(estate(one, keys=two_keys()), story, environ=allowing(tmp_path, *ALL))


def test_a_hop_needs_the_word_in_the_rule_and_two_keys_of_which_the_workspace_uses_one(tmp_path: Path) -> None:
    one = workspace()
    cases: tuple[tuple[dict[str, str], Reason], ...] = (
        ({}, Reason.NOT_ALLOWED_BY_RULE),
        ({"through": key("", "gone")}, Reason.KEY_NOT_FOUND),
        ({"key": key("", "other")}, Reason.BAD_REQUEST),
        ({"key": key("", "third")}, Reason.BAD_REQUEST),
    )
    keys = two_keys()
    keys["kv-main"].append({"name": "third", "versions": [version(OLD)]})

    async def story(azure: Azure) -> None:
        for wanted, reason in cases:
            may = ("unproven",) if reason is Reason.NOT_ALLOWED_BY_RULE else ALL
            azure.environ["CMK_POLICY"] = allowing(tmp_path, *may)["CMK_POLICY"]
            azure.app = azure.instance()
            assert why(await hop(azure, one, **wanted)) == {reason}, wanted
        assert asked(azure) == []

    on_azure(estate(one, keys=keys), story, environ=allowing(tmp_path, *ALL))


def test_a_service_that_takes_versions_up_without_a_detour_is_not_sent_on_one(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for one in (account("st1"), account("st2", "")):
            assert why(await hop(azure, one)) == {Reason.BAD_REQUEST}
        assert asked(azure) == []

    on_azure(estate(account("st1"), account("st2", ""), keys=two_keys()), story, environ=allowing(tmp_path, *ALL))


def test_a_tag_about_another_key_or_of_another_hand_says_nothing() -> None:
    (service,) = SERVICES
    for told, held in (
        (f"kv-main/cmk/{OLD}", OLD),
        (f"KV-MAIN/Cmk/{OLD.upper()}", OLD),
        (f"kv-main/other/{OLD}", None),
        (f"kv-far/cmk/{OLD}", None),
        ("kv-main/cmk/", None),
        ("kv-main/cmk/a b", None),
        ("x", None),
    ):
        (use,) = service.read({**workspace(), "tags": {VERSION: told}})
        assert use.configured.version == held, told


@pytest.mark.parametrize(
    "wanted", [{"through": key("")}, {"key": ""}, {"identity": "system"}, {"version": Version.FOLLOW}], ids=str
)
def test_a_hop_that_makes_no_sense_is_refused_at_the_door(wanted: dict[str, Any]) -> None:
    wish = UseKeyWish(
        "/subscriptions/s/resourceGroups/g/providers/M.S/w/x", **{"key": key(""), "through": key("", "hop"), **wanted}
    )
    with pytest.raises(Refusal, match=r"through|name a key"):
        use_key_item(wish, Cause("c", Source.HTTP), datetime.now(UTC))


def test_another_key_becomes_the_active_one_by_the_request_that_is_written() -> None:
    one = workspace()
    named = {"cmk": OLD, "default": MID}
    keys = {"kv-main": [{"name": name, "versions": [version(only)]} for name, only in named.items()]}

    async def story(azure: Azure) -> None:
        (service,) = SERVICES
        to = KeyId("kv-main.vault.azure.net", "default").at(None)  # of the name that the active key has here already
        (request,) = service.write(azure.body(one), (Change(SLOT, to, follow=False),))
        assert request.address.url.endswith("/keys/kv-main-default")
        await azure.app.context.ports.resources.send(request)
        (use,) = service.read(azure.body(one))
        assert use.configured == to
        assert set(in_effect(azure, one["id"]).values()) == {MID}

    on_azure(estate(one, keys=keys), story)
