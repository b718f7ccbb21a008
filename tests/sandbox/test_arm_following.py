from datetime import datetime, timedelta

import pytest

from sandbox.arm import following
from sandbox.arm.following import in_effect
from sandbox.keyring import Key, KeyVersion
from tests.sandbox.arm_desk import ACCOUNT, NEW, NOW, OLD, SCOPE, SYSTEM, Desk, account, estate, pinned, scope

NEWER = "0" * 31 + "3"
DAY = timedelta(days=1)


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account(version=""), scope(version="")))


def _key(desk: Desk) -> Key:
    key = desk.world.keyring.get("contoso-kv", "cmk1")
    assert key is not None
    return key


def _rotate(desk: Desk, version: str = NEWER, created: datetime | None = None) -> KeyVersion:
    made = KeyVersion(version, created or desk.world.now(), created or desk.world.now())
    _key(desk).versions.append(made)
    return made


def _effective(desk: Desk, id_: str = ACCOUNT) -> str:
    return in_effect(desk.get(id_))


@pytest.mark.parametrize("id_", [ACCOUNT, SCOPE])
def test_a_follower_moves_at_its_own_time_within_a_day(desk: Desk, id_: str) -> None:
    assert _effective(desk, id_) == NEW
    _rotate(desk)
    seen = []
    for _ in range(24):
        seen.append(_effective(desk, id_))
        desk.later(hours=1)
    seen.append(_effective(desk, id_))
    assert seen[0] == NEW
    assert seen[-1] == NEWER
    assert len({*seen}) == 2


def test_each_follower_has_its_own_time_and_keeps_it_from_day_to_day() -> None:
    names = [f"st{number}" for number in range(20)]
    ids = [ACCOUNT.replace("contosost1", name) for name in names]
    desk = Desk(estate(*(account(id_, version="") for id_ in ids), throttling="off"))
    moments = []
    for round_ in range(2):
        _rotate(desk, f"{round_:032x}".replace("0", "a"))
        desk.later(days=1)
        bodies = [desk.get(id_) for id_ in ids]
        moments.append([following.reported(body)["lastKeyRotationTimestamp"][11:] for body in bodies])
    assert moments[0] == moments[1]
    assert len(set(moments[0])) == 20


def test_the_time_of_rotation_is_that_of_the_look_however_late_somebody_reads(desk: Desk) -> None:
    _rotate(desk)
    desk.later(days=5)
    stamp = following.reported(desk.get(ACCOUNT))["lastKeyRotationTimestamp"]
    assert NOW <= datetime.fromisoformat(stamp) <= NOW + DAY + 5 * DAY
    assert _effective(desk) == NEWER


def test_a_pinned_account_never_moves_by_itself() -> None:
    desk = Desk(estate(account(version=OLD)))
    desk.later(days=30)
    assert _effective(desk) == OLD


def test_a_follower_keeps_its_version_when_the_latest_cannot_wrap(desk: Desk) -> None:
    _rotate(desk).enabled = False
    desk.later(days=2)
    assert _effective(desk) == NEW
    _key(desk).latest.enabled = True
    desk.later(days=1)
    assert _effective(desk) == NEWER


def test_a_version_that_was_disabled_after_the_look_had_been_taken(desk: Desk) -> None:
    version = _rotate(desk)
    desk.later(days=1)
    version.enabled, version.updated = False, desk.world.now()
    assert _effective(desk) == NEWER


def test_a_follower_waits_until_the_latest_becomes_valid(desk: Desk) -> None:
    _rotate(desk).not_before = NOW + 3 * DAY
    desk.later(days=2)
    assert _effective(desk) == NEW
    desk.later(days=2)
    assert _effective(desk) == NEWER


def test_a_follower_that_slept_through_takes_what_was_usable_at_its_looks(desk: Desk) -> None:
    _rotate(desk)
    _rotate(desk, "0" * 31 + "4", NOW + 3 * DAY).kty = "EC"
    desk.later(days=6)
    assert _effective(desk) == NEWER


def test_a_deleted_key_or_a_lost_grant_leaves_a_follower_where_it_is(desk: Desk) -> None:
    _rotate(desk)
    for body in list(desk.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        if body["properties"]["principalId"] == SYSTEM:
            desk.world.resources.remove(body["id"])
    desk.later(days=1)
    assert _effective(desk) == NEW
    _key(desk).deleted = NOW
    desk.later(days=1)
    assert _effective(desk) == NEW


def test_an_estate_may_begin_with_a_follower_that_is_behind() -> None:
    body = account(version="")
    identifier = f"https://contoso-kv.vault.azure.net/keys/cmk1/{OLD}"
    body["properties"]["encryption"]["keyvaultproperties"]["currentVersionedKeyIdentifier"] = identifier
    desk = Desk(estate(body))
    assert _effective(desk) == OLD
    desk.later(days=1)
    assert _effective(desk) == NEW


def test_following_begins_with_a_look(desk: Desk) -> None:
    desk.patch(ACCOUNT, {"properties": {"encryption": pinned(OLD)}})
    assert _effective(desk) == OLD
    desk.patch(ACCOUNT, {"properties": {"encryption": pinned("")}})
    assert _effective(desk) == NEW


def test_resource_graph_shows_the_look_and_nothing_is_told(desk: Desk) -> None:
    _rotate(desk)
    desk.later(days=1)
    path = "properties.encryption.keyvaultproperties.currentVersionedKeyIdentifier"
    rows = desk.query(f"resources | where type =~ 'microsoft.storage/storageaccounts' | project v = {path}")
    assert rows["data"][0]["v"].endswith(NEWER)
    assert desk.heard == []
