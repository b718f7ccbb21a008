from sandbox import identity
from sandbox.wire import Answer
from tests.sandbox.arm_desk import ACCOUNT, GROUP, SCOPE, VAULT, Desk, account, estate, scope

REMAINING = "x-ms-ratelimit-remaining-subscription-"


def _until_refused(desk: Desk, method: str, path: str, body: object = None, **query: str) -> tuple[int, Answer]:
    for passed in range(2000):
        answer = desk.call(method, path, body, None, **query)
        if answer.status == 429:
            return passed, answer
    raise AssertionError("never refused")


def test_arms_write_bucket_holds_200_and_gains_10_a_second() -> None:
    desk = Desk(estate())
    first = desk.call("PATCH", VAULT, {"tags": {}})
    assert first.headers[REMAINING + "writes"] == "199"
    assert first.headers[REMAINING + "global-writes"] == "2999"
    passed, answer = _until_refused(desk, "PATCH", VAULT, {"tags": {}})
    assert passed == 199
    assert answer.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers[REMAINING + "writes"] == "0"
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    desk.later(seconds=1)
    assert _until_refused(desk, "PATCH", VAULT, {"tags": {}})[0] == 10


def test_reads_are_counted_apart_and_by_principal() -> None:
    desk = Desk(estate())
    assert _until_refused(desk, "GET", VAULT)[0] == 250
    assert desk.call("PATCH", VAULT, {"tags": {}}).status == 200
    token, _ = identity.issue(desk.world, "another", "https://management.azure.com")
    assert desk.call("GET", VAULT, headers={"authorization": f"Bearer {token}"}).status == 200


def test_storage_writes_pass_ten_a_second_for_a_region() -> None:
    other = ACCOUNT.replace("contosost1", "elsewhere")
    desk = Desk(estate(account(), scope(), account(other, location="North Europe")))
    passed, answer = _until_refused(desk, "PATCH", ACCOUNT, {"tags": {}})
    assert (passed, answer.headers["Retry-After"]) == (10, "1")
    error = answer.json()["error"]
    assert error["code"] == "TooManyRequests"
    assert "Write_ObservationWindow_00:00:01" in error["message"]
    assert desk.call("PATCH", SCOPE, {"properties": {"state": "Enabled"}}).status == 429
    assert desk.call("PATCH", other, {"tags": {}}).status == 200


def test_a_refused_call_takes_nothing_from_any_bucket() -> None:
    desk = Desk(estate(account()))
    _until_refused(desk, "PATCH", ACCOUNT, {"tags": {}})
    for _ in range(50):
        desk.call("PATCH", ACCOUNT, {"tags": {}})
    assert desk.call("PATCH", VAULT, {"tags": {}}).headers[REMAINING + "writes"] == "189"


def test_storage_writes_end_after_1200_in_an_hour_and_go_on_one_in_three_seconds() -> None:
    desk = Desk(estate(account()))
    passed = 0
    while True:
        answer = desk.call("PATCH", ACCOUNT, {"tags": {}})
        if answer.status == 429:
            break
        passed += 1
        desk.later(milliseconds=100)
    assert 1200 <= passed <= 1245
    assert "Write_ObservationWindow_01:00:00" in answer.json()["error"]["message"]
    assert int(answer.headers["Retry-After"]) <= 3
    desk.later(seconds=3)
    assert desk.call("PATCH", ACCOUNT, {"tags": {}}).status == 200


def test_storage_lists_and_reads_have_windows_of_five_minutes() -> None:
    desk = Desk(estate(account()))
    passed, answer = _until_refused(desk, "GET", f"{GROUP}/providers/Microsoft.Storage/storageAccounts")
    assert passed == 100
    assert "List_ObservationWindow_00:05:00" in answer.json()["error"]["message"]
    assert answer.headers["Retry-After"] == "3"
    reads = 0
    while True:
        answer = desk.call("GET", ACCOUNT)
        if answer.status == 429 and "Read_ObservationWindow" in answer.json()["error"]["message"]:
            break
        reads += answer.status == 200
        desk.later(milliseconds=40)
    assert 800 <= reads <= 925


def test_an_estate_can_turn_throttling_off() -> None:
    desk = Desk(estate(account(), throttling="off"))
    answers = [desk.call("PATCH", ACCOUNT, {"tags": {}}) for _ in range(300)]
    assert {answer.status for answer in answers} == {200}
    assert not any("ratelimit" in name for name in answers[0].headers)
