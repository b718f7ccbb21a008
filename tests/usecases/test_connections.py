"""What an AI hub, its projects and accounts of Foundry connect to: looked at along with them, each by its own rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer
from sandbox.world import Hooks
from shared.domain.report import Report
from shared.domain.service import May
from shared.domain.work import Cause, CheckResource, Source
from shared.services.connections import named_in
from shared.usecases.forms import EnforceWish
from shared.usecases.wishes import enforce_item, put_or_plan
from tests.support.azure import SUB, TENANT, Azure, group, on_azure, vault
from tests.support.enforced import KEYS, changes, item
from tests.support.enforcing import nothing_yet, plain, policy
from tests.support.keyed import example
from tests.support.moving import resource

EVERYTHING = f"may: [{', '.join(one.value for one in May)}]"
HUB = resource("Microsoft.MachineLearningServices/workspaces", "hub", {"provisioningState": "Succeeded"}, kind="Hub")
FORMS = example("cognitiveservices_accounts-platform")
STORE = plain("stlinked")


def account(name: str, **properties: Any) -> dict[str, Any]:
    """Return an account of Foundry."""
    body = {**FORMS, "id": f"{FORMS['id'].rpartition('/')[0]}/{name}", "name": name, "kind": "AIServices"}
    return {**body, "properties": {**FORMS["properties"], **properties}}


def connection(of: str, name: str, to: str, category: str = "AIServices", **more: Any) -> dict[str, Any]:
    """Return a connection below a resource, as its list shows it."""
    types = of.partition("/providers/")[2].split("/")
    kind = "/".join([types[0], *types[1::2], "connections"])
    metadata = {"ApiType": "Azure", "ResourceId": to}
    properties = {"authType": "AAD", "category": category, "target": "https://x.example/", "metadata": metadata}
    return {"id": f"{of}/connections/{name}", "name": name, "type": kind, "properties": {**properties, **more}}


def looked_at(azure: Azure) -> set[str]:
    return {one.item.address.arm.name for one in azure.reports if isinstance(one.item, CheckResource)}


def lists(azure: Azure) -> list[str]:
    found = [one for one in azure.world.log if "connections" in one.url.lower()]
    return [f"{one.method} {one.url.partition('?')[0].partition('/providers/')[2]}" for one in found]


@pytest.mark.parametrize("metadata", ["ResourceId", "resourceId"])
def test_what_a_hub_connects_to_is_looked_at_along_with_it_by_reads_alone(tmp_path: Path, metadata: str) -> None:
    linked = account("ai-linked")
    one = connection(HUB["id"], "ai", linked["id"], metadata={metadata: linked["id"]})
    two = connection(HUB["id"], "blobs", STORE["id"], "AzureStorageAccount", credentials={"key": "secret"})
    other = connection(HUB["id"], "git", f"{group()}/providers/Microsoft.Storage/storageAccounts/stgit", "Git")

    async def story(azure: Azure) -> None:
        await azure.check(HUB)
        assert looked_at(azure) == {"hub", "ai-linked", "stlinked"}
        assert lists(azure)[0] == "GET Microsoft.MachineLearningServices/workspaces/hub/connections"
        assert all(line.startswith("GET") for line in lists(azure))
        assert azure.body(STORE)["properties"]["encryption"]["keySource"] == "Microsoft.Keyvault"

    described = nothing_yet(HUB, linked, STORE, one, two, other, vault(), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING))


def test_an_account_of_foundry_is_looked_at_with_what_it_and_its_projects_connect_to(tmp_path: Path) -> None:
    mine = account("ai-main", associatedProjects=["proj", "../odd", 7])
    search = resource("Microsoft.Search/searchServices", "srch", {"provisioningState": "Succeeded"})
    one = connection(f"{mine['id']}/projects/proj", "search", search["id"], "CognitiveSearch")
    two = connection(mine["id"], "blobs", STORE["id"], "AzureBlob")

    async def story(azure: Azure) -> None:
        await azure.check(mine)
        assert looked_at(azure) == {"ai-main", "srch", "stlinked"}
        assert not [line for line in lists(azure) if "odd" in line]

    project = {
        "id": f"{mine['id']}/projects/proj",
        "name": "proj",
        "type": f"{mine['type']}/projects",
        "properties": {},
    }
    described = nothing_yet(mine, project, search, STORE, one, two, vault(), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING))


def test_two_accounts_that_name_each_other_are_looked_at_once_each(tmp_path: Path) -> None:
    one, two = account("ai-one"), account("ai-two")
    links = [connection(one["id"], "to-two", two["id"]), connection(two["id"], "to-one", one["id"])]

    async def story(azure: Azure) -> None:
        await azure.put(item(azure, one))
        reports = await azure.drain()
        names = [report.address.arm.name for report in reports if report.address]
        assert sorted(names) == ["ai-one", "ai-two"]

    # Without a key nothing moves, so each look ends at once.
    described = nothing_yet(one, two, *links, vault(), keys={})
    on_azure(described, story, environ=policy(tmp_path, "may: [grant, unproven, irreversible]"))


def test_a_hub_outside_every_rule_is_asked_for_nothing_more(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(HUB)
        assert lists(azure) == []
        assert looked_at(azure) == {"hub"}

    described = nothing_yet(HUB, STORE, connection(HUB["id"], "a", STORE["id"], "AzureBlob"), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, 'where: {names: ["st*"]}'))


def test_what_no_rule_is_meant_for_is_not_written_because_a_hub_names_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(HUB)
        assert looked_at(azure) == {"hub", "stlinked"}
        assert changes(azure) == []

    described = nothing_yet(HUB, STORE, connection(HUB["id"], "a", STORE["id"], "AzureBlob"), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, "where: {names: [hub]}"))


def test_sweeps_read_no_connections(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.put(CheckResource(azure.address(HUB), Cause("t", Source.TIMER), now, now))
        await azure.drain()
        assert lists(azure) == []

    on_azure(nothing_yet(HUB, keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_who_names_a_hub_has_not_named_what_it_connects_to(tmp_path: Path) -> None:
    owned = {**STORE, "tags": {"managed-by": "terraform"}}

    async def story(azure: Azure) -> None:
        await azure.put(enforce_item(EnforceWish(str(HUB["id"])), Cause("h", Source.HTTP), azure.time.now()))
        await azure.drain()
        assert "stlinked" in looked_at(azure)
        assert changes(azure) == []

    described = nothing_yet(HUB, owned, connection(HUB["id"], "a", owned["id"], "AzureBlob"), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING))


OTHERS = "99999999-9999-4999-8999-999999999999"


@pytest.mark.parametrize("readable", [True, False])
def test_what_a_connection_names_in_a_subscription_that_the_app_does_not_read_is_asked_for_nothing(
    tmp_path: Path, *, readable: bool
) -> None:
    there = {**STORE, "id": str(STORE["id"]).replace(SUB, OTHERS.upper() if readable else OTHERS)}
    there_too = [there] if readable else []
    link = connection(HUB["id"], "a", there["id"], "AzureBlob")
    described = nothing_yet(HUB, *there_too, link, vault(), keys=KEYS)
    if readable:
        described["subscriptions"].append({"subscriptionId": OTHERS, "displayName": "more", "tenantId": TENANT})

    async def story(azure: Azure) -> None:
        await azure.check(HUB)
        told = [one.to_do for one in azure.reports if one.address == azure.address(HUB)]
        assert ("of subscriptions that the app does not read" in told[0]) is not readable
        assert ("stlinked" in looked_at(azure)) is readable
        assert any(OTHERS in one.url.lower() for one in azure.world.log) is readable

    on_azure(described, story, environ=policy(tmp_path, EVERYTHING))


@pytest.mark.parametrize(("status", "told"), [(403, True), (404, False)])
def test_connections_that_may_not_be_read_are_told_of_and_stop_nothing(
    tmp_path: Path, status: int, *, told: bool
) -> None:
    async def story(azure: Azure) -> None:
        refused = Answer.of({"error": {"code": "AuthorizationFailed" if told else "NotFound", "message": "no"}}, status)
        azure.world.hooks = Hooks(before=lambda call: refused if call.path.endswith("/connections") else None)
        reports: list[Report] = await azure.check(HUB)
        (mine,) = [one for one in reports if one.address == azure.address(HUB)]
        assert ("connections" in mine.to_do) is told

    on_azure(nothing_yet(HUB, keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


ODD: list[dict[str, Any]] = [
    {},
    {"properties": None},
    {"properties": {"category": "AIServices", "metadata": {"ResourceId": 7}}},
    {"properties": {"category": 3, "target": []}},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_connection_of_another_shape_names_nobody(odd: dict[str, Any]) -> None:
    assert named_in(odd) == ()


def test_a_target_may_be_the_resource_itself() -> None:
    assert named_in({"properties": {"category": "azureopenai", "target": STORE["id"]}}) == (STORE["id"],)


def test_a_dry_run_of_a_hub_lists_what_it_connects_to_with_the_steps_that_are_then_taken(tmp_path: Path) -> None:
    two = plain("stsecond")
    links = [connection(HUB["id"], one["name"], one["id"], "AzureBlob") for one in (STORE, two)]

    async def story(azure: Azure) -> None:
        look = enforce_item(EnforceWish(str(HUB["id"])), Cause("h", Source.HTTP), azure.time.now())
        told = await put_or_plan(azure.app.context, look, dry_run=True)
        assert changes(azure) == azure.waiting() == []
        assert told["truncated"] is False
        planned = {one["id"]: one["steps"] for one in told["along"]}
        assert planned.keys() == {STORE["id"], two["id"]}
        await put_or_plan(azure.app.context, look, dry_run=False)
        for report in await azure.drain():
            if report.address and report.address.url in planned:
                steps = planned[report.address.url]
                assert [type(step) for step in steps[:-1]] == [type(done.step) for done in report.did]
                assert [one.to for one in steps[-1].changes] == [one.after for one in report.wrote]

    described = nothing_yet(HUB, STORE, two, *links, vault(), keys=KEYS)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING))


def test_a_dry_run_tells_of_connections_that_may_not_be_read_and_has_none_for_what_names_nobody(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refused = Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403)
        azure.world.hooks = Hooks(before=lambda call: refused if call.path.endswith("/connections") else None)
        for one, unread in ((HUB, True), (STORE, False)):
            look = enforce_item(EnforceWish(str(one["id"])), Cause("h", Source.HTTP), azure.time.now())
            told = await put_or_plan(azure.app.context, look, dry_run=True)
            assert ("connections" in told.get("unread", "")) is unread
            assert not told.get("along")

    on_azure(nothing_yet(HUB, STORE, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))
