"""Disk encryption sets on the sandbox, and the disks that only point at one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Stopped, Waiting
from tests.support.azure import MID, NEW, OLD, Azure, on_azure, vault
from tests.support.keyed import (
    KEY,
    at_rest,
    by_hand,
    differences,
    example,
    grant,
    in_effect,
    later,
    new_version,
    revoke,
    script,
    using,
    wish,
)
from tests.support.policies import allowing

PINNED = example("compute_diskencryptionsets-pinned")
FOLLOWER = example("compute_diskencryptionsets-following")
CONFIDENTIAL = example("compute_diskencryptionsets-confidential")
DISK = example("compute_disks-set")
SNAPSHOT = example("compute_snapshots-set")
FLAG = "rotationToLatestKeyVersionEnabled"


def test_a_set_moves_by_a_long_operation_and_is_verified() -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, PINNED)
        (first,) = await azure.check(PINNED)
        assert isinstance(first.outcome, Waiting)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED
        changed = differences(before, at_rest(azure, PINNED))
        assert changed.pop("properties.lastKeyRotationTimestamp")
        assert changed == {"properties.activeKey.keyUrl": f"{KEY}/{MID}"}
        await azure.check(PINNED)
        assert len(azure.calls("write")) == 1

    on_azure(using(PINNED), story)


def test_a_follower_is_never_written_and_verified_within_the_hour() -> None:
    async def story(azure: Azure) -> None:
        await later(azure, hours=2)  # on the newest version by now
        new_version(azure, NEW)
        await azure.check_key()
        assert azure.reports[-1].reasons == (Reason.FOLLOWS_BY_ITSELF,)
        await azure.drain(until=timedelta(hours=2))
        ends = [report.outcome for report in azure.reports if isinstance(report.outcome, Converged)]
        assert ends[-1].certainty is Certainty.REPORTED
        assert at_rest(azure, FOLLOWER)["properties"]["activeKey"]["keyUrl"] == f"{KEY}/{NEW}"
        assert azure.calls("write") == []

    on_azure(using(FOLLOWER), story)


def test_a_follower_that_cannot_rotate_is_told_of_with_azures_reason_until_it_can() -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        new_version(azure, NEW)
        await later(azure, hours=2)
        (report,) = await azure.check(FOLLOWER)
        assert report.reasons == (Reason.FOLLOW_FAILED,)
        assert "KeyVaultAccessForbidden" in str(report.outcome)
        grant(azure, FOLLOWER["identity"]["principalId"])
        await azure.drain(until=timedelta(hours=4))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert in_effect(azure, FOLLOWER) == [NEW]
        assert azure.calls("write") == []

    on_azure(using(FOLLOWER), story)


def test_a_rotation_by_another_hand_is_waited_out_since_the_old_key_is_still_in_effect() -> None:
    async def story(azure: Azure) -> None:
        script(azure, seconds=600)
        await by_hand(azure, PINNED, "2026-03-02", activeKey={"keyUrl": f"{KEY}/{MID}"})
        (report,) = await azure.check(PINNED)
        assert report.reasons == (Reason.NOT_YET_IN_EFFECT,)
        assert f"version {OLD} is in effect" in str(report.outcome)
        await azure.drain(until=timedelta(minutes=30))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED
        assert len(azure.calls("write")) == 1, "the other hand's"

    on_azure(using(PINNED), story)


def test_a_failed_move_is_told_and_the_grant_that_was_missing_lets_the_next_one_through() -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(minutes=30))
        assert Reason.KEY_ACCESS_DENIED in {reason for report in azure.reports for reason in report.reasons}
        assert in_effect(azure, PINNED) == [OLD]
        grant(azure, PINNED["identity"]["principalId"])
        await azure.drain(until=timedelta(hours=2))
        assert isinstance(azure.reports[-1].outcome, Converged)
        assert in_effect(azure, PINNED) == [MID]

    on_azure(using(PINNED), story)


def test_a_grant_that_never_comes_ends_after_a_day_and_not_with_a_write_every_few_minutes() -> None:
    async def story(azure: Azure) -> None:
        revoke(azure)
        await azure.check(PINNED)
        await azure.drain(until=timedelta(hours=30))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Stopped)
        assert end.reasons == (Reason.KEY_ACCESS_DENIED,)
        assert len(azure.calls("write")) < 40
        assert azure.waiting() == []

    on_azure(using(PINNED, operations=0.1), story)


def test_a_set_that_failed_for_another_reason_is_left_to_people() -> None:
    failed = {**PINNED, "properties": {**PINNED["properties"], "provisioningState": "Failed"}}

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(failed)
        assert report.reasons == (Reason.PROVISIONING_FAILED,)
        assert azure.calls("write") == []

    on_azure(using(failed), story)


def test_a_rule_that_says_follow_turns_the_switch_on_and_one_that_says_pin_off(tmp_path: Path) -> None:
    async def follow(azure: Azure) -> None:
        await azure.check(PINNED)
        await azure.drain(until=timedelta(minutes=10))
        properties = at_rest(azure, PINNED)["properties"]
        assert (properties[FLAG], properties["activeKey"]["keyUrl"]) == (True, f"{KEY}/{MID}")

    async def pin(azure: Azure) -> None:
        await azure.check(FOLLOWER)
        await azure.drain(until=timedelta(minutes=10))
        properties = at_rest(azure, FOLLOWER)["properties"]
        assert (properties[FLAG], properties["activeKey"]["keyUrl"]) == (False, f"{KEY}/{MID}")

    on_azure(using(PINNED), follow, environ=allowing(tmp_path, version="follow"))
    on_azure(using(FOLLOWER), pin, environ=allowing(tmp_path, version="pin"))


def test_another_key_of_the_vault_is_taken_with_the_source_vault_as_it_was(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await wish(azure, PINNED, key=f"{KEY[:-3]}other")
        await azure.drain(until=timedelta(minutes=10))
        active = at_rest(azure, PINNED)["properties"]["activeKey"]
        assert active == {**PINNED["properties"]["activeKey"], "keyUrl": f"{KEY[:-3]}other/{MID}"}

    on_azure(using(PINNED), story, environ=allowing(tmp_path))


def test_another_vault_is_taken_where_the_unproven_is_allowed_and_the_old_source_vault_goes(tmp_path: Path) -> None:
    described = using(PINNED, vault("kv-far"))
    described["keys"]["kv-far"] = described["keys"]["kv-main"]
    (granted,) = described["roleAssignments"]
    described["roleAssignments"].append({**granted, "scope": vault("kv-far")["id"]})
    far = "https://kv-far.vault.azure.net/keys/cmk"

    async def story(azure: Azure) -> None:
        await wish(azure, PINNED, key=far)
        await azure.drain(until=timedelta(minutes=10))
        assert at_rest(azure, PINNED)["properties"]["activeKey"] == {"keyUrl": f"{far}/{MID}"}

    on_azure(described, story, environ=allowing(tmp_path, "unproven"))


def test_confidential_sets_need_a_rule_that_allows_the_unproven(tmp_path: Path) -> None:
    async def refused(azure: Azure) -> None:
        (report,) = await azure.check(CONFIDENTIAL)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)

    async def allowed(azure: Azure) -> None:
        await azure.check(CONFIDENTIAL)
        await azure.drain(until=timedelta(minutes=10))
        assert in_effect(azure, CONFIDENTIAL) == [MID]

    on_azure(using(CONFIDENTIAL), refused)
    on_azure(using(CONFIDENTIAL), allowed, environ=allowing(tmp_path, "unproven"))


@pytest.mark.parametrize(
    ("one", "wanted", "reason"),
    [
        (PINNED, {"revert": True}, Reason.CANNOT),
        (PINNED, {"key": "https://kv-main.vault.azure.net/keys/none"}, Reason.KEY_NOT_FOUND),
        (CONFIDENTIAL, {"key": "https://kv-main.vault.azure.net/keys/other"}, Reason.NOT_ALLOWED_BY_RULE),
        (CONFIDENTIAL, {"version": Version.FOLLOW}, Reason.NEVER_FOLLOWS),
        (DISK, {"key": KEY}, Reason.KEY_IS_AT_ENCRYPTION_SET),
        (DISK, {"revert": True}, Reason.KEY_IS_AT_ENCRYPTION_SET),
        (SNAPSHOT, {"version": Version.FOLLOW}, Reason.KEY_IS_AT_ENCRYPTION_SET),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) and "name" in value else "",
)
def test_a_wish_that_a_set_or_a_disk_cannot_grant_is_told_why(
    one: dict[str, Any], wanted: dict[str, Any], reason: Reason, tmp_path: Path
) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, one, **wanted)
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (reason,)
        assert azure.calls("write") == []

    on_azure(using(PINNED, one) if one is not PINNED else using(one), story, environ=allowing(tmp_path))


def test_a_disk_names_no_key_and_is_never_asked_about_because_of_one() -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(DISK)
        assert isinstance(report.outcome, Converged)
        assert report.outcome.certainty is Certainty.NONE
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=10))
        assert len([line for line in azure.calls("read") if line.endswith("/disks/disk1")]) == 1

    on_azure(using(PINNED, DISK, SNAPSHOT), story)


@pytest.mark.parametrize(("client", "foreign"), [("99999999-0000-4000-8000-000000000001", True), ("None", False)])
def test_a_set_that_reaches_its_key_as_another_tenant_s_application_is_left_alone(
    client: str,
    foreign: bool,  # noqa: FBT001
) -> None:
    one = {**PINNED, "properties": {**PINNED["properties"], "federatedClientId": client}}

    async def story(azure: Azure) -> None:
        reports = await azure.check(one)
        assert (reports[-1].reasons == (Reason.CROSS_TENANT,)) is foreign
        assert len(azure.calls("write")) == (0 if foreign else 1)

    on_azure(using(one), story)
