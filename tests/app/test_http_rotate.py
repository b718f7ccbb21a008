"""POST rotate: one new version, and every user on it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.azure import MID, OLD, account, estate, scope, version
from tests.support.whole_app import WholeApp, with_app

KEY = "https://kv-main.vault.azure.net/keys/cmk"
USERS = [account("st1", MID), account("stold"), scope("st1", "one", MID)]


def versions(app: WholeApp) -> list[str]:
    """Return the key's versions as the vault holds them."""
    key = app.world.keyring.get("kv-main", "cmk")
    assert key is not None
    return [one.version for one in key.versions]


def reasons(app: WholeApp) -> list[str]:
    """Return why work was stopped, as the outcome topic was told."""
    stopped = [one["data"]["outcome"] for one in app.outcomes() if one["type"].endswith("Stopped")]
    return [blocked["reason"] for one in stopped for blocked in one["blocked"]]


@pytest.mark.parametrize(
    "wish", [{"key": KEY}, {"key": KEY, "ifLatestIs": MID}, {"key": KEY, "ifLatestIs": MID.upper()}]
)
def test_one_version_is_made_and_every_user_is_moved(wish: dict[str, str]) -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("rotate", wish)
        assert reply.status == 202
        await app.run_until_quiet()
        old, mid, new = versions(app)
        assert (old, mid) == (OLD, MID)
        assert [app.in_use(one) for one in USERS] == [new] * len(USERS)
        assert len(app.calls("write")) == len(USERS)
        assert reasons(app) == []

    with_app(estate(*USERS), story)


def test_a_dry_run_makes_nothing() -> None:
    async def story(app: WholeApp) -> None:
        reply = await app.post("rotate", {"key": KEY, "dryRun": True})
        assert (reply.status, reply.body["dryRun"]) == (200, True)
        await app.run_until_quiet()
        assert versions(app) == [OLD, MID]
        assert app.queued() == 0
        writes = [one.url for one in app.tried if one.method != "GET" and "ResourceGraph/resources" not in one.url]
        assert writes == []

    with_app(estate(*USERS), story)


def test_a_key_that_moved_on_since_it_was_looked_at_is_not_rotated() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("rotate", {"key": KEY, "ifLatestIs": OLD})
        await app.run_until_quiet()
        assert versions(app) == [OLD, MID]
        assert reasons(app) == ["key_moved_on"]
        assert [app.in_use(one) for one in USERS] == [MID] * len(USERS)

    with_app(estate(*USERS), story)


def test_a_version_younger_than_a_day_answers_the_wish_and_an_older_one_does_not() -> None:
    async def story(app: WholeApp) -> None:
        for _ in range(2):
            await app.post("rotate", {"key": KEY})
            await app.run_until_quiet()
        assert len(versions(app)) == 3
        assert reasons(app) == ["key_rotated_recently"]
        app.stage.shift(timedelta(days=1, minutes=1))
        await app.post("rotate", {"key": KEY})
        await app.run_until_quiet()
        assert len(versions(app)) == 4
        assert {app.in_use(one) for one in USERS} == {versions(app)[-1]}

    with_app(estate(*USERS), story)


def test_two_wishes_at_once_make_one_version() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("rotate", {"key": KEY})
        await app.post("rotate", {"key": KEY})
        await app.run_until_quiet()
        assert len(versions(app)) == 3

    with_app(estate(*USERS), story)


def test_a_certificate_s_key_is_left_alone() -> None:
    keys = {"kv-main": [{"name": "cmk", "managed": True, "versions": [version(OLD)]}]}

    async def story(app: WholeApp) -> None:
        await app.post("rotate", {"key": KEY})
        await app.run_until_quiet()
        assert versions(app) == [OLD]
        assert reasons(app) == ["key_backs_certificate"]

    with_app(estate(account("st1"), keys=keys), story)


def test_a_key_that_does_not_exist_is_reported() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("rotate", {"key": f"{KEY}-absent"})
        await app.run_until_quiet()
        assert reasons(app) == ["key_not_found"]
        assert app.queued() == 0

    with_app(estate(*USERS), story)


def test_an_answer_that_is_lost_on_the_way_makes_no_second_version() -> None:
    async def story(app: WholeApp) -> None:
        cut = {"match": {"path": "/rotate$", "method": "POST"}, "times": 1, "do": {"reset": "after"}}
        app.stage.faults.put([cut])
        await app.post("rotate", {"key": KEY})
        await app.run_until_quiet(timedelta(minutes=10))
        assert len(versions(app)) == 3
        assert {app.in_use(one) for one in USERS} == {versions(app)[-1]}

    with_app(estate(*USERS), story)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://kv-main.vault.azure.net/keys/gone", "key_not_found"),
        ("https://pool.managedhsm.azure.net/keys/cmk", "managed_hsm"),
        ("https://kv-other.vault.azure.net/keys/cmk", "vault_not_known"),
    ],
)
def test_a_dry_run_says_the_same_as_the_wish_of_a_key_that_cannot_be_rotated(url: str, reason: str) -> None:
    async def story(app: WholeApp) -> None:
        told = await app.post("rotate", {"key": url, "dryRun": True})
        assert (told.status, told.body["makesVersion"]) == (200, False)
        assert [step["reason"] for step in told.body["steps"]] == [reason]
        await app.post("rotate", {"key": url})
        await app.run_until_quiet()
        assert reasons(app) == [reason]

    with_app(estate(*USERS), story)
