"""What an authorised caller may wish for one resource: another key, following, staying pinned, the platform's key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Outcome, Stopped, Waiting
from shared.domain.wish import Wish
from shared.domain.work import Cause, CheckResource, Source
from shared.errors import Refusal
from shared.usecases.forms import RevertWish, UseKeyWish
from shared.usecases.preview import preview
from shared.usecases.wishes import revert_item, use_key_item
from tests.support.azure import MID, NEW, OLD, START, Azure, account, estate, on_azure, scope, version

HTTP = Cause("c", Source.HTTP)
OTHER = "https://kv-main.vault.azure.net/keys/other"
KEYS = {
    "kv-main": [
        {"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]},
        {"name": "other", "versions": [version(OLD), version(NEW, "2026-02-01T00:00:00Z")]},
    ]
}


def wishing(one: dict[str, Any], **wish: Any) -> CheckResource:
    return use_key_item(UseKeyWish(one["id"], **wish), HTTP, START)


async def ended(azure: Azure, item: CheckResource) -> Outcome:
    await azure.put(item)
    return (await azure.drain())[-1].outcome


def pointer(azure: Azure, one: dict[str, Any]) -> Any:
    properties = azure.body(one)["properties"]
    return properties.get("keyVaultProperties") or properties["encryption"].get("keyvaultproperties")


@pytest.mark.parametrize("one", [account("st1", MID), scope("st1", "one", MID)], ids=["account", "scope"])
def test_another_key_is_used_at_its_newest_version_and_verified(one: dict[str, Any]) -> None:
    async def story(azure: Azure) -> None:
        outcome = await ended(azure, wishing(one, key=OTHER))
        assert isinstance(outcome, Converged)
        assert outcome.certainty is Certainty.REPORTED
        assert outcome.uses[0].configured.url == f"{OTHER}/{NEW}"
        assert azure.in_use(one) == NEW
        await azure.check(one)
        assert len(azure.calls("write")) == 1

    on_azure(estate(account("st1", MID), *([one] if "Scopes" in one["type"] else []), keys=KEYS), story)


def test_a_resource_on_the_platforms_key_begins_to_use_one() -> None:
    one = account("st1", key="")

    async def story(azure: Azure) -> None:
        before = azure.body(one)
        assert isinstance(await ended(azure, wishing(one, key=OTHER)), Converged)
        after = azure.body(one)
        assert pointer(azure, one)["keyversion"] == NEW
        assert {**after, "properties": None} == {**before, "properties": None}

    on_azure(estate(one, keys=KEYS), story)


def test_a_pinned_resource_follows_and_a_follower_is_pinned_when_somebody_wishes_it() -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        await ended(azure, wishing(one, version=Version.FOLLOW))
        assert pointer(azure, one)["keyversion"] == ""
        await azure.drain(until=timedelta(days=2))
        assert azure.in_use(one) == MID
        await ended(azure, wishing(one, version=Version.PIN))
        assert pointer(azure, one)["keyversion"] == MID

    on_azure(estate(one), story)


def test_a_resource_goes_back_to_the_platforms_key_and_nothing_else_changes() -> None:
    one = account("st1", OLD, minimumTlsVersion="TLS1_2")

    async def story(azure: Azure) -> None:
        outcome = await ended(azure, revert_item(RevertWish(one["id"], confirm="ST1"), HTTP, START))
        assert isinstance(outcome, Converged)
        assert outcome.certainty is Certainty.NONE
        properties = azure.body(one)["properties"]
        assert properties["encryption"]["keySource"] == "Microsoft.Storage"
        assert properties["minimumTlsVersion"] == "TLS1_2"

    on_azure(estate(one), story)


def test_going_back_asks_for_the_name() -> None:
    for confirm in ("", "st2"):
        with pytest.raises(Refusal, match="confirm"):
            revert_item(RevertWish(account("st1")["id"], confirm=confirm), HTTP, START)


def test_a_wish_waits_while_writing_is_off_and_is_granted_afterwards() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        outcome = await ended(azure, wishing(one, key=OTHER))
        assert isinstance(outcome, Waiting)
        assert not azure.calls("write")
        azure.environ["CMK_WRITES"] = "on"
        await azure.drain(until=timedelta(minutes=15))
        assert azure.in_use(one) == NEW

    on_azure(estate(one, keys=KEYS), story)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"key": "https://kv-gone.vault.azure.net/keys/k"}, Reason.VAULT_NOT_KNOWN),
        ({"key": "https://kv-main.vault.azure.net/keys/none"}, Reason.KEY_NOT_FOUND),
        ({"key": f"{OTHER}/{OLD}"}, Reason.CONTRADICTS_RULE),
        ({"key": f"{OTHER}/{'f' * 32}"}, Reason.CONTRADICTS_RULE),
    ],
)
def test_a_wish_that_cannot_stand_is_refused_with_its_reason(wish: dict[str, Any], reason: Reason) -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        outcome = await ended(azure, wishing(one, **wish))
        assert isinstance(outcome, Stopped)
        assert [blocked.reason for blocked in outcome.blocked] == [reason]
        assert not azure.calls("write")

    on_azure(estate(one, keys=KEYS), story)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("rotation: report", Reason.REPORT_ONLY),
        ("rotation: ignore", Reason.CONTRADICTS_RULE),
        ("rotation: fix\n    version: pin", Reason.CONTRADICTS_RULE),
    ],
)
def test_a_wish_against_the_rule_is_refused(tmp_path: Path, rule: str, reason: Reason) -> None:
    one = account("st1", MID)
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n  - name: all\n    {rule}\n")

    async def story(azure: Azure) -> None:
        outcome = await ended(azure, wishing(one, key=OTHER, version=Version.FOLLOW))
        assert isinstance(outcome, Stopped)
        assert [blocked.reason for blocked in outcome.blocked] == [reason]
        assert not azure.calls("write")

    on_azure(estate(one, keys=KEYS), story, environ={"CMK_POLICY": str(policy)})


def test_a_dry_run_tells_what_a_wish_would_change_and_changes_nothing() -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, wishing(one, key=OTHER))
        assert steps is not None
        assert f"'{NEW}'" in str(steps)
        assert not azure.calls("write")

    on_azure(estate(one, keys=KEYS), story)


def test_a_wish_needs_a_key_or_a_way_of_pointing() -> None:
    with pytest.raises(Refusal, match="name a key"):
        use_key_item(UseKeyWish(account("st1")["id"]), HTTP, START)
    assert Wish().key is None
