"""A list that leads back to itself is waited out like any answer of no use, and not read for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.adapters.pages import MOST_PAGES, Turns
from shared.domain.reasons import Reason
from shared.domain.report import Waiting
from shared.errors import Refusal, TryLater
from tests.support.azure import MID, Azure, account, estate, on_azure, scope, vault

ONE, CHILD = account("st1"), scope("st1", "one")


def circular(word: str) -> Hooks:
    """Let each page of the lists whose URL holds this word lead to itself."""

    def after(call: Call, answer: Answer) -> Answer:
        if word not in call.url.lower() or call.method != "GET" or answer.status != 200:
            return answer
        return Answer.of({**answer.json(), "nextLink": call.url})

    return Hooks(after=after)


def instead(call: Call, answer: Answer, word: str, body: bytes) -> Answer:
    """Answer with this body where a list of that word was asked for."""
    asked = word in call.url.lower() and call.method == "GET" and answer.status == 200
    return replace(answer, body=body) if asked else answer


@pytest.mark.parametrize("word", ["/keys/cmk/versions", "encryptionscopes"])
def test_a_list_that_leads_back_to_itself_is_waited_out(word: str) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = circular(word)
        reports = await azure.check_key()
        waits = [one for one in reports if isinstance(one.outcome, Waiting)]
        assert {one.reasons for one in waits} == {(Reason.SERVICE_UNAVAILABLE,)}
        assert len([one for one in azure.world.log if word in one.url.lower()]) <= 4
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=5))
        assert (azure.in_use(ONE), azure.in_use(CHILD)) == (MID, MID)

    on_azure(estate(ONE, CHILD), story)


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b'{"value": null}', b'{"value": {}}', b"<html>busy</html>", b"\xff"]
)
@pytest.mark.parametrize("word", ["/keys/cmk/versions", "encryptionscopes"])
def test_an_answer_without_a_list_is_no_empty_list_and_is_asked_for_again(word: str, body: bytes) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(after=lambda call, answer: instead(call, answer, word, body))
        reports = await azure.check_key()
        waits = [one for one in reports if isinstance(one.outcome, Waiting)]
        assert {one.reasons for one in waits} == {(Reason.SERVICE_UNAVAILABLE,)}
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=5))
        assert (azure.in_use(ONE), azure.in_use(CHILD)) == (MID, MID)

    on_azure(estate(ONE, CHILD), story)


@pytest.mark.parametrize("page", [None, [], {}, {"value": None}, {"value": {}}, {"value": "st1"}])
def test_a_page_of_a_generic_list_holds_a_list_too(page: Any) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(
            before=lambda call: Answer.of(page) if "roleassignments" in call.url.lower() else None
        )
        with pytest.raises(TryLater) as later:
            await azure.app.context.ports.grants.held(vault()["id"], "4b1d1b1c-0000-4000-8000-000000000001")
        assert later.value.reason is Reason.SERVICE_UNAVAILABLE

    on_azure(estate(ONE), story)


@pytest.mark.parametrize("word", ["/keys/cmk/versions", "encryptionscopes"])
def test_a_later_page_without_a_list_is_not_the_end(word: str) -> None:
    async def story(azure: Azure) -> None:
        def after(call: Call, answer: Answer) -> Answer:
            if "page=2" in call.url:
                return replace(answer, status=200, body=b"{}")
            if word not in call.url.lower() or call.method != "GET" or answer.status != 200:
                return answer
            first = {"value": answer.json()["value"][:1], "nextLink": f"{call.url}&page=2"}
            return Answer.of(first)

        azure.world.hooks = Hooks(after=after)
        reports = await azure.check_key()
        waits = [one for one in reports if isinstance(one.outcome, Waiting)]
        assert {one.reasons for one in waits} == {(Reason.SERVICE_UNAVAILABLE,)}
        assert any("page=2" in one.url for one in azure.world.log)

    on_azure(estate(ONE, CHILD), story)


def test_a_page_of_the_index_that_leads_to_itself_is_no_page() -> None:
    def before(call: Call) -> Answer | None:
        page = {"totalRecords": 1, "count": 0, "resultTruncated": "true", "data": [], "$skipToken": "same"}
        return Answer.of(page) if "resourcegraph" in call.path.lower() else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        finder = azure.app.context.ports.finder
        with pytest.raises(TryLater):
            await finder.page(frozenset({"microsoft.storage/storageaccounts"}), "same")
        with pytest.raises(TryLater):
            await finder.managed_groups()

    on_azure(estate(ONE), story)


def test_a_list_has_an_end_even_if_each_page_leads_to_another() -> None:
    turns = Turns()
    for number in range(MOST_PAGES):
        turns.to(f"page {number}")
    with pytest.raises(ValueError, match="without an end"):
        turns.to("one more page")


@pytest.mark.parametrize(
    "cursor",
    [
        f"https://management.azure.com{ONE['id']}/listKeys?api-version=1",
        f"https://evil.example{vault()['id']}/keys?api-version=1",
        f"http://management.azure.com{vault()['id']}/keys?api-version=1",
        f"https://management.azure.com{vault()['id']}/keys?api-version=1&{'x' * 5000}",
    ],
    ids=["another list", "another host", "plain http", "endless"],
)
def test_a_cursor_off_the_queue_leads_to_the_same_list_or_nowhere(cursor: str) -> None:
    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal):
            await azure.app.context.ports.vault_facts.keys(str(vault()["id"]), cursor)
        assert list(azure.world.log) == []

    on_azure(estate(ONE), story)


def test_a_page_that_leads_to_itself_is_no_page() -> None:
    cursor = f"https://management.azure.com{vault()['id']}/keys?api-version=1&$skiptoken=x"

    def before(call: Call) -> Answer | None:
        return Answer.of({"value": [], "nextLink": cursor}) if "skiptoken" in call.url else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=before)
        with pytest.raises(TryLater):
            await azure.app.context.ports.vault_facts.keys(str(vault()["id"]), cursor)

    on_azure(estate(ONE), story)
