"""Resources that name many others, themselves or each other: each is looked at, nobody for ever."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.report import Expanded, Gone, Report, Waiting
from shared.domain.work import CheckNamed, CheckResource, NamedPlace
from shared.usecases.named import MOST_MEMBERS, MOST_PAGES
from tests.support.azure import Azure, on_azure, vault
from tests.support.enforced import KEYS, changes, item
from tests.support.enforcing import nothing_yet, plain, policy
from tests.support.moving import resource
from tests.usecases.test_connections import EVERYTHING, HUB, connection

MANY = 2 * MOST_MEMBERS + 10
FEW = MOST_MEMBERS + 10
STORES = [plain(f"st{number:04}") for number in range(MANY)]
LINKS = [connection(HUB["id"], one["name"], one["id"], "AzureBlob") for one in STORES]
AT_REST = ("may: [grant]", "where: {names: [hub]}")  # what is named is looked at and left alone


def slices(reports: list[Report]) -> list[Report]:
    return [one for one in reports if isinstance(one.item, CheckNamed)]


def looks(reports: list[Report]) -> Counter[str]:
    return Counter(one.item.address.arm.name for one in reports if isinstance(one.item, CheckResource))


def read(azure: Azure) -> set[str]:
    return {one.url.partition("?")[0].rpartition("/")[2] for one in azure.world.log if one.kind == "read"}


def test_a_hub_with_many_connections_puts_a_slice_of_them_at_a_time_and_each_is_looked_at_once(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(item(azure, HUB))
        reports = await azure.drain()
        assert looks(reports) == Counter({"hub": 1} | {one["name"]: 1 for one in STORES})
        put = [one.outcome.put for one in slices(reports) if isinstance(one.outcome, Expanded)]
        assert put == [MOST_MEMBERS, 10]
        assert [getattr(one.outcome, "more", None) for one in slices(reports)] == [True, False]
        assert changes(azure) == []

    on_azure(nothing_yet(HUB, *STORES, *LINKS, vault(), keys={}), story, environ=policy(tmp_path, *AT_REST))


@pytest.mark.parametrize("size", [1, 7, MOST_MEMBERS, 1000])
def test_pages_of_any_size_come_to_the_same(tmp_path: Path, size: int) -> None:
    few, links = STORES[:FEW], LINKS[:FEW]

    async def story(azure: Azure) -> None:
        def smaller(call: Call) -> Answer | None:
            if call.path.endswith("/connections") and "$top" not in call.query:
                return azure.cloud.answer(replace(call, url=f"{call.url}&$top={size}"))
            return None

        azure.world.hooks = Hooks(before=smaller)
        await azure.put(item(azure, HUB))
        reports = await azure.drain()
        assert looks(reports) == Counter({"hub": 1} | {one["name"]: 1 for one in few})

    on_azure(nothing_yet(HUB, *few, *links, vault(), keys={}), story, environ=policy(tmp_path, *AT_REST))


def test_an_app_that_dies_between_two_slices_leaves_nobody_out(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    async def story(azure: Azure) -> None:
        lists = 0

        def kill(call: Call, answer: Answer) -> Answer:
            nonlocal lists
            lists += call.path.endswith("/connections")
            if lists == 2:
                lists += 1
                raise Killed
            return answer

        azure.world.hooks = Hooks(after=kill)
        await azure.put(item(azure, HUB))
        with pytest.raises(Killed):
            await azure.drain()
        azure.app = azure.instance()
        await azure.drain(until=timedelta(hours=1))
        assert read(azure) >= {one["name"] for one in STORES[:FEW]}

    on_azure(nothing_yet(HUB, *STORES[:FEW], *LINKS[:FEW], vault(), keys={}), story, environ=policy(tmp_path, *AT_REST))


def test_a_list_that_azure_does_not_give_now_is_gone_on_with_later(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        lists = 0

        def busy(call: Call) -> Answer | None:
            nonlocal lists
            if not call.path.endswith("/connections"):
                return None
            lists += 1
            return Answer.of({"error": {"code": "Busy"}}, 429, {"Retry-After": "60"}) if lists in {1, 3} else None

        azure.world.hooks = Hooks(before=busy)
        await azure.put(item(azure, HUB))
        await azure.drain(until=timedelta(hours=1))
        assert any(isinstance(one.outcome, Waiting) for one in slices(azure.reports))
        assert read(azure) >= {one["name"] for one in STORES[:FEW]}

    on_azure(nothing_yet(HUB, *STORES[:FEW], *LINKS[:FEW], vault(), keys={}), story, environ=policy(tmp_path, *AT_REST))


def test_lists_whose_pages_lead_to_each_other_have_an_end(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        def round_and_round(call: Call, answer: Answer) -> Answer:
            if not call.path.endswith("/connections") or answer.status != 200:
                return answer
            other = "b" if call.query.get("page") == "a" else "a"
            here = f"https://management.azure.com{call.path}?api-version={call.query['api-version']}&page={other}"
            return Answer.of({**json.loads(answer.body), "nextLink": here})

        azure.world.hooks = Hooks(after=round_and_round)
        await azure.put(item(azure, HUB))
        reports = await azure.drain(until=timedelta(hours=1))
        assert azure.waiting() == []
        assert len([one for one in azure.world.log if "/connections" in one.url and one.status < 300]) == MOST_PAGES
        assert slices(reports)[-1].reasons == (Reason.REFUSED,)

    on_azure(nothing_yet(HUB, STORES[0], LINKS[0], vault(), keys={}), story, environ=policy(tmp_path, *AT_REST))


@pytest.mark.parametrize("there", [True, False], ids=["outside the policy", "gone"])
def test_a_hub_that_went_or_fell_out_of_the_policy_meanwhile_names_nobody_any_more(
    tmp_path: Path, *, there: bool
) -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.put(CheckNamed(azure.address(HUB), item(azure, HUB).cause, now, now, NamedPlace()))
        (report,) = await azure.drain()
        assert isinstance(report.outcome, Expanded if there else Gone)
        assert azure.waiting() == []
        assert not [one for one in azure.world.log if "/connections" in one.url]

    hub = [HUB] if there else []
    described = nothing_yet(*hub, *STORES[:3], *LINKS[:3], vault(), keys={})
    on_azure(described, story, environ=policy(tmp_path, "where: {names: [nobody]}"))


def workspace(name: str, storage: str) -> dict[str, Any]:
    """Return a workspace that says that this is its storage account."""
    properties = {"provisioningState": "Succeeded", "storageAccount": storage, "containerRegistry": storage}
    return resource("Microsoft.MachineLearningServices/workspaces", name, properties, kind="Default")


ONE_ID, TWO_ID = (str(workspace(name, "")["id"]) for name in ("one", "two"))


@pytest.mark.parametrize(
    ("one", "two"), [(ONE_ID, TWO_ID), (TWO_ID, ONE_ID), (TWO_ID.upper(), TWO_ID)], ids=["itself", "each other", "case"]
)
def test_workspaces_that_name_themselves_or_each_other_as_what_they_stand_on_are_looked_at_once(
    tmp_path: Path, one: str, two: str
) -> None:
    first, second = workspace("one", one), workspace("two", two)

    async def story(azure: Azure) -> None:
        await azure.put(item(azure, first))
        reports = await azure.drain()
        assert azure.waiting() == []
        assert max(looks(reports).values()) == 1

    on_azure(nothing_yet(first, second, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))


def test_a_hub_whose_connections_name_workspaces_that_name_it_is_looked_at_twice_at_most(tmp_path: Path) -> None:
    named = [workspace(f"ws{number}", HUB["id"]) for number in range(3)]
    links = [connection(HUB["id"], one["name"], one["id"], "AzureBlob") for one in named]
    back = [connection(one["id"], "back", HUB["id"], "AzureBlob") for one in named]

    async def story(azure: Azure) -> None:
        await azure.put(item(azure, HUB))
        reports = await azure.drain()
        assert azure.waiting() == []
        assert looks(reports) == Counter({"hub": 1, "ws0": 1, "ws1": 1, "ws2": 1})

    on_azure(nothing_yet(HUB, *named, *links, *back, vault(), keys=KEYS), story, environ=policy(tmp_path, EVERYTHING))
