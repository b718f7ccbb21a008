"""How the app reads what Azure says of a long-running operation, in each of the ways Azure has."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.resource import Address
from shared.errors import AppError, NotThere, Refusal, TryLater
from shared.ports import Progress
from shared.services.registry import services
from tests.support.azure import SUB, Azure, estate, group, on_azure

URL = (
    f"https://management.azure.com/subscriptions/{SUB}/providers/Microsoft.X/locations/west/operations/1?api-version=1"
)


def asked(answer: Answer, url: str = URL) -> Progress:
    """Return how the operation stands when Azure answers so."""

    def answering(call: Call) -> Answer | None:
        return answer if "/operations/1" in call.url else None

    async def story(azure: Azure) -> Progress:
        azure.world.hooks = Hooks(before=answering)
        return await azure.app.context.ports.resources.operation(url)

    return on_azure(estate(), story)


def told(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, json.dumps(body).encode())


@pytest.mark.parametrize("status", ["InProgress", "Updating", "Dequeued", "Accepted", "Running"])
def test_an_operation_that_has_not_ended_says_how_long_to_wait(status: str) -> None:
    assert asked(told({"status": status}, Retry_After="15")) == Progress(ended=False, after=timedelta(seconds=15))


@pytest.mark.parametrize(
    "answer",
    [told({"status": "Succeeded"}), told({"id": "/x", "properties": {}}), Answer(204), told({}, 201)],
    ids=["by status", "the resource itself", "no content", "created"],
)
def test_an_operation_that_has_ended_is_told_from_one_that_goes_on(answer: Answer) -> None:
    assert asked(answer).ended


def test_a_location_that_answers_202_goes_on() -> None:
    assert not asked(Answer(202, {"Retry-After": "5"})).ended


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessPolicyNotConfiguredForKeyVault", Reason.KEY_ACCESS_DENIED),
        ("SameKeyMaterialNotFoundOnRemoteServer", Reason.PARTNER_FIRST),
        ("SomethingElse", Reason.REFUSED),
    ],
)
@pytest.mark.parametrize("where", [lambda error: error, lambda error: {"properties": error}], ids=["plain", "wrapped"])
def test_an_operation_that_failed_has_its_reason(
    code: str, reason: Reason, where: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    failed = {"status": "Failed", **where({"error": {"code": code, "message": "no"}})}
    with pytest.raises(Refusal) as caught:
        asked(told(failed))
    assert caught.value.reason is reason
    assert code in caught.value.detail


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (told({"error": {"code": "NotFound", "message": "gone"}}, 404), NotThere),
        (told({"error": {"code": "TooManyRequests", "message": "slow"}}, 429, Retry_After="9"), TryLater),
        (Answer(200, {"content-type": "application/json"}, b'{"status": "Suc'), TryLater),
        (told(["Succeeded"]), TryLater),
    ],
    ids=["forgotten", "throttled", "cut short", "of another shape"],
)
def test_an_answer_that_tells_nothing_of_the_operation_is_not_its_end(answer: Answer, kind: type[AppError]) -> None:
    with pytest.raises(kind):
        asked(answer)


@pytest.mark.parametrize("url", ["https://evil.example/operations/1", "http://management.azure.com/operations/1", ""])
def test_nobody_but_resource_manager_is_asked_about_an_operation(url: str) -> None:
    with pytest.raises(Refusal) as caught:
        asked(Answer(200), url)
    assert caught.value.reason is Reason.FOREIGN_HOST


@pytest.mark.parametrize("type_", ["cognitiveservices/accounts", "sql/servers", "storage/storageaccounts"])
def test_a_list_that_holds_a_member_of_another_collection_is_no_use(type_: str) -> None:
    service = services()[f"microsoft.{type_}"]
    (what,) = service.children
    parent = Address(service.type, f"{group()}/providers/{service.type}/mine")
    members = [{"id": f"{parent.url.replace('mine', name)}/{what.collection}/x"} for name in ("mine", "theirs")]

    async def story(azure: Azure) -> None:
        answer = Answer.of({"value": members})
        azure.world.hooks = Hooks(before=lambda call: answer if call.path.endswith(what.collection) else None)
        with pytest.raises(TryLater):
            [one async for one in azure.app.context.ports.resources.children(parent, what, service)]

    on_azure(estate(), story)
