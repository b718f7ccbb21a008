import pytest

from sandbox.arm import operations
from sandbox.wire import Answer, Refused
from tests.sandbox.arm_desk import NEW, OLD, URI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, ended, key, rotate, script

TYPE = "Microsoft.CognitiveServices/accounts"


def _pinned(version: str) -> dict[str, object]:
    pointer = {"keyVaultUri": URI, "keyName": "cmk1", "keyVersion": version}
    return {"encryption": {"keySource": "Microsoft.KeyVault", "keyVaultProperties": pointer}}


RESOURCE = body(TYPE, "ai", _pinned(OLD), kind="FormRecognizer")
ID = RESOURCE["id"]


@pytest.fixture
def at() -> Desk:
    return desk(RESOURCE, bits=2048)


def _write(at: Desk, version: str = NEW) -> Answer:
    return at.call("PATCH", ID, {"properties": _pinned(version)})


def _version(at: Desk) -> str:
    return str(at.get(ID)["properties"]["encryption"]["keyVaultProperties"]["keyVersion"])


def test_a_write_that_takes_long_answers_202_and_shows_its_effect_when_its_time_has_come(at: Desk) -> None:
    answer = _write(at)
    assert (answer.status, answer.body) == (202, b"")
    assert {"Azure-AsyncOperation", "Location", "Retry-After"} <= answer.headers.keys()
    assert at.get(ID)["properties"]["provisioningState"] == "Accepted"
    assert _version(at) == OLD
    status = at.call("GET", answer.headers["Azure-AsyncOperation"])
    assert (status.json()["status"], int(status.headers["Retry-After"]) > 0) == ("Updating", True)
    assert ended(at, answer)["status"] == "Succeeded"
    assert at.get(ID)["properties"]["provisioningState"] == "Succeeded"
    assert _version(at) == NEW


def test_the_location_answers_202_until_the_end_and_then_the_body(at: Desk) -> None:
    location = _write(at).headers["Location"]
    waiting = at.call("GET", location)
    assert (waiting.status, waiting.headers["Location"]) == (202, location)
    at.later(minutes=5)
    done = at.call("GET", location)
    assert (done.status, done.json()["id"]) == (200, ID)


def test_a_second_write_meanwhile_is_refused_and_afterwards_taken(at: Desk) -> None:
    _write(at)
    assert at.refused("PATCH", ID, {"tags": {}}) == (409, "RequestConflict")
    at.later(minutes=5)
    assert _write(at, OLD).status == 202


def test_the_effect_is_judged_at_the_end_and_a_failure_leaves_the_old_key(at: Desk) -> None:
    made = rotate(at)
    answer = _write(at, made.version)
    made.enabled = False
    end = ended(at, answer)
    assert (end["status"], end["error"]["code"]) == ("Failed", "AccessPolicyNotConfiguredForKeyVault")
    assert at.get(ID)["properties"]["provisioningState"] == "Failed"
    assert _version(at) == OLD
    assert (
        at.refused("GET", answer.headers["Location"].partition("management.azure.com")[2].partition("?")[0])[0] == 400
    )


def test_a_failed_resource_takes_the_next_write(at: Desk) -> None:
    script(at, do="fail", code="Odd")
    assert ended(at, _write(at))["error"]["code"] == "Odd"
    assert ended(at, _write(at))["status"] == "Succeeded"
    assert at.get(ID)["properties"]["provisioningState"] == "Succeeded"


def test_a_script_cancels_an_operation(at: Desk) -> None:
    script(at, do="cancel")
    assert ended(at, _write(at))["status"] == "Canceled"
    assert _version(at) == OLD


def test_a_script_stalls_an_operation_for_good_or_for_so_many_seconds(at: Desk) -> None:
    script(at, seconds=7200)
    answer = _write(at)
    at.later(hours=1)
    assert at.call("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Updating"
    at.later(hours=1)
    assert ended(at, answer)["status"] == "Succeeded"
    script(at, do="stall")
    answer = _write(at, OLD)
    at.later(days=9)
    assert at.call("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Updating"
    assert _version(at) == NEW


def test_event_grid_hears_of_the_write_when_it_has_succeeded_and_not_of_one_that_failed(at: Desk) -> None:
    answer = _write(at)
    assert not at.heard
    ended(at, answer)
    assert "Microsoft.Resources.ResourceWriteSuccess" in {event.type for event in at.heard}
    at.heard.clear()
    script(at, do="fail")
    ended(at, _write(at, OLD))
    assert not at.heard


def test_a_resource_that_is_deleted_meanwhile_does_not_come_back(at: Desk) -> None:
    answer = _write(at)
    assert at.call("DELETE", ID).status == 200
    assert ended(at, answer)["status"] == "Failed"
    assert at.refused("GET", ID) == (404, "ResourceNotFound")


def test_lists_and_resource_graph_show_what_has_ended_too(at: Desk) -> None:
    _write(at)
    at.later(minutes=5)
    row = at.query("resources | where type =~ 'microsoft.cognitiveservices/accounts'")["data"][0]
    assert row["properties"]["encryption"]["keyVaultProperties"]["keyVersion"] == NEW


def test_durations_follow_from_the_seed_and_the_estate_scales_them() -> None:
    def length(**more: object) -> float:
        at = desk(RESOURCE, bits=2048, **more)
        began = at.clock.time()
        ended(at, _write(at))
        return at.clock.time() - began

    assert length() == length()
    assert length(operations=0) == 0
    assert length(operations=0.1) < length() <= operations.Style.ASYNC.span[1] + 15


def test_an_operation_that_nobody_began_is_not_there(at: Desk) -> None:
    path = ID.partition("/resourceGroups/")[0]
    assert at.refused("GET", f"{path}/providers/Microsoft.Web/locations/x/operationStatuses/y")[0] == 404


def test_tags_that_change_meanwhile_are_not_lost(at: Desk) -> None:
    answer = _write(at)
    tags = f"{ID}/providers/Microsoft.Resources/tags/default"
    assert at.call("PUT", tags, {"properties": {"tags": {"a": "b"}}}).status == 200
    ended(at, answer)
    assert at.get(ID)["tags"] == {"a": "b"}
    assert _version(at) == NEW


def test_a_follower_does_not_look_while_a_write_is_under_way() -> None:
    active = {"activeKey": {"keyUrl": key(NEW)}, "rotationToLatestKeyVersionEnabled": True}
    follower = body("Microsoft.Compute/diskEncryptionSets", "des", active)
    at = desk(follower)
    rotate(at)
    script(at, seconds=7200)
    answer = at.call("PATCH", follower["id"], {"tags": {}})
    at.later(hours=1)
    assert at.get(follower["id"])["properties"]["activeKey"]["keyUrl"] == key(NEW)
    assert ended(at, answer)["status"] == "Succeeded"
    at.later(hours=1)
    assert at.get(follower["id"])["properties"]["activeKey"]["keyUrl"] == key(NEWER)


def test_an_estate_need_not_say_that_its_resources_have_been_provisioned() -> None:
    bare = {"id": ID, "kind": "Face", "location": "westeurope"}
    assert desk(bare).get(ID)["properties"]["provisioningState"] == "Succeeded"


def test_a_script_knows_only_the_ends_that_there_are(at: Desk) -> None:
    with pytest.raises(Refused, match="stall"):
        script(at, do="explode")
